"""Long tables: series of unequal length, one under another, each on the regular grid of its time stamps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import starmap
from typing import Any

import numpy as np
import pandas as pd

from celda.checks import whole_number
from celda.data.cleaning import check_covariates, clean_rows, labels_of, split_at_last_value
from celda.data.columns import ROW, Columns, covariate_names, match_columns
from celda.data.frequency import Frequency
from celda.data.gridding import check_finer, check_holes, common_frequency, round_to_grid, rounds, to_grid
from celda.data.reading import RawTable, Source, read_source
from celda.errors import CeldaError


@dataclass(frozen=True)
class Table:
    """Series on a regular grid.

    `frame`: `unique_id` (str), `ds` (time stamps of microseconds, or int64), `y` (float64, NaN where missing), then the
    covariates under their own names (float64, or text where they are categories); a series is a block of rows in time
    order with no step left out.
    `later`: `unique_id`, `ds` and the future covariates of steps after the end of the series, where they are known.
    `horizon`: how many of each series' last steps are the future that `extend` appended.
    `notes`: what was guessed, sorted or filled in, one sentence each.
    `labels`: each `unique_id` as it was given, where it was no text, for instance.
    `habits`: how time was read where it could be read in two ways; `rounded`: whether stamps move to the nearest step.
    """

    frame: pd.DataFrame
    frequency: Frequency
    columns: Columns
    later: pd.DataFrame
    horizon: int = 0
    notes: tuple[str, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    habits: Mapping[str, bool] = field(default_factory=dict)
    rounded: bool = False

    @property
    def freq(self) -> str:
        """The name of the frequency, such as "30min"."""
        return self.frequency.name

    @cached_property
    def starts(self) -> np.ndarray:
        """(series + 1,) int64: rows starts[s] to starts[s + 1] of the frame are series s."""
        ids = self.frame["unique_id"].to_numpy()
        return np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1, [len(ids)]]).astype(np.int64)

    @property
    def ids(self) -> tuple[str, ...]:
        """The name of each series, in the order of the frame."""
        return tuple(self.frame["unique_id"].to_numpy()[self.starts[:-1]])

    @property
    def names(self) -> np.ndarray:
        """(series,): the name of each series as it was given, a number where it was one."""
        return np.array([self.labels.get(name, name) for name in self.ids])

    @property
    def lengths(self) -> np.ndarray:
        """(series,) int64: the steps of history of each series, without an appended future."""
        return np.diff(self.starts) - self.horizon

    @property
    def past(self) -> tuple[str, ...]:
        """Covariates known up to the present."""
        return self.columns.past

    @property
    def future(self) -> tuple[str, ...]:
        """Covariates known ahead of time."""
        return self.columns.future

    @property
    def static(self) -> tuple[str, ...]:
        """Covariates that are one value a series."""
        return self.columns.static

    def require(self, input_size: int, h: int) -> None:
        """Raise CeldaError where a series is too short for one window of `input_size` steps and a horizon of `h`."""
        check_horizon(h)
        if input_size < 1:
            raise CeldaError(
                f"The window has at least one step, not input_size={input_size}: write for example input_size=7."
            )
        short = int(self.lengths.argmin())
        length = int(self.lengths[short])
        if length < input_size + h:
            hint = f"input_size can be at most {length - h}" if length > h else f"h can be at most {length - 1}"
            raise CeldaError(
                f"Series {self.ids[short]!r} has {length} steps, fewer than the window of {input_size} and the horizon "
                f"of {h} together: {hint}, or leave the series out."
            )

    def until(self, end: np.ndarray | int) -> "Table":
        """Give the first `end[s]` steps of each series; one number holds for all, a negative one leaves out the last.

        What is cut off stays known as far as future covariates go: `until(end).extend(h)` is the test of a forecast.
        """
        lengths = np.broadcast_to(np.asarray(end, dtype=np.int64), self.lengths.shape)
        if np.ndim(end) == 0 and end < 0:
            lengths = self.lengths + end
        wrong = (lengths < 1) | (lengths > self.lengths)
        if wrong.any():
            s = int(wrong.argmax())
            raise CeldaError(
                f"Series {self.ids[s]!r} has {self.lengths[s]} steps and cannot be cut to {lengths[s]}: ask for "
                "fewer or shorter test windows, or leave the series out."
            )
        step = np.arange(len(self.frame)) - np.repeat(self.starts[:-1], np.diff(self.starts))
        keep = step < np.repeat(lengths, np.diff(self.starts))
        later = _stack(self.frame.loc[~keep, list(self.later.columns)], self.later)
        return replace(self, frame=self.frame[keep].reset_index(drop=True), later=later, horizon=0)

    def check_future(self) -> None:
        """Raise CeldaError where a table of the future would be of no use."""
        if not self.future:
            raise CeldaError(
                "A table of the future was given (future_df), and the forecast has no covariates that are known ahead "
                "of time: leave it out, or name them when training (future)."
            )

    def extend(self, h: int, future: Source | None = None) -> "Table":
        """Append the next `h` steps to each series: their time stamps, missing `y`, and their future covariates.

        These come from the table `future`, with the same names of columns, or from rows without a target at the end of
        the history. CeldaError where one is not given.
        """
        check_horizon(h)
        known, name, notes = self.later, "the table", self.notes
        if future is not None:
            self.check_future()
            raw = read_source(future)
            raw.habits.update(self.habits)
            name = raw.name
            columns = match_columns(raw, self.columns, target=False, exactly="as in the history")
            rows = clean_rows(raw, columns, known_future=True).drop(columns=ROW)
            if self.frequency.is_integer == pd.api.types.is_datetime64_any_dtype(rows["ds"]):
                ours, theirs = ("steps", "dates") if self.frequency.is_integer else ("dates", "steps")
                raise CeldaError(
                    f"{name}: time is given as {theirs}, and in the history as {ours}: give both in the same way."
                )
            if columns.id_col is None and len(self.ids) == 1:
                rows["unique_id"] = self.ids[0]
            elif columns.id_col is None:
                raise CeldaError(
                    f"{name} has no column {self.columns.id_col!r} that says which of the {len(self.ids)} series a row "
                    "is of: add it."
                )
            known, notes = _stack(rows, known), (*notes, *raw.notes)
        by_series = dict(iter(known.groupby("unique_id", sort=False))) if self.future else {}
        blocks = []
        for s, series in enumerate(self.ids):
            history = self.frame.iloc[self.starts[s] : self.starts[s + 1]]
            stamps = self.frequency.future(history["ds"].iloc[-1], h)
            steps = pd.DataFrame({"unique_id": series, "ds": stamps})
            if self.future:
                steps = self._with_future(steps, by_series.get(series, known[:0]), name)
            blocks += [history, steps.assign(**{column: history[column].iloc[0] for column in self.static})]
        frame = pd.concat(blocks, ignore_index=True)[self.frame.columns]
        return replace(self, frame=frame, horizon=self.horizon + h, notes=notes)

    def _with_future(self, steps: pd.DataFrame, known: pd.DataFrame, name: str) -> pd.DataFrame:
        known = known.drop_duplicates("ds").set_index("ds").sort_index()
        nearest = {"method": "nearest", "tolerance": self.frequency.step / 2} if self.rounded else {}
        known = known.reindex(pd.Index(steps["ds"]), **nearest)
        for column in self.future:
            missing = known[column].isna().to_numpy()
            if missing.any():
                series, stamp = steps["unique_id"][0], steps["ds"][int(missing.argmax())]
                raise CeldaError(
                    f"The future covariate {column!r} of series {series!r} at {stamp} is not in {name}: give it for "
                    f"each of the {len(steps)} steps to forecast, in a table of the future (future_df) or in rows "
                    "without a target."
                )
        return steps.assign(**{column: known[column].to_numpy() for column in self.future})


def read_table(
    source: Source,
    *,
    id_col: str = "unique_id",
    time_col: str | None = "ds",
    target_col: str = "y",
    past: Sequence[str] = (),
    future: Sequence[str] = (),
    static: Sequence[str] = (),
    freq: str | None = None,
    likely: str | None = None,
    exactly: str | None = None,
) -> Table:
    """Read a long table: one row for each series and time stamp.

    `source`: a DataFrame, the path of a CSV or Parquet file, or the name of an embedded data set.
    `id_col`, `time_col`, `target_col`: its columns; without `id_col` there is one series, named after `target_col`.
    `past`, `future`, `static`: columns of covariates, known up to the present, ahead of time, or fixed for a series.
    `freq`: a pandas frequency; inferred where it is not given. Given, it also moves stamps to the nearest step.
    `likely`: a frequency that is taken without more ado where the stamps lie on its grid with few gaps.
    `exactly`: why the columns are just these and none is guessed, as a part of a sentence.

    Raises CeldaError, in one line with the place and the remedy, where the table cannot be used.
    """
    raw = read_source(source)
    covariates = starmap(covariate_names, [("past", past), ("future", future), ("static", static)])
    columns = match_columns(raw, Columns(id_col, time_col, target_col, *covariates), exactly=exactly)
    rows = clean_rows(raw, columns)
    labels = labels_of(raw, columns, rows)
    rows, later = split_at_last_value(raw, columns, rows)
    check_covariates(raw, columns, rows)
    frequency = common_frequency(raw, rows, likely) if freq is None else _given_frequency(raw, rows, freq)
    if freq is not None:
        rows = round_to_grid(raw, rows, frequency)
        check_finer(raw, rows, frequency)
    frame = to_grid(raw, columns, rows, frequency)
    if freq is None:
        check_holes(raw, rows, frame, frequency)
    _note_constant(raw, frame)
    later = later[["unique_id", "ds", *columns.future]]
    notes = tuple(raw.notes)
    return Table(
        frame,
        frequency,
        columns,
        later,
        notes=notes,
        labels=labels,
        habits=raw.habits,
        rounded=freq is not None and rounds(frequency),
    )


def check_horizon(h: int) -> None:
    """Raise CeldaError where the horizon is not a whole number of steps of at least 1."""
    if whole_number(h) is None:
        raise CeldaError(
            f"The horizon is the number of steps to forecast, at least 1, not h={h!r}: write for example h=24."
        )


def _given_frequency(raw: RawTable, rows: pd.DataFrame, freq: str) -> Frequency:
    frequency = Frequency(str(freq))
    if frequency.is_integer == pd.api.types.is_datetime64_any_dtype(rows["ds"]):
        held, example = ("time stamps", "h") if frequency.is_integer else ("whole numbers", "1")
        raise CeldaError(
            f"{raw.name}: time is given as {held}, so freq={freq!r} cannot be: write for example freq={example!r}."
        )
    return frequency


def _stack(*frames: pd.DataFrame) -> pd.DataFrame:
    """One under another; empty frames have no say in the types of the columns."""
    return pd.concat([frame for frame in frames if len(frame)] or [frames[0]], ignore_index=True)


def _note_constant(raw: RawTable, frame: pd.DataFrame) -> None:
    varied = frame.groupby("unique_id", sort=False)["y"].nunique()
    constant = varied.index[varied == 1]
    if len(constant):
        more = f" (and {len(constant) - 1} other series)" if len(constant) > 1 else ""
        raw.notes.append(f"Warning: series {constant[0]!r}{more} never changes: there is nothing to learn from it.")
