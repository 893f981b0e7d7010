"""Forecasting windows whose future is known, with the network and with the baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celda.data import Table, Windows
from celda.tasks import metrics
from celda.tasks.backtest import Backtest
from celda.tasks.baselines import forecast_windows, ridge, seasonal_naive
from celda.tasks.predictor import Predictor


def backtest(
    predictor: Predictor, table: Table, windows: Windows, begin: np.ndarray, name: str, level: Sequence[float]
) -> Backtest:
    """Forecast `windows` of `table` with the network, whose column is `name`, and with the baselines.

    The targets lie from step `begin` (n,) of the series on; the ridge autoregression learns from what is before.
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
    scale = [metrics.naive_scale(y[start : start + n], season) for start, n in zip(table.starts, begin, strict=False)]
    return Backtest(
        points=points,
        quantiles=quantiles,
        level=tuple(sorted(level)),
        y=y[at[:, None] + np.arange(h)],
        last=table.frame.groupby("unique_id", sort=False)["y"].ffill().to_numpy()[at - 1],
        scale=np.array(scale)[windows.series],
        ids=np.array(table.ids)[windows.series],
        cutoffs=windows.cutoffs,
        stamps=windows.target_stamps,
        notes=() if learnt else ("No ridge autoregression: the history holds no two whole windows to learn it from.",),
    )
