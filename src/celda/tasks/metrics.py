"""How far a forecast is from what came: the field's measures, over the values that were observed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def mae(y: Array, forecast: Array) -> float:
    """Mean absolute error, in the unit of the series."""
    return _mean(np.abs(forecast - y))


def rmse(y: Array, forecast: Array) -> float:
    """Root of the mean squared error, in the unit of the series."""
    return float(np.sqrt(_mean((forecast - y) ** 2)))


def mape(y: Array, forecast: Array) -> float:
    """Mean absolute error in per cent of the actual value, over the values that are not zero."""
    y = np.where(y == 0, np.nan, y)
    return 100 * _mean(np.abs((forecast - y) / y))


def smape(y: Array, forecast: Array) -> float:
    """Mean absolute error in per cent of the mean of |actual| and |forecast|, 0 to 200; 0 where both are zero."""
    size = (np.abs(y) + np.abs(forecast)) / 2
    return 100 * _mean(np.abs(forecast - y) / np.where(size == 0, 1.0, size))


def mase(y: Array, forecast: Array, scale: Array) -> float:
    """Mean absolute error divided by `scale`, the seasonal naive error in training (`naive_scale`); below 1 is better.

    `scale` broadcasts against `y`; where it is zero or missing, the value is left out.
    """
    return _mean(np.abs(forecast - y) / np.where(scale > 0, scale, np.nan))


def naive_scale(history: Array, season: int) -> float:
    """The mean absolute error in `history` of the forecast that repeats the value one season before; NaN if none."""
    return _mean(np.abs(history[season:] - history[:-season])) if len(history) > season else float("nan")


def pinball(y: Array, quantiles: Array, levels: Sequence[float]) -> float:
    """Mean pinball loss of `quantiles` (..., q), the forecasts of the quantiles `levels` (q,), times two.

    Twice, so that the median alone gives the mean absolute error.
    """
    error = y[..., None] - quantiles
    share = np.asarray(levels)
    return 2 * _mean(np.maximum(share * error, (share - 1) * error))


def coverage(y: Array, low: Array, high: Array) -> float:
    """The share, in per cent, of actual values within [low, high]."""
    return 100 * _mean(np.where(np.isnan(y), np.nan, (y >= low) & (y <= high)))


def _mean(values: Array) -> float:
    """The mean over what is not NaN; NaN where nothing is left."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
