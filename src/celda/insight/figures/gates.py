"""Gates, memory and output over time, and how open the gates stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from celda.drawing import QUIET, finish
from celda.insight.figures.theme import Theme, colour, step_axis
from celda.insight.gates import CLOSED, OPEN, Openness, opening
from celda.insight.recording import Recording
from celda.insight.subject import Part
from celda.language.purposes import roles

_MARKERS = "osD^vPX*"


def heat_figure(recording: Recording, part: Part, theme: Theme, place: int = 0) -> Figure:
    """Every named value of the last sequence: a row a unit, a column a step; units in the order of their mean."""
    kinds = roles(recording.cell)
    figure = Figure(figsize=(11, 1.2 + 1.35 * (len(kinds) + (part.signal is not None))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(len(kinds) + (part.signal is not None), sharex=True)))
    _signal(axes, part, theme)
    for axis, (name, role) in zip(axes, kinds.items(), strict=True):
        values = opening(role, recording.traced[name])[place, :, -1].T.cpu().numpy()
        values = values[np.argsort(values.mean(1))]
        largest = np.abs(values).max() or 1.0
        scale = (0.0, 1.0) if role.is_gate else (-largest, largest)
        looks = {"cmap": theme.opening if role.is_gate else theme.signed, "vmin": scale[0], "vmax": scale[1]}
        image = axis.imshow(values, aspect="auto", interpolation="nearest", origin="lower", **looks)
        figure.colorbar(image, ax=axis, pad=0.01, fraction=0.03)
        axis.set_title(f"{name}: {role.kind}", loc="left", fontsize=10)
        axis.set_ylabel("units", fontsize=9)
        axis.set_yticks([])
    step_axis(axes[-1], part.labels)
    return figure


def averages_figure(recording: Recording, part: Part, theme: Theme, place: int = 0) -> Figure:
    """The mean of every gate over the units, step by step, of the last sequence."""
    count = 1 + (part.signal is not None)
    figure = Figure(figsize=(11, 1.4 + 2.3 * count), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(count, sharex=True)))
    _signal(axes, part, theme)
    (axis,) = axes
    for name, role in roles(recording.cell).items():
        if role.is_gate:
            mean = opening(role, recording.traced[name])[place, :, -1].mean(-1).cpu().numpy()
            looks = {"color": colour(role.kind, theme.ink), "marker": "o", "markersize": 4}
            axis.plot(np.arange(len(mean)), mean, label=f"{name}: {role.kind}", **looks)
    finish(axis, "How open each gate is: the mean of its units")
    axis.set_ylim(0, 1)
    axis.set_ylabel("0 closed, 1 open")
    axis.legend(frameon=False, ncols=4, loc="lower left", fontsize=9)
    step_axis(axis, part.labels)
    return figure


def openness_figure(found: Sequence[Openness], theme: Theme) -> Figure:
    """Left how much of each gate's values is closed, open or between; right its units, each by how often it is."""
    figure = Figure(figsize=(11, max(3.6, 1.6 + 0.5 * len(found))), layout="constrained")
    FigureCanvasAgg(figure)
    bars, units = figure.subplots(1, 2, width_ratios=(1.5, 1))
    names = [f"{one.role.name}: {one.role.kind}" + (f", {one.where}" if one.where else "") for one in found]
    closed, opened = (np.array([float(getattr(one, what).mean()) for one in found]) for what in ("closed", "open"))
    between, rows = 1 - closed - opened, np.arange(len(found))[::-1]
    shades = {"closed": QUIET, "between": theme.opening(0.28), "open": theme.opening(0.62)}
    left = np.zeros(len(found))
    for words, share in (("closed", closed), ("between", between), ("open", opened)):
        limits = {"closed": f"below {CLOSED}", "open": f"above {OPEN}", "between": "between"}[words]
        bars.barh(rows, share, left=left, color=shades[words], height=0.6, label=limits)
        for row, begin, width in zip(rows, left, share, strict=True):
            if width > 0.06:
                bars.text(begin + width / 2, row, f"{100 * width:.0f} %", ha="center", va="center", fontsize=9)
        left = left + share
    bars.set_yticks(rows, names)
    bars.set_xlim(0, 1)
    bars.set_xticks([])
    bars.spines[:].set_visible(False)
    bars.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    for one, name, marker in zip(found, names, _MARKERS * len(found), strict=False):
        looks = {"color": colour(one.role.kind, theme.ink), "marker": marker, "alpha": 0.6, "s": 26}
        units.scatter(one.open.cpu(), one.closed.cpu(), label=name.replace(f": {one.role.kind}", ""), **looks)
    units.plot([0, 1], [1, 0], color=QUIET, linewidth=0.8, linestyle=":")
    finish(units, "Every unit: how often closed, how often open")
    units.set_xlabel(f"part of the steps above {OPEN}")
    units.set_ylabel(f"part of the steps below {CLOSED}")
    units.set_xlim(-0.04, 1.04)
    units.set_ylim(-0.04, 1.04)
    units.legend(frameon=False, fontsize=9)
    return figure


def _signal(axes: list[Axes], part: Part, theme: Theme) -> None:
    """What the steps mean, in the first of the axes, which is then taken out."""
    if part.signal is None:
        return
    axis = axes.pop(0)
    axis.plot(part.signal.at, part.signal.values, color=theme.ink, linewidth=1.2)
    finish(axis, part.signal.name)
