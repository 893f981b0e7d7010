"""Networks, as modules without training."""

from celda.models.forecasting import ForecastNetwork

__all__ = ["ForecastNetwork"]
