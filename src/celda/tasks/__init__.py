"""Tasks: from a user's data to a working, saved and explained model."""

from celda.tasks.backtest import Backtest
from celda.tasks.classifier import Classifier
from celda.tasks.forecaster import Forecaster
from celda.tasks.loading import load
from celda.tasks.tagger import Tagger

__all__ = ["Backtest", "Classifier", "Forecaster", "Tagger", "load"]
