"""Series of unequal length as a network reads them: scaled, with what is missing and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse
from sklearn.utils import check_array
from torch import Tensor

from celda.errors import CeldaError


class NotNumbers(CeldaError, TypeError):
    """The error of what is no number at all, for scikit-learn too."""


def as_series(given: Any, *, missing: bool = False) -> list[np.ndarray]:
    """What a user gives as N series, each as (T_i, D) float64.

    A table or array (N, T) holds series of one feature, an array (N, T, D) of several; a list holds arrays (T_i,) or
    (T_i, D). `missing`: whether NaN may stand for what was not measured.

    Raises CeldaError where there is no series, one is empty or holds no numbers, or their features differ.
    """
    if hasattr(given, "__array__") and not isinstance(given, np.ndarray | pd.DataFrame):
        given = np.asarray(given)
    many = isinstance(given, np.ndarray) and (given.ndim > 2 or (given.ndim == 1 and given.dtype == object))
    if not many and (isinstance(given, np.ndarray | pd.DataFrame) or issparse(given) or _is_rows(given)):
        finite = "allow-nan" if missing else True
        try:
            return list(check_array(given, dtype=np.float64, ensure_all_finite=finite)[..., None])
        except TypeError as error:
            raise NotNumbers(str(error)) from error
        except ValueError as error:
            hint = " (missing='mask' takes NaN)" if "NaN" in str(error) and not missing else ""
            raise CeldaError(str(error) + hint) from error
    if not isinstance(given, list | tuple | np.ndarray):
        raise CeldaError(
            f"Series are an array (N, T) or (N, T, D), or a list of arrays (T, D), not a {type(given).__name__}."
        )
    if not len(given):
        raise CeldaError("There is no series: give a list of at least one array (T, D).")
    series = [_as_one(one, place, missing) for place, one in enumerate(given)]
    width = series[0].shape[1]
    for place, one in enumerate(series):
        if one.shape[1] != width:
            raise CeldaError(
                f"Series {place} has {one.shape[1]} features and series 0 has {width}: all are measured in the same "
                "features, a column each."
            )
    return series


def _is_rows(given: Any) -> bool:
    """Whether a list holds rows of numbers of the same length."""
    if not isinstance(given, list | tuple) or not given or not all(isinstance(row, list | tuple) for row in given):
        return False
    return all(row and np.isscalar(row[0]) and not isinstance(row[0], str) for row in given) and (
        len({len(row) for row in given}) == 1
    )


def _as_one(one: Any, place: int, missing: bool) -> np.ndarray:
    try:
        array = np.asarray(one, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CeldaError(f"Series {place} does not hold numbers alone ({error}): give an array (T, D).") from error
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        what = "is empty" if not array.size else f"has shape {array.shape}"
        raise CeldaError(f"Series {place} {what}: give an array (T, D), a row for each of T steps.")
    if np.isinf(array).any():
        raise CeldaError(f"Series {place} holds an infinite value: mend it, or give NaN and missing='mask'.")
    if not missing and np.isnan(array).any():
        row, column = np.argwhere(np.isnan(array))[0]
        raise CeldaError(
            f"Series {place} holds NaN (step {row}, feature {column}), and missing='error' takes none: fill it in, or "
            "write missing='mask', with which the network is told what is missing."
        )
    return array


def check_times(times: Sequence[Any], series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Times of the steps of each series, (T_i,) float64, increasing. Raises CeldaError where they do not fit."""
    if len(times) != len(series):
        raise CeldaError(f"There are {len(series)} series and times of {len(times)}: give an array (T,) for each.")
    checked = [np.asarray(one, dtype=np.float64) for one in times]
    for place, (when, one) in enumerate(zip(checked, series, strict=True)):
        if when.shape != one.shape[:1]:
            raise CeldaError(f"Series {place} has {len(one)} steps and its times have shape {when.shape}.")
        if not np.isfinite(when).all() or (np.diff(when) < 0).any():
            raise CeldaError(f"The times of series {place} are not increasing numbers: sort its steps by time.")
    return checked


@dataclass(frozen=True)
class SeriesEncoder:
    """Turns series into samples for a network.

    Each feature is scaled to mean 0 and deviation 1 over all steps that were learnt from. With `masks`, in the place of
    what is missing stands the value that was seen last (0, the mean, where none was), and two more inputs a feature
    tell whether it was seen and how long ago, in the usual steps of time (Che et al. 2018, "Recurrent neural networks
    for multivariate time series with missing values").

    `shift`, `scale`: (D,). `step`: the usual time between steps.
    """

    shift: np.ndarray
    scale: np.ndarray
    masks: bool = False
    step: float = 1.0

    @classmethod
    def fit(cls, series: Sequence[np.ndarray], times: Sequence[np.ndarray] | None = None, masks: bool = False) -> Self:
        """Learn the scales from series (T_i, D)."""
        steps = np.concatenate(series)
        seen = ~np.isnan(steps)
        count = np.maximum(seen.sum(0), 1)
        shift = np.where(seen, steps, 0).sum(0) / count
        scale = np.sqrt((np.where(seen, steps - shift, 0) ** 2).sum(0) / count)
        scale[~(scale > 1e-12 * np.abs(shift))] = 1.0  # a feature that does not vary
        between = np.concatenate([np.diff(one) for one in times]) if times else np.ones(1)
        between = between[between > 0]
        return cls(shift, scale, masks, float(np.median(between)) if len(between) else 1.0)

    @property
    def features(self) -> int:
        """How many features a step has."""
        return len(self.shift)

    def encode(
        self, series: Sequence[np.ndarray], times: Sequence[np.ndarray] | None = None
    ) -> list[dict[str, Tensor]]:
        """A sample a series: `values` (T, D) float32 and, with masks, `seen` and `gaps` (T, D)."""
        if series[0].shape[1] != self.features:
            raise CeldaError(
                f"The series have {series[0].shape[1]} features, and the model was fitted on {self.features}."
            )
        scaled = [(one - self.shift) / self.scale for one in series]
        if not self.masks:
            return [{"values": _single(one)} for one in scaled]
        clocks = times or [np.arange(len(one), dtype=np.float64) * self.step for one in series]
        return [self._masked(one, clock / self.step) for one, clock in zip(scaled, clocks, strict=True)]

    def _masked(self, values: np.ndarray, clock: np.ndarray) -> dict[str, Tensor]:
        seen = ~np.isnan(values)
        steps = np.arange(len(values))[:, None]
        last = np.maximum.accumulate(np.where(seen, steps, -1))  # when each was seen last, this step included
        filled = np.where(last < 0, 0.0, np.take_along_axis(values, np.maximum(last, 0), 0))
        before = np.vstack([np.full((1, values.shape[1]), -1), last[:-1]])
        gaps = clock[:, None] - clock[np.maximum(before, 0)]  # since the beginning, where none was seen
        return {"values": _single(filled), "seen": _single(seen), "gaps": _single(gaps)}

    def to_dict(self) -> dict[str, Any]:
        """The encoder as JSON can hold it."""
        return {
            "kind": "series",
            "shift": self.shift.tolist(),
            "scale": self.scale.tolist(),
            "masks": self.masks,
            "step": self.step,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The encoder of which `to_dict` gave this."""
        return cls(np.array(plain["shift"]), np.array(plain["scale"]), plain["masks"], plain["step"])


def _single(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
