"""Learning from labelled sequences: one label each (`Classifier`), or a label a step (`Tagger`)."""

from celda.tasks.sequences.classifier import Classifier
from celda.tasks.sequences.tagger import Tagger

__all__ = ["Classifier", "Tagger"]
