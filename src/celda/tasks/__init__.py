"""Tasks: from a user's table to a working, saved and explained model."""

from celda.tasks.backtest import Backtest
from celda.tasks.forecaster import Forecaster
from celda.tasks.language import LanguageModel, Sampler
from celda.tasks.loading import load

__all__ = ["Backtest", "Forecaster", "LanguageModel", "Sampler", "load"]
