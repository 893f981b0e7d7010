"""Prediction intervals: which quantiles a level needs, and split-conformal calibration of what the network gives.

The weights of the network are fitted without the validation windows; how far the actual values of those lie outside its
intervals says by how much to widen them (or, where they lie well inside, to narrow them). With the quantile loss that
is conformalised quantile regression (Romano, Patterson & Candès 2019); with another loss the interval starts as the
point itself, which is split-conformal prediction (Lei et al. 2018).

The levels hold nearly, not exactly: the same windows chose the number of epochs, they overlap, and the network that
forecasts is trained anew on more. With n scores of a step no level above n / (n + 1) can be held: the largest score
stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def quantiles_of(level: Sequence[float]) -> tuple[float, ...]:
    """The quantiles at the ends of intervals of these levels (per cent), increasing, with the median in the middle."""
    tails = [(100 - one) / 200 for one in level]
    return tuple(sorted([*tails, 0.5, *(1 - tail for tail in tails)]))


def spread(forecast: Array, levels: int) -> Array:
    """(..., quantiles) of a network's output: as it is or, of a point forecast, the point at every quantile."""
    return np.repeat(forecast, 2 * levels + 1, -1) if forecast.shape[-1] == 1 else forecast


def calibrate(y: Array, forecast: Array, level: Sequence[float]) -> Array:
    """By how much to move both ends of each interval outwards: (levels, h), levels increasing.

    y: (N, h), NaN where missing. forecast: (N, h, quantiles), made without sight of `y`, in the same unit.
    """
    moves = np.zeros((len(level), y.shape[1]))
    for k, one in enumerate(sorted(level)):
        low, high = ends(forecast, k)
        outside = np.maximum(low - y, y - high)
        for step, scores in enumerate(outside.T):
            scores = np.sort(scores[~np.isnan(scores)])
            rank = int(np.ceil((len(scores) + 1) * one / 100))
            if len(scores):
                moves[k, step] = scores[min(rank, len(scores)) - 1]
    return moves


def widen(forecast: Array, moves: Array) -> Array:
    """Move the ends of the intervals of (N, h, quantiles) outwards by `moves` ([N,] levels, h); nothing crosses."""
    wide = forecast.copy()
    middle = forecast.shape[-1] // 2
    for k in range(moves.shape[-2]):
        move = moves[..., k, :]
        low, high = ends(forecast, k)
        wide[..., middle - 1 - k] = np.minimum(low - move, wide[..., middle - k])
        wide[..., middle + 1 + k] = np.maximum(high + move, wide[..., middle + k])
    return wide


def ends(forecast: Array, k: int) -> tuple[Array, Array]:
    """The low and the high end of the k-th narrowest interval, each (N, h)."""
    middle = forecast.shape[-1] // 2
    return forecast[..., middle - 1 - k], forecast[..., middle + 1 + k]
