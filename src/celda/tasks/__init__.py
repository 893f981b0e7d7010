"""Tasks: from a user's data to a working, saved and explained model."""

from celda.tasks.backtest import Backtest
from celda.tasks.forecaster import Forecaster
from celda.tasks.language import LanguageModel, Sampler
from celda.tasks.loading import load
from celda.tasks.sequences import Classifier, Tagger

__all__ = ["Backtest", "Classifier", "Forecaster", "LanguageModel", "Sampler", "Tagger", "load"]
