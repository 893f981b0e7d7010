"""Forecasting windows whose future is known, with the network and with the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from celda.data import Table, Windows
from celda.tasks import metrics
from celda.tasks.backtest import Backtest
from celda.tasks.baselines import forecast_windows, ridge, seasonal_naive
from celda.tasks.predictor import Predictor


def backtest(
    predictor: Predictor,
    table: Table,
    windows: Windows,
    begin: np.ndarray,
    scale: Mapping[str, float],
    name: str,
    level: Sequence[float],
) -> Backtest:
    """Forecast `windows` of `table` with the network, whose column is `name`, and with the baselines.

    The targets lie from step `begin` (n,) of the series on; the ridge autoregression learns from what is before.
    `scale`: the unit of the MASE by series.
    """
    quantiles = predictor.quantiles(windows)
    season, h = predictor.network.season, windows.h
    points = {name: quantiles[..., quantiles.shape[-1] // 2]}
    learnt = ridge(Windows(windows.panel, windows.input_size, h, end=begin))
    if learnt is not None:
        points["ridge"] = forecast_windows(learnt, windows)
    points["seasonal_naive"] = forecast_windows(seasonal_naive(season, h), windows)
    y = table.frame["y"].to_numpy()
    at = table.starts[windows.series] + windows.origins
    notes = [*table.notes, *windows.panel.notes]
    if windows.left_out:
        notes.append(f"Windows that hold no value to look back on, or none to forecast, left out: {windows.left_out}.")
    if learnt is None:
        notes.append("No ridge autoregression: the history holds no two whole windows to learn it from.")
    return Backtest(
        points=points,
        quantiles=quantiles,
        level=tuple(sorted(level)),
        y=y[at[:, None] + np.arange(h)],
        last=table.frame.groupby("unique_id", sort=False)["y"].ffill().to_numpy()[at - 1],
        scale=np.array([scale[one] for one in table.ids])[windows.series],
        ids=table.names[windows.series],
        cutoffs=windows.cutoffs,
        stamps=windows.target_stamps,
        notes=tuple(dict.fromkeys(notes)),
    )


def steps_seen(table: Table, trained_until: Mapping[str, Any]) -> np.ndarray:
    """How many steps of each series the network has learnt from, or half of a series that it does not know: (n,)."""
    blocks = zip(table.ids, table.starts[:-1], table.starts[1:], strict=True)
    stamps = table.frame["ds"]
    return np.array(
        [
            int((stamps.iloc[a:b] <= trained_until[name]).sum()) if name in trained_until else int(b - a) // 2
            for name, a, b in blocks
        ]
    )


def naive_scales(table: Table, end: np.ndarray, season: int) -> dict[str, float]:
    """The seasonal naive error in the first `end` (n,) steps of each series, by series."""
    y = table.frame["y"].to_numpy()
    series = zip(table.ids, table.starts[:-1], end, strict=True)
    return {name: metrics.naive_scale(y[start : start + n], season) for name, start, n in series}
