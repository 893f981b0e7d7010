"""The comparison as a figure: error against memory, and the gradient by lag."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from celda.drawing import finish, powers, words
from celda.tasks.comparison.results import Comparison

_DEEPEST = 1e-6  # below, what is left of a gradient is nothing, and the line ends
_MOST = 10  # colours of the map, which has no eleventh


def comparison_figure(found: Comparison) -> Figure:
    """Left every run, small, and the mean of each cell, large; right the mean over the seeds (geometric)."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for place, cell in enumerate(found.cells):
        looks = {"color": f"C{place % _MOST}"}
        runs = found.of(cell)
        memory, errors = np.array([run.memory for run in runs], float), found.errors(cell)
        left.scatter(memory, errors, s=22, edgecolors="white", linewidths=0.5, zorder=3, **looks)
        left.scatter(memory.mean(), errors.mean(), s=90, edgecolors="white", label=words(cell), **looks)
        with np.errstate(divide="ignore"):  # of a gradient that is 0
            curve = np.exp(np.log([run.gradient for run in runs]).mean(0))
        line = "-" if place < _MOST else "--"
        right.plot(np.where(curve < _DEEPEST, np.nan, curve), line, linewidth=1.8, label=words(cell), **looks)
    finish(left, "Error and memory: small, each seed; large, the mean")
    left.set_xlabel(f"effective memory by gradient, in steps (a step is {found.step})")
    left.set_ylabel(f"{found.error} on the test, lower is better")
    left.margins(0.08)
    finish(right, "How strongly the last output feels the input k steps back")
    powers(right)
    right.axhline(0.1, color="#8a8a8a", linewidth=0.8, linestyle=":")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_xlabel("k: steps before the end")
    right.set_ylabel("norm of the gradient, as a part of the most")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=8, frameon=False, fontsize=9)
    return figure
