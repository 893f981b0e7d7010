"""How the figures look: panels, bands, and axes that name the day.

Made with matplotlib's objects alone, without pyplot, so that nothing global changes and no display is needed.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import IO, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import (
    MONDAY,
    AutoDateLocator,
    ConciseDateFormatter,
    DateLocator,
    DayLocator,
    WeekdayLocator,
)
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

ACTUAL, MODEL, QUIET = "#222222", "#c1440e", "#8a8a8a"
_BANDS = (0.30, 0.16, 0.10, 0.07)  # opacity, from the narrowest interval to the widest
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DPI = 130
_FEW = 15  # points of a line, below which each is marked

# Labels by what changes from one to the next: years, months, days, hours, minutes, seconds; and those of the first of
# its kind, such as January, the first of the month, midnight.
_CHANGES = ["%Y", "%b", "%a\n%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
_FIRSTS = ["", "%b\n%Y", "%a\n%d %b", "%a\n%d %b", "%H:%M", "%H:%M"]
_HOURS, _DAYS, _WEEKS = 3, 15, 100  # an axis of fewer days names hours; of no more, every day; every Monday


def save(figure: Figure, to: Path | IO[bytes], kind: str, **options: Any) -> None:
    """Write a figure as "png" or "svg". What stands in it is written as it is called: a `$` begins no formula."""
    with matplotlib.rc_context({"text.parse_math": False}):  # of labels that are made as they are drawn
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            text.set_parse_math(False)
        figure.savefig(to, format=kind, dpi=_DPI, **options)


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels below one another."""
    figure = Figure(figsize=(11, 1.6 + 3.1 * count), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(count)))


def bands(axis: Axes, rows: pd.DataFrame, model: str, level: Sequence[float]) -> None:
    """The intervals, the narrower the darker; of a single step, as bars."""
    for one, opacity in zip(sorted(level), _BANDS, strict=False):
        low, high = rows[f"{model}-lo-{one:g}"], rows[f"{model}-hi-{one:g}"]
        looks: dict[str, Any] = {"color": MODEL, "alpha": opacity, "label": f"{one:g} % interval"}
        if len(rows) == 1:
            axis.vlines(rows["ds"], low, high, linewidth=12, zorder=1, **looks)
        else:
            axis.fill_between(rows["ds"], low, high, linewidth=0, **looks)


def finish(axis: Axes, title: str, stamps: pd.Series | None = None) -> None:
    """What all panels have; `stamps`: those of an axis of time."""
    axis.set_title(title, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.25)
    axis.yaxis.set_major_formatter("{x:,.10g}")
    if stamps is not None:
        axis.margins(x=0.01)
        if pd.api.types.is_datetime64_any_dtype(stamps):
            _dates(axis, stamps)


def powers(axis: Axes) -> None:
    """A logarithmic axis upwards, labelled without a formula: 10⁻³."""
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(_Powers())
    axis.yaxis.set_minor_formatter(_Powers())


class _Powers(LogFormatter):
    """Which of the places are labelled is matplotlib's choice."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""
        digits, exponent = f"{x:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(RAISED)
        return power if digits == "1" else f"{digits} × {power}"


def legend(figure: Figure, axis: Axes) -> None:
    """The legend of `axis` for the whole figure, above its panels."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=8, frameon=False, fontsize=9)


def lone(points: Sized) -> str:
    """The marker of a line: none, unless its points are so few that each should be seen."""
    return "o" if len(points) < _FEW else ""


def words(name: str) -> str:
    """The name of a model as it is read."""
    return name.replace("_", " ")


def _dates(axis: Axes, stamps: pd.Series) -> None:
    """Labels that say the day and the month, and the weekday; what all of them share is said once, below the last."""
    first, last = stamps.min(), stamps.max()
    days = (last - first) / pd.Timedelta(days=1)
    shared = "%a %d %b %Y" if days < _HOURS else "%Y"
    axis.set_xlabel(" to ".join(dict.fromkeys((f"{first:{shared}}", f"{last:{shared}}"))), loc="right")
    if not days:
        axis.set_xticks([first], [f"{first:%H:%M}"])
        return
    locator: DateLocator = AutoDateLocator()
    if _HOURS <= days <= _DAYS:
        locator = DayLocator()
    elif _DAYS < days <= _WEEKS:
        locator = WeekdayLocator(MONDAY)
    axis.xaxis.set_major_locator(locator)
    formats = {"formats": _CHANGES, "zero_formats": _FIRSTS}
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False, **formats))
