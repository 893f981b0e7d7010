"""The figures of a forecast: what comes, how it did where what came is known, and how the training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from celda.drawing import ACTUAL, MODEL, QUIET, bands, finish, legend, lone, panels, save, words
from celda.files import written_aside
from celda.tasks import metrics
from celda.tasks.backtest import Backtest
from celda.training import History

_OTHERS = {"ridge": "#2c6fad", "seasonal_naive": "#7aa35a"}
_MOST_SERIES = 4  # panels of a figure
_MOST_STEPS = 672  # of a test that are drawn: two weeks of half-hours, or seven horizons if that is more
_CLOSE = 14  # steps, at least, that are drawn close up


def forecast_figure(
    history: pd.DataFrame, forecast: pd.DataFrame, model: str, level: Sequence[float], window: int
) -> Figure:
    """The last `window` steps of each series (`unique_id`, `ds`, `y`), and its forecast with intervals."""
    ids = list(forecast["unique_id"].unique())
    figure, axes = panels(min(len(ids), _MOST_SERIES))
    for axis, name in zip(axes, ids, strict=False):
        ahead = forecast[forecast["unique_id"] == name]
        before = history[history["unique_id"] == name].tail(window)
        axis.plot(before["ds"], before["y"], color=ACTUAL, linewidth=1.2, marker=lone(before), label="history")
        last = before.dropna(subset="y").tail(1)
        joint = pd.DataFrame({"ds": last["ds"], **dict.fromkeys(ahead.columns[2:], last["y"])})
        ahead = pd.concat([joint, ahead], ignore_index=True)  # forecast and bands grow out of the last value
        bands(axis, ahead, model, level)
        (line,) = axis.plot(ahead["ds"], ahead[model], color=MODEL, linewidth=1.8, label=words(model))
        line.set(marker=lone(ahead), markevery=slice(len(joint), None))
        axis.axvline(joint["ds"].iloc[0], color=QUIET, linewidth=0.8, linestyle=":")
        finish(axis, str(name), pd.concat([before["ds"], ahead["ds"]]))
    legend(figure, axes[0])
    figure.suptitle(f"Forecast, {_steps(len(forecast) // len(ids))} ahead", x=0.01, ha="left", weight="bold")
    return figure


def test_figure(backtest: Backtest) -> Figure:
    """What came in the test and what was forecast of it; the worst forecast close up, beside the baselines'; and the
    error by step of the horizon.
    """
    ids = list(dict.fromkeys(backtest.ids))[:_MOST_SERIES]
    figure, (*whole, close, errors) = panels(len(ids) + 2)
    for axis, name in zip(whole, ids, strict=False):
        rows = _newest(backtest.frame[backtest.frame["unique_id"] == name])
        drawn = rows.tail(max(_MOST_STEPS, 7 * backtest.y.shape[1]))
        _forecasts(axis, drawn, backtest)
        part = f", the last {len(drawn)} steps of the test" if len(drawn) < len(rows) else ""
        finish(axis, f"{name}{part}", drawn["ds"])
    _worst(close, backtest)
    legend(figure, close)
    for name, by_step in backtest.error_by_step.items():
        label = f"{words(name)}: {np.nanmean(by_step):,.4g}"
        colour = _OTHERS.get(name, MODEL)
        errors.plot(np.arange(1, len(by_step) + 1), by_step, color=colour, label=label, marker=lone(by_step))
    errors.set_ylabel("mean absolute error")
    errors.set_ylim(0, 1.25 * max(np.nanmax(by_step) for by_step in backtest.error_by_step.values()))
    _counted(errors, backtest.y.shape[1], "step of the horizon")
    finish(errors, "Error by step, and its mean")
    errors.legend(frameon=False, ncols=3, loc="upper left")
    origins = len(np.unique(backtest.cutoffs))
    title = f"Test: {origins} forecast{'s' * (origins > 1)} of {_steps(backtest.y.shape[1])}"
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return figure


_PHASES = "choose: without the validation part, to find how many epochs; fit: with it; final: with the test"


def loss_figure(
    histories: Mapping[str, History], chosen: int, unit: str = "scaled units", title: str = _PHASES
) -> Figure:
    """The loss of each phase of training by epoch, in a `unit`; `chosen`: the epoch that the validation spoke for."""
    figure, (axis,) = panels(1)
    colours = dict(zip(histories, (QUIET, MODEL, _OTHERS["ridge"]), strict=False))
    most = 1
    for phase, history in histories.items():
        epochs = [epoch.epoch for epoch in history.epochs]
        most = max(most, *epochs)
        losses = [epoch.train_loss for epoch in history.epochs]
        axis.plot(epochs, losses, color=colours[phase], marker=lone(epochs), label=f"{phase}: training")
        if history.best_epoch is not None:
            valid = [np.nan if e.valid_loss is None else e.valid_loss for e in history.epochs]
            axis.plot(epochs, valid, color=ACTUAL, marker=lone(epochs), label=f"{phase}: validation")
            (ring,) = axis.plot(chosen, valid[chosen - 1], "o", label=f"chosen: {_steps(chosen, 'epoch')}")
            ring.set(color=ACTUAL, markersize=11, fillstyle="none")
    axis.set_ylim(0, 1.1 * axis.dataLim.y1)
    axis.set_ylabel(f"loss ({unit})")
    _counted(axis, most, "epoch")
    finish(axis, title)
    axis.legend(frameon=False)
    figure.suptitle("Loss by epoch", x=0.01, ha="left", weight="bold")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        save(figure, aside, "png")


def _forecasts(axis: Axes, rows: pd.DataFrame, backtest: Backtest) -> None:
    """What came, and what the model forecast of it."""
    model = backtest.model
    axis.plot(rows["ds"], rows["y"], color=ACTUAL, linewidth=1.2, marker=lone(rows), label="actual")
    axis.plot(rows["ds"], rows[model], color=MODEL, linewidth=1.2, marker=lone(rows), label=words(model))
    bands(axis, rows, model, backtest.level)


def _worst(axis: Axes, backtest: Backtest) -> None:
    """The forecast of the largest error, for its series' scale, beside the baselines'; if short, with those around."""
    missed = np.abs(backtest.points[backtest.model] - backtest.y)
    known = np.isfinite(missed)
    mean = np.where(known, missed, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    worst = int((mean / np.where(backtest.scale > 0, backtest.scale, 1.0)).argmax())
    name = backtest.ids[worst]
    same = np.flatnonzero(backtest.ids == name)
    count = -(-_CLOSE // missed.shape[1])
    first = max(0, min(int(np.searchsorted(same, worst)) - count // 2, len(same) - count))
    frame = backtest.frame
    rows = frame[(frame["unique_id"] == name) & frame["cutoff"].isin(backtest.cutoffs[same[first : first + count]])]
    rows = _newest(rows)
    _forecasts(axis, rows, backtest)
    for other in list(backtest.points)[1:]:
        (line,) = axis.plot(rows["ds"], rows[other], color=_OTHERS[other], marker=lone(rows), label=words(other))
        line.set(linewidth=1.2, zorder=1.5)  # above the bands, below the model
    actual = rows["y"].to_numpy()
    errors = ", ".join(f"{words(one)} {metrics.mae(actual, rows[one].to_numpy()):,.4g}" for one in backtest.points)
    title = f"{name}, close up where {words(backtest.model)} erred most; mean absolute error here: {errors}"
    finish(axis, title, rows["ds"])


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    """Of origins less than a horizon apart, the newest forecast of each step."""
    return frame.sort_values("cutoff").drop_duplicates("ds", keep="last").sort_values("ds")


def _counted(axis: Axes, most: int, label: str) -> None:
    """An axis of whole numbers from 1 to `most`, wide enough for a single one."""
    axis.set_xlabel(label)
    axis.set_xlim(0.5, most + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))


def _steps(count: int, what: str = "step") -> str:
    return f"{count} {what}{'s' * (count != 1)}"
