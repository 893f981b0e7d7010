"""Forecasts of windows whose future is known, beside those of the baselines: scores and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from celda.tasks import metrics
from celda.tasks.intervals import ends, quantiles_of

Array = np.ndarray

# A forecast repeats the last value if it moves away from it less than this part of what the series does,
_STILL = 0.25
# and the error is at least this part of that of repeating the last value.
_NO_BETTER = 0.95


@dataclass(frozen=True)
class Backtest:
    """N windows of a horizon of h steps, in the user's units.

    `points`: the point forecasts (N, h) by model, the network's first. `quantiles`: the network's (N, h, quantiles).
    `y` (N, h): what came, NaN where missing. `last` (N,): the last observed value before. `scale` (N,): of the MASE.
    `ids` (N,), `cutoffs` (N,), `stamps` (N, h): which series, the last known time stamp, and those of the forecast.
    """

    points: Mapping[str, Array]
    quantiles: Array
    level: tuple[float, ...]
    y: Array
    last: Array
    scale: Array
    ids: Array
    cutoffs: Array
    stamps: Array
    notes: tuple[str, ...] = ()

    @classmethod
    def join(cls, parts: Sequence[Backtest]) -> Backtest:
        """One after another, with the models that all of them have."""
        arrays = ("quantiles", "y", "last", "scale", "ids", "cutoffs", "stamps")
        models = [name for name in parts[0].points if all(name in part.points for part in parts)]
        return cls(
            points={name: np.concatenate([part.points[name] for part in parts]) for name in models},
            level=parts[0].level,
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
        )

    @property
    def model(self) -> str:
        """The name of the network's column."""
        return next(iter(self.points))

    @property
    def scores(self) -> pd.DataFrame:
        """The metrics, a row a model; pinball and coverage (per cent) of the network alone, which gives intervals."""
        rows = {
            name: {
                "MAE": metrics.mae(self.y, point),
                "RMSE": metrics.rmse(self.y, point),
                "MAPE": metrics.mape(self.y, point),
                "sMAPE": metrics.smape(self.y, point),
                "MASE": metrics.mase(self.y, point, self.scale[:, None]),
            }
            for name, point in self.points.items()
        }
        if self.level:
            rows[self.model]["pinball"] = metrics.pinball(self.y, self.quantiles, quantiles_of(self.level))
        for k, one in enumerate(self.level):
            rows[self.model][f"coverage-{one:g}"] = metrics.coverage(self.y, *ends(self.quantiles, k))
        return pd.DataFrame(rows).T

    @property
    def error_by_step(self) -> dict[str, Array]:
        """The mean absolute error (h,) of each step of the horizon, by model."""
        return {
            name: np.array([metrics.mae(self.y[:, step], point[:, step]) for step in range(self.y.shape[1])])
            for name, point in self.points.items()
        }

    @property
    def frame(self) -> pd.DataFrame:
        """A long table: `unique_id`, `ds`, `cutoff`, `y`, the network's forecast and intervals, the baselines'."""
        whose = {"unique_id": self.ids, "cutoff": self.cutoffs}
        frame = long_frame(self.model, self.quantiles, self.level, self.stamps, whose)
        frame.insert(3, "y", self.y.reshape(-1))
        others = {name: point.reshape(-1) for name, point in self.points.items() if name != self.model}
        return frame.assign(**others)

    @property
    def repeats_last_value(self) -> bool:
        """Whether the network merely repeats the last value: it hardly moves from it, and is no better for it."""
        ours, still = self.points[self.model], np.broadcast_to(self.last[:, None], self.y.shape)
        moved, came = metrics.mae(still, np.where(np.isnan(self.y), np.nan, ours)), metrics.mae(self.y, still)
        return bool(came > 0 and moved < _STILL * came and metrics.mae(self.y, ours) > _NO_BETTER * came)


def long_frame(
    model: str, quantiles: Array, level: Sequence[float], stamps: Array, whose: Mapping[str, Array]
) -> pd.DataFrame:
    """A row for each step: `unique_id`, `ds`, the rest of `whose` (N,), `model`, `model-lo-80`, `model-hi-80`, ..."""
    horizon = stamps.shape[1]
    columns = {name: np.repeat(values, horizon) for name, values in whose.items()}
    frame = pd.DataFrame({"unique_id": columns.pop("unique_id"), "ds": stamps.reshape(-1), **columns})
    frame[model] = quantiles[..., quantiles.shape[-1] // 2].reshape(-1)
    for k, one in enumerate(level):
        low, high = ends(quantiles, k)
        frame[f"{model}-lo-{one:g}"], frame[f"{model}-hi-{one:g}"] = low.reshape(-1), high.reshape(-1)
    return frame
