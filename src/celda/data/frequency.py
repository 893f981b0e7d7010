"""The frequency of a series: its name, its grid of time stamps, its seasons; and how it is inferred."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from celda.errors import CeldaError

Stamp: TypeAlias = Any  # a pd.Timestamp, or an int where time is an integer index

MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800

_EXAMPLES = "'30min', 'h', 'D', 'B', 'W-SUN', 'MS', 'ME', 'QS', 'YS', or a whole number for an integer index"
# pandas 2.1 has other names than pandas 2.2 and later
_NAMES_IN_PANDAS_2_1 = {"ME": "M", "BME": "BM", "QE": "Q", "YE": "A", "YS": "AS"}
# Seasons of the calendar frequencies, in steps
_CALENDAR_SEASONS = {"B": (5, 261), **dict.fromkeys(["MS", "ME", "BMS", "BME"], (12,)), "QS": (4,), "QE": (4,)}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@dataclass(frozen=True)
class Frequency:
    """The step from one time stamp to the next.

    `name` is a pandas frequency ("30min", "h", "D", "B", "W-SUN", "MS", "QE-DEC", ...), or a whole number ("1") where
    time is an integer index. Raises CeldaError where the name is neither.
    """

    name: str

    def __post_init__(self) -> None:
        if (int(self.name) if self.is_integer else self.offset.n) < 1:
            raise CeldaError(f"The frequency {self.name!r} does not go forward: write {_EXAMPLES}.")

    @property
    def is_integer(self) -> bool:
        """Whether time is an integer index."""
        return self.name.isdecimal()

    @cached_property
    def offset(self) -> pd.offsets.BaseOffset:
        """The pandas offset of the name (not for an integer index)."""
        stem, dash, anchor = self.name.partition("-")
        for name in (self.name, _NAMES_IN_PANDAS_2_1.get(stem, stem) + dash + anchor):
            try:
                return pd.tseries.frequencies.to_offset(name)
            except ValueError:
                continue
        raise CeldaError(f"The frequency {self.name!r} is unknown: write {_EXAMPLES}.")

    @cached_property
    def seconds(self) -> float | None:
        """The length of a step in seconds; None where it varies (months, business days) or time is an integer index."""
        if self.is_integer:
            return None
        if isinstance(self.offset, pd.offsets.Week):
            return float(self.offset.n * WEEK)
        if isinstance(self.offset, pd.offsets.Day):  # not a Tick in pandas 3
            return float(self.offset.n * DAY)
        return self.offset.nanos / 1e9 if isinstance(self.offset, pd.offsets.Tick) else None

    @cached_property
    def step(self) -> Any:
        """The fixed difference of two stamps, a timedelta64 or an int; None where it varies."""
        if self.is_integer:
            return int(self.name)
        return None if self.seconds is None else np.timedelta64(round(self.seconds * 1e6), "us")

    @property
    def seasons(self) -> tuple[int, ...]:
        """The natural season lengths in steps, shortest first: (48, 336) for half-hours, (7, 365) for days."""
        if self.seconds is None:
            return () if self.is_integer else _CALENDAR_SEASONS.get(self.name.partition("-")[0], ())
        step = round(self.seconds * 1e6)
        # a minute or an hour is a season of fine steps only
        cycles = [(MINUTE, 12), (HOUR, 12), (DAY, 2), (WEEK, 2)]
        counts = [(cycle * 10**6 // step, least) for cycle, least in cycles if cycle * 10**6 % step == 0]
        year = (365,) if self.seconds == DAY else (52,) if self.seconds == WEEK else ()
        return (*(n for n, least in counts if n >= least), *year)

    def grid(self, first: Stamp, n: int) -> pd.Index:
        """Give the `n` stamps that begin with `first`."""
        if self.is_integer:
            return pd.RangeIndex(first, first + n * int(self.name), int(self.name)).astype("int64")
        if self.step is not None:
            return pd.DatetimeIndex(np.datetime64(first, "us") + np.arange(n) * self.step)
        return pd.date_range(first, periods=n, freq=self.offset).as_unit("us")

    def future(self, last: Stamp, h: int) -> pd.Index:
        """Give the `h` stamps after `last`."""
        return self.grid(last, h + 1)[1:]

    def positions(self, stamps: pd.Index) -> np.ndarray:
        """Give each of the sorted stamps its step on the grid they share, from 0; -1 where it lies off that grid."""
        if self.step is None:
            grid = pd.date_range(stamps[0], stamps[-1], freq=self.offset).as_unit("us")
            found = grid.get_indexer(stamps)
        else:
            ticks = stamps.to_numpy().astype("int64")
            step = int(self.step) if self.is_integer else self.step.astype("int64")
            phases, counts = np.unique(ticks % step, return_counts=True)
            phase = phases[counts.argmax()]  # of the most stamps: the first stamp may be the one that is off
            found = np.where(ticks % step == phase, (ticks - phase) // step, -1)
        on_grid = found[found >= 0]
        return np.where(found >= 0, found - on_grid[0], -1) if len(on_grid) else found


def infer_frequency(stamps: pd.Index) -> Frequency | None:
    """Infer the frequency of one series from its sorted, distinct stamps, of which some may be missing.

    It is the most frequent difference, read as months, quarters or years where the stamps begin or end months, and as
    business days where no stamp is on a weekend. None where there are fewer than three stamps.
    """
    if len(stamps) < 3:
        return None
    differences, counts = np.unique(np.diff(stamps.to_numpy()), return_counts=True)
    common = differences[counts.argmax()]
    if not isinstance(stamps, pd.DatetimeIndex):
        return Frequency(str(common))
    microseconds = int(common.astype("timedelta64[us]").astype("int64"))
    if microseconds >= 28 * DAY * 10**6 and (months := _infer_months(stamps)):
        return months
    days, rest = divmod(microseconds, DAY * 10**6)
    if rest:
        units = {"h": HOUR * 10**6, "min": MINUTE * 10**6, "s": 10**6, "ms": 1_000, "us": 1}
        unit, length = next((unit, length) for unit, length in units.items() if microseconds % length == 0)
        return Frequency(_counted(microseconds // length, unit))
    if days == 1 and not (stamps.day_of_week >= 5).any() and (stamps[-1] - stamps[0]).days >= 10:
        return Frequency("B")
    if days % 7 == 0:
        return Frequency(_counted(days // 7, f"W-{_most_frequent(stamps.strftime('%a')).upper()}"))
    return Frequency(_counted(days, "D"))


def _infer_months(stamps: pd.DatetimeIndex) -> Frequency | None:
    months = stamps.year * 12 + stamps.month
    n = int(_most_frequent(np.diff(months)))
    for edge, on_edge in (("S", stamps.is_month_start), ("E", stamps.is_month_end)):
        if on_edge.all():
            month = int(_most_frequent(stamps.month)) - 1
            if n == 12:
                return Frequency(f"Y{edge}-{_MONTHS[month]}")
            if n == 3:
                return Frequency(f"Q{edge}-{_MONTHS[month % 3 if edge == 'S' else month % 3 + 9]}")
            return Frequency(_counted(n, f"M{edge}"))
    business = {"BMS": pd.offsets.BusinessMonthBegin(), "BME": pd.offsets.BusinessMonthEnd()}
    for name, offset in business.items():
        if n == 1 and all(offset.is_on_offset(stamp) for stamp in stamps):
            return Frequency(name)
    return None


def _most_frequent(values: Sequence | np.ndarray | pd.Index) -> Any:
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return found[counts.argmax()]


def _counted(n: int, unit: str) -> str:
    return unit if n == 1 else f"{n}{unit}"
