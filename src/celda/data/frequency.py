"""The frequency of a series: its name, its grid of time stamps, its seasons; and how it is inferred."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from celda.errors import CeldaError

Stamp: TypeAlias = Any  # a pd.Timestamp, or an int where time is an integer index

MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800

_SHARED = 0.1  # with a smaller part of the differences alike, the stamps are near a clock's beat at most
_CLOCK = (  # seconds
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5),
    *(unit * n for unit in (1, MINUTE) for n in (1, 2, 5, 10, 15, 20, 30)),
    *(HOUR * n for n in (1, 2, 3, 4, 6, 8, 12)),
    *(DAY, WEEK),
)

_EXAMPLES = "'30min', 'h', 'D', 'B', 'W-SUN', 'MS', 'ME', 'QS', 'YS', or a whole number for an integer index"
# pandas 2.1 has other names than pandas 2.2 and later
_NAMES_IN_PANDAS_2_1 = {"ME": "M", "BME": "BM", "QE": "Q", "YE": "A", "YS": "AS"}
_FORMER_NAMES = {"H": "h", "T": "min", "S": "s", "M": "ME", "BM": "BME", "Q": "QE", "BQ": "BQE", "A": "YE", "Y": "YE"}
# Cycles of the calendar frequencies, in units of their names
_CALENDAR_CYCLES = {
    "B": (5, 261),
    **dict.fromkeys(["MS", "ME", "BMS", "BME"], (12,)),
    **dict.fromkeys(["QS", "QE", "BQS", "BQE"], (4,)),
}
_WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
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
        former = stem.lstrip("0123456789")
        if former in _FORMER_NAMES:
            now = stem.removesuffix(former) + _FORMER_NAMES[former] + dash + anchor
            raise CeldaError(f"The frequency {self.name!r} is unknown: write {now!r}, as pandas calls it now.")
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
            if self.is_integer:
                return ()
            units = _CALENDAR_CYCLES.get(self.name.partition("-")[0].lstrip("0123456789"), ())
            return tuple(n // self.offset.n for n in units if n % self.offset.n == 0 and n > self.offset.n)
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
            ticks, step = self._ticks(stamps)
            phase, _ = _most_frequent(ticks % step)  # the first stamp may be the one that is off
            found = np.where(ticks % step == phase, (ticks - phase) // step, -1)
        on_grid = found[found >= 0]
        return np.where(found >= 0, found - on_grid[0], -1) if len(on_grid) else found

    def nearest(self, stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Move each stamp to the nearest point of the grid that most of them share, or of the clock's if there is none.

        For fixed steps only.
        """
        ticks, step = self._ticks(stamps)
        phase, count = _most_frequent(ticks % step)
        phase = phase if 2 * count >= len(stamps) else 0
        return pd.DatetimeIndex(((ticks - phase + step // 2) // step * step + phase).view("datetime64[us]"))

    def _ticks(self, stamps: pd.Index) -> tuple[np.ndarray, int]:
        """Stamps and step as whole numbers of one unit."""
        unit = "int64" if self.is_integer else "datetime64[us]"
        return stamps.to_numpy().astype(unit).astype(np.int64), int(np.asarray(self.step).astype(np.int64))


def infer_frequency(stamps: pd.Index) -> Frequency | None:
    """Infer the frequency of one series from its sorted, distinct stamps, of which some may be missing.

    It is the most frequent difference, or one nearly as frequent that alone has a grid with all stamps on it; read as
    months, quarters or years where the stamps begin or end months, and as business days where none is on a weekend.
    None where there are fewer than three stamps.
    """
    if len(stamps) < 3:
        return None
    common, share = _common_step(stamps.to_numpy())
    if not isinstance(stamps, pd.DatetimeIndex):
        return Frequency(str(common))
    microseconds = int(common.astype("timedelta64[us]").astype("int64"))
    if share < _SHARED:
        microseconds = _natural(stamps) or microseconds
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
        return Frequency(_counted(days // 7, f"W-{_WEEKDAYS[_most_frequent(stamps.day_of_week)[0]]}"))
    return Frequency(_counted(days, "D"))


def _natural(stamps: pd.DatetimeIndex) -> int | None:
    """A clock's step, in microseconds, that half of the differences are within a tenth of, if there is one."""
    differences = np.diff(stamps.as_unit("us").asi8)
    middle = float(np.median(differences))
    step = min((round(seconds * 10**6) for seconds in _CLOCK), key=lambda step: abs(step - middle))
    near = np.abs(differences - step) <= step / 10
    return step if 2 * near.sum() > len(near) else None


def _common_step(stamps: np.ndarray) -> tuple[Any, float]:
    """The step, and the share of the differences that are the most frequent one."""
    differences, counts = np.unique(np.diff(stamps), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    # with many gaps, twice the step may by chance be more frequent than the step itself
    frequent = differences[order[2 * counts[order] >= counts.max()]]
    since_first = stamps - stamps[0]
    step = next((step for step in frequent if not (since_first % step).astype(np.int64).any()), frequent[0])
    return step, counts.max() / counts.sum()


def _infer_months(stamps: pd.DatetimeIndex) -> Frequency | None:
    months = stamps.year * 12 + stamps.month
    n = int(_most_frequent(np.diff(months))[0])
    for edge, day in (("S", stamps), ("E", stamps + pd.Timedelta("1D"))):
        if (day.day == 1).all():
            month = int(_most_frequent(stamps.month)[0]) - 1
            if n == 12:
                return Frequency(f"Y{edge}-{_MONTHS[month]}")
            if n == 3:
                return Frequency(f"Q{edge}-{('JAN', 'FEB', 'DEC')[month % 3]}")
            return Frequency(_counted(n, f"M{edge}"))
    if (stamps.day == stamps.day[0]).all():
        return Frequency(_counted(n, "MS"))  # the 15th of each month, say: no grid has that, and to_grid says so
    business = {"BMS": pd.offsets.BusinessMonthBegin(), "BME": pd.offsets.BusinessMonthEnd()}
    for name, offset in business.items():
        if n == 1 and all(offset.is_on_offset(stamp) for stamp in stamps):
            return Frequency(name)
    return None


def _most_frequent(values: np.ndarray | pd.Index) -> tuple[Any, int]:
    """The value that is there most often, the smallest of them, and how often."""
    found, counts = np.unique(np.asarray(values), return_counts=True)
    return found[counts.argmax()], int(counts.max())


def _counted(n: int, unit: str) -> str:
    return unit if n == 1 else f"{n}{unit}"
