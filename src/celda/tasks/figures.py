"""The figures of a forecast: what comes, how it did where what came is known, and how the training went.

Made with matplotlib's objects alone, without pyplot, so that nothing global changes and no display is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from celda.tasks.backtest import Backtest
from celda.training import History, written_aside

_ACTUAL, _MODEL, _TRAIN = "#222222", "#c1440e", "#8a8a8a"
_OTHERS = {"ridge": "#2c6fad", "seasonal_naive": "#7aa35a"}
_MOST_SERIES = 4  # panels of a figure
_BANDS = (0.30, 0.16, 0.10, 0.07)  # opacity, from the narrowest interval to the widest


def forecast_figure(
    history: pd.DataFrame, forecast: pd.DataFrame, model: str, level: Sequence[float], window: int
) -> Figure:
    """The last `window` steps of each series (`unique_id`, `ds`, `y`), and its forecast with intervals."""
    ids = list(forecast["unique_id"].unique())
    figure, axes = _panels(min(len(ids), _MOST_SERIES))
    for axis, name in zip(axes, ids, strict=False):
        ahead = forecast[forecast["unique_id"] == name]
        before = history[history["unique_id"] == name].tail(window)
        axis.plot(before["ds"], before["y"], color=_ACTUAL, linewidth=1.2, label="history")
        last = before.dropna(subset="y").tail(1)
        joint = pd.DataFrame({"ds": last["ds"], **dict.fromkeys(ahead.columns[2:], last["y"])})
        ahead = pd.concat([joint, ahead], ignore_index=True)  # forecast and bands grow out of the last value
        _bands(axis, ahead, model, level)
        axis.plot(ahead["ds"], ahead[model], color=_MODEL, linewidth=1.8, label=model)
        axis.axvline(joint["ds"].iloc[0], color=_TRAIN, linewidth=0.8, linestyle=":")
        _finish(axis, str(name), ahead["ds"])
    _legend(figure, axes[0])
    figure.suptitle(f"Forecast of the next {len(forecast) // len(ids)} steps", x=0.01, ha="left", weight="bold")
    return figure


def test_figure(backtest: Backtest) -> Figure:
    """What came in the test and what was forecast of it, and the error by step of the horizon."""
    ids = list(dict.fromkeys(backtest.ids))[:_MOST_SERIES]
    figure, axes = _panels(len(ids) + 1)
    frame, model = backtest.frame, backtest.model
    for axis, name in zip(axes, ids, strict=False):
        # of origins less than a horizon apart, the newest forecast of each step
        rows = (
            frame[frame["unique_id"] == name].sort_values("cutoff").drop_duplicates("ds", keep="last").sort_values("ds")
        )
        rows = rows.tail(max(672, 7 * backtest.y.shape[1]))
        _bands(axis, rows, model, backtest.level[:1])
        for other in list(backtest.points)[1:]:
            axis.plot(rows["ds"], rows[other], color=_OTHERS[other], linewidth=0.8, alpha=0.8, label=_words(other))
        axis.plot(rows["ds"], rows["y"], color=_ACTUAL, linewidth=1.2, label="actual")
        axis.plot(rows["ds"], rows[model], color=_MODEL, linewidth=1.2, label=model)
        _finish(axis, str(name), rows["ds"])
    _legend(figure, axes[0])
    last = axes[-1]
    for name, errors in backtest.error_by_step.items():
        steps, colour = np.arange(1, len(errors) + 1), _OTHERS.get(name, _MODEL)
        label = f"{_words(name)}: {np.nanmean(errors):,.4g}"
        last.plot(steps, errors, color=colour, linewidth=1.6, label=label, marker="o" if len(errors) < 15 else "")
    last.set_xlabel("step of the horizon")
    last.set_ylabel("mean absolute error")
    last.set_ylim(0, 1.2 * max(np.nanmax(errors) for errors in backtest.error_by_step.values()))
    _finish(last, "Error by step")
    last.legend(frameon=False, ncols=3, loc="upper left")
    origins = len(np.unique(backtest.cutoffs))
    figure.suptitle(f"Test: {origins} forecasts of {backtest.y.shape[1]} steps", x=0.01, ha="left", weight="bold")
    return figure


def loss_figure(histories: Mapping[str, History], chosen: int) -> Figure:
    """The loss of each phase of training by epoch; `chosen` is the epoch that the validation loss spoke for."""
    figure, axes = _panels(1)
    axis = axes[0]
    colours = dict(zip(histories, (_TRAIN, _MODEL, _OTHERS["ridge"]), strict=False))
    for phase, history in histories.items():
        epochs = [epoch.epoch for epoch in history.epochs]
        axis.plot(epochs, [e.train_loss for e in history.epochs], color=colours[phase], label=f"{phase}: training")
        if history.best_epoch is not None:
            valid = [np.nan if e.valid_loss is None else e.valid_loss for e in history.epochs]
            axis.plot(epochs, valid, color=_ACTUAL, label=f"{phase}: validation")
            axis.plot(chosen, valid[chosen - 1], "o", color=_ACTUAL, label=f"chosen: {chosen} epochs")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss (scaled units)")
    _finish(axis, "choose: without the validation part; fit: with it; final: with the test, too")
    axis.legend(frameon=False)
    figure.suptitle("Loss by epoch", x=0.01, ha="left", weight="bold")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        figure.savefig(aside, format="png", dpi=130)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(11, 1.6 + 3.1 * count), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(count)))


def _bands(axis: Axes, rows: pd.DataFrame, model: str, level: Sequence[float]) -> None:
    for one, opacity in zip(sorted(level), _BANDS, strict=False):
        low, high = rows[f"{model}-lo-{one:g}"], rows[f"{model}-hi-{one:g}"]
        axis.fill_between(rows["ds"], low, high, color=_MODEL, alpha=opacity, linewidth=0, label=f"{one:g} % interval")


def _finish(axis: Axes, title: str, stamps: pd.Series | None = None) -> None:
    axis.set_title(title, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.25)
    axis.margins(x=0.01)
    axis.yaxis.set_major_formatter("{x:,.10g}")
    if stamps is not None and pd.api.types.is_datetime64_any_dtype(stamps):
        axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))


def _legend(figure: Figure, axis: Axes) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=8, frameon=False, fontsize=9)


def _words(name: str) -> str:
    return name.replace("_", " ")
