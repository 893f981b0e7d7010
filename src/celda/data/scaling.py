"""Scaling, one shift and one scale a series: learnt from its training part, undone on the forecast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from celda.errors import CeldaError


def _minmax(y: np.ndarray) -> tuple[float, float]:
    return y.min(), y.max() - y.min()


def _standard(y: np.ndarray) -> tuple[float, float]:
    return y.mean(), y.std()


def _robust(y: np.ndarray) -> tuple[float, float]:
    low, median, high = np.percentile(y, [25, 50, 75])
    return median, high - low


def _none(y: np.ndarray) -> tuple[float, float]:
    return 0.0, 1.0


KINDS = {"minmax": _minmax, "standard": _standard, "robust": _robust, "none": _none}


@dataclass(frozen=True)
class Scaler:
    """Scales values of series as (y - shift) / scale.

    `kind`: "minmax" (to [0, 1]), "standard" (mean 0, deviation 1), "robust" (median 0, interquartile range 1), "none".
    `shift`, `scale`: (series,) float64. A series that does not vary gets the scale 1, so nothing divides by zero.
    """

    kind: str
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, kind: str, series: Sequence[np.ndarray]) -> "Scaler":
        """Learn shift and scale of each series from its values, NaN where missing."""
        if kind not in KINDS:
            raise CeldaError(f"There is no scaling {kind!r}: write one of {', '.join(map(repr, KINDS))}.")
        fitted = np.array([_fit_one(kind, np.asarray(y, dtype=np.float64)) for y in series]).reshape(-1, 2)
        return cls(kind, fitted[:, 0], fitted[:, 1])

    def transform(self, values: np.ndarray, series: np.ndarray | int) -> np.ndarray:
        """Scale `values` (B, ...) that belong to the series of the indices `series` (B,), or all to one series."""
        scaled: np.ndarray = (values - _along(self.shift[series], values)) / _along(self.scale[series], values)
        return scaled

    def inverse(self, values: np.ndarray, series: np.ndarray | int) -> np.ndarray:
        """Undo `transform`."""
        unscaled: np.ndarray = values * _along(self.scale[series], values) + _along(self.shift[series], values)
        return unscaled


def _fit_one(kind: str, y: np.ndarray) -> tuple[float, float]:
    y = y[~np.isnan(y)]
    if len(y) == 0:
        return 0.0, 1.0
    shift, scale = KINDS[kind](y)
    if not scale > _negligible(y):
        scale = y.std()  # most values equal, so no interquartile range: the deviation still tells the few apart
    return shift, scale if scale > _negligible(y) else 1.0


def _negligible(y: np.ndarray) -> float:
    """What rounding alone may make of a spread of zero."""
    return 1e-12 * float(np.abs(y).max())


def _along(per_series: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Shape (B,) to (B, 1, ...) so that it broadcasts along `values`."""
    return np.reshape(per_series, np.shape(per_series) + (1,) * (np.ndim(values) - np.ndim(per_series)))
