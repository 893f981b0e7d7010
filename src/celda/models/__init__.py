"""Networks, as modules without training."""

from celda.models.forecasting import ForecastNetwork, seasonal_naive

__all__ = ["ForecastNetwork", "seasonal_naive"]
