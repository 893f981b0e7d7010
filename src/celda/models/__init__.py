"""Networks, as modules without training."""

from celda.models.forecasting import ForecastNetwork, seasonal_naive
from celda.models.language import LanguageNetwork

__all__ = ["ForecastNetwork", "LanguageNetwork", "seasonal_naive"]
