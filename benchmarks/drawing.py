"""The ratios by shape as one figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.arithmetic import mean_value
from benchmarks.measure import Times, by_shape
from benchmarks.report import write
from benchmarks.rows import Row

FASTER, SLOWER, INK, FAINT, GRID = "#1f6fb4", "#c8553d", "#222222", "#7d7d7d", "#e6e6e6"
COLUMNS = 3
FINE, COARSE = (0.5, 0.7, 1, 1.5, 2, 3, 4), tuple(2.0**k for k in range(-6, 10))
KEY = (
    "A line for each shape: steps, sequences, width of the input, units.   Dot: ratio of the median times, blue where "
    "Celda is faster.   Band: quartiles of the rounds.   Dashed: what is asked."
)


def draw(title: str, rows: Sequence[Row], times: Times, path: Path) -> None:
    """Write a PNG with a panel for each row that was measured and whose number is a speed over a peer's."""
    drawn = [row for row in rows if row.more_is_better and not row.percent and by_shape(row, times)]
    if not drawn:
        return
    lines = [drawn[k : k + COLUMNS] for k in range(0, len(drawn), COLUMNS)]
    heights = [1.4 + 0.26 * max(len(by_shape(row, times)) for row in line) for line in lines]
    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.1)
    figure = Figure(figsize=(14, 1.1 + sum(heights)), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(lines), COLUMNS, height_ratios=heights)
    for i, line in enumerate(lines):
        for k, row in enumerate(line):
            _panel(figure.add_subplot(grid[i, k]), row, times)
    heading = textwrap.fill(f"How many times as fast as its peers: {title}", 100)
    figure.suptitle(heading, x=0.01, ha="left", fontsize=15, weight="bold")
    figure.supxlabel(KEY, x=0.01, ha="left", fontsize=9.5, color=FAINT)
    figure.savefig(path, dpi=150)


def _panel(axes: Axes, row: Row, times: Times) -> None:
    found = by_shape(row, times)
    values = [*found.values(), mean_value(list(found.values()))]
    beside = axes.get_yaxis_transform()
    for y, value in enumerate(values):
        mean = y == len(found)
        colour = FASTER if value.middle >= 1 else SLOWER
        axes.plot([1, value.middle], [y, y], color=colour, lw=1.2, alpha=0.4, zorder=2)
        axes.plot([value.low, value.high], [y, y], color=colour, lw=5, alpha=0.3, solid_capstyle="round", zorder=3)
        axes.plot(value.middle, y, "D" if mean else "o", color=colour, ms=6.5, zorder=4)
        number, weight = write(value.middle, "x"), "bold" if mean else "normal"
        axes.text(1.14, y, number, transform=beside, ha="right", va="center", fontsize=9, weight=weight, color=INK)
    axes.axvline(1, color=INK, lw=0.9, zorder=1)
    axes.axvline(row.demands[0].least, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
    axes.set_title(textwrap.fill(row.what[0].upper() + row.what[1:], 42), loc="left", fontsize=10.5, weight="bold")
    axes.set_yticks(range(len(values)), [*map(str, found), "geometric mean"])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xscale("log")
    ends = [1.0, row.demands[0].least, *(v.low for v in values), *(v.high for v in values)]
    axes.set_xlim(min(ends) / 1.12, max(ends) * 1.12)
    axes.xaxis.set_major_locator(FixedLocator(FINE if max(ends) / min(ends) < 5 else COARSE))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    axes.tick_params(length=0, colors=INK, labelsize=8.5)
    axes.grid(axis="x", color=GRID, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
