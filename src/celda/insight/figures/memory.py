"""How far back a layer remembers: the gradient by lag, and what the forget gates leave."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from celda.drawing import MODEL, QUIET, finish, powers
from celda.insight.figures.theme import BLUE, GREEN, LIGHT, PURPLE, TEAL, Theme
from celda.insight.gradients import GradientByLag
from celda.insight.memory import Kept

_COLOURS = (MODEL, BLUE, GREEN, PURPLE, TEAL)
_DEEPEST = 1e-12  # below, a gradient in single precision is none


def gradient_figure(found: Mapping[str, GradientByLag], theme: Theme = LIGHT, *, step: str = "step") -> Figure:
    """The norm of the gradient by lag, of several layers or several moments of one, on a logarithmic scale.

    Left of the states, as a part of what it is at lag 0; right of the inputs.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    titles = ("How much of the gradient reaches the states k steps back", "How strongly the output feels the input")
    lowest = 1.0
    for place, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for (name, one), colour in zip(found.items(), _COLOURS * len(found), strict=False):
            norm = (one.inputs if place else one.state / one.state[0]).double().numpy()
            norm = np.where(norm > _DEEPEST, norm, np.nan)
            lowest = min(lowest, np.nanmin(norm))
            axis.plot(np.arange(len(norm)), norm, color=colour, linewidth=1.8, label=name)
        finish(axis, title)
        powers(axis)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("k: steps before the end" + (f" (a step is {step})" if step != "step" else ""))
    axes[0].set_ylabel("norm, as a part of that at k = 0")
    axes[1].set_ylabel("norm of d h / d x")
    axes[0].axhline(1.0, color=QUIET, linewidth=0.8, linestyle=":")
    if lowest > 1e-3:
        axes[0].set_ylim(bottom=1e-3)
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def kept_figure(found: Kept, theme: Theme) -> Figure:
    """What is left of the memory by lag: of every unit, and of the middle one."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    left = found.left.double()
    for unit in left.T:
        axis.plot(unit.numpy(), color=BLUE, alpha=0.22, linewidth=0.9)
    axis.plot(torch.nanmedian(left, 1).values.numpy(), color=theme.ink, linewidth=2, label="the middle unit")
    axis.axhline(0.5, color=QUIET, linewidth=0.8, linestyle=":")
    axis.text(len(left) - 1, 0.5, "half ", ha="right", va="bottom", fontsize=9, color=QUIET)
    finish(axis, f"What is left of the memory {found.state}: a line for every unit")
    axis.set_ylim(0, 1.02)
    axis.set_xlim(0, len(left) - 1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("steps later")
    axis.set_ylabel("part that is left")
    axis.legend(frameon=False, loc="upper right")
    return figure
