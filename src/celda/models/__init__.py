"""Networks, as modules without training."""

from celda.models.classification import ClassificationNetwork
from celda.models.crf import CRF
from celda.models.forecasting import ForecastNetwork, seasonal_naive
from celda.models.language import LanguageNetwork
from celda.models.pooling import Pooling
from celda.models.reading import ReadSeries, ReadWords
from celda.models.tagging import TaggingNetwork

__all__ = [
    "CRF",
    "ClassificationNetwork",
    "ForecastNetwork",
    "LanguageNetwork",
    "Pooling",
    "ReadSeries",
    "ReadWords",
    "TaggingNetwork",
    "seasonal_naive",
]
