"""How the figures of a report look: light or dark, a colour for each kind of gate, and axes of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap

from celda.drawing import MODEL, QUIET

BLUE, GREEN, PURPLE, TEAL = "#3b7dc4", "#5f9a3f", "#9a62b5", "#2f9c95"
_KINDS = {"forget gate": BLUE, "update gate": BLUE, "input gate": GREEN, "output gate": MODEL, "gate": TEAL}
_KINDS |= {"candidate": PURPLE}
_TICKS = 9  # labels of an axis of steps
_ALL = 60  # characters: so many are all written


@dataclass(frozen=True)
class Theme:
    """Colours of what is written, and of what it is written on."""

    name: str
    ink: str
    paper: str

    @property
    def opening(self) -> Colormap:
        """From closed, the paper, to open."""
        return LinearSegmentedColormap.from_list("opening", [self.paper, BLUE, self.strong])

    @property
    def signed(self) -> Colormap:
        """From negative through 0, the paper, to positive."""
        return LinearSegmentedColormap.from_list("signed", ["#2c6fad", self.paper, MODEL])

    @property
    def strong(self) -> str:
        """The far end of a scale."""
        return "#12294a" if self.name == "light" else "#d9ecff"


LIGHT = Theme("light", "#222222", "#ffffff")
DARK = Theme("dark", "#dfe1e5", "#17191d")


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Figures that are made inside the block are of this theme; matplotlib's own settings come back after it."""
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
    settings: dict[Any, Any] = {**dict.fromkeys(inks, theme.ink), **dict.fromkeys(papers, theme.paper)}
    settings |= {"grid.color": QUIET, "svg.hashsalt": "celda"}  # the same figure is the same file
    with matplotlib.rc_context(settings):
        yield


def colour(kind: str, ink: str) -> str:
    """The colour of a value by its role; memory and output are as what is written."""
    return _KINDS.get(kind, ink)


def step_axis(axis: Axes, labels: Sequence[object]) -> None:
    """An axis of steps 0, 1, ..., labelled with a few of their time stamps, or with all their characters."""
    count = len(labels)
    axis.set_xlim(-0.5, count - 0.5)
    if all(isinstance(label, str) for label in labels):
        places = range(count) if count <= _ALL else _spread(count)
        axis.set_xticks(list(places), [_visible(str(labels[place])) for place in places])
        return
    if not all(isinstance(label, np.datetime64 | pd.Timestamp) for label in labels):
        axis.set_xticks(_spread(count), [str(labels[place]) for place in _spread(count)])
        return
    stamps = pd.Series(pd.to_datetime(pd.Series(list(labels))))
    days = np.flatnonzero(stamps.dt.normalize() == stamps)
    hours = len(days) < count
    places = days.tolist() if hours and 1 < len(days) <= _TICKS else _spread(count)
    below = "%H:%M" if hours else "%Y"
    axis.set_xticks(places, [f"{stamps.iloc[place]:%a %d %b\n{below}}" for place in places])


def _spread(count: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, _TICKS))})


def _visible(character: str) -> str:
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(character, character)
