"""The forecasts that a network has to beat, on the windows that it sees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import Ridge

from celda import models
from celda.data import Windows
from celda.data.windows import Batch
from celda.tasks.predictor import chunks

_PENALTY = 0.1  # on weights of inputs of deviation 1; from 0.01 to 1 the scores hardly move
_MOST_WINDOWS = 20_000  # to learn from; more are thinned out evenly

# From a batch of windows (B, L) to their horizon (B, h), both scaled.
Baseline = Callable[[Batch], np.ndarray]


def seasonal_naive(season: int, h: int) -> Baseline:
    """Repeat the last season of the window: `celda.models.seasonal_naive`."""

    def forecast(batch: Batch) -> np.ndarray:
        repeated: np.ndarray = models.seasonal_naive(batch["past_y"].double(), batch["past_mask"], season, h).numpy()
        return repeated

    return forecast


def ridge(windows: Windows) -> Baseline | None:
    """Learn a linear map from the window to the horizon, both less the mean of the window, with a small L2 penalty.

    A missing value of a window is taken as that mean.
    Windows with a missing target are not learnt from; None where fewer than two are left.
    """
    if not len(windows):
        return None
    batch = windows[:: -(-len(windows) // _MOST_WINDOWS)]
    whole = batch["future_mask"].all(1)
    if whole.sum() < 2:
        return None
    level, past, future = (batch[name][whole].double().numpy() for name in ("level", "past_y", "future_y"))
    scale = float((past - level).std()) or 1.0
    model = Ridge(_PENALTY).fit((past - level) / scale, (future - level) / scale)

    def forecast(batch: Batch) -> np.ndarray:
        past, level = (batch[name].double().numpy() for name in ("past_y", "level"))
        ahead = model.predict((past - level) / scale).reshape(len(past), -1)  # of one step, it drops that dimension
        scaled: np.ndarray = ahead * scale + level
        return scaled

    return forecast


def forecast_windows(baseline: Baseline, windows: Windows) -> np.ndarray:
    """The forecasts of N windows in the user's units: (N, h)."""
    batches = (windows[chosen] for chosen in chunks(windows))
    scaled = [baseline(batch) for batch in batches]
    return windows.panel.scaler.inverse(np.concatenate(scaled), windows.series)
