"""Each series on the regular grid of its time stamps: steps that are not there become missing values."""

from collections import Counter

import numpy as np
import pandas as pd

from celda.data.columns import ROW, Columns
from celda.data.frequency import DAY, HOUR, Frequency, infer_frequency
from celda.data.reading import RawTable
from celda.errors import CeldaError

_SPARSE = 10  # a grid with so many times the stamps that are there is the wrong grid


def common_frequency(raw: RawTable, rows: pd.DataFrame, likely: str | None = None) -> Frequency:
    """Infer the frequency of each series; give the one that fits all, or else that of the most rows.

    The `likely` one is taken where at least two of three of its steps are there. CeldaError where there is none.
    """
    series = [pd.Index(stamps) for _, stamps in rows.groupby("unique_id", sort=False)["ds"]]
    if likely is not None and _is_dense(Frequency(likely), series):
        return Frequency(likely)
    votes: Counter[Frequency] = Counter()
    for stamps in series:
        frequency = infer_frequency(stamps)
        if frequency is not None:
            votes[frequency] += len(stamps)
    if not votes:
        raise CeldaError(
            f"{raw.name}: a frequency cannot be inferred from fewer than three time stamps: pass one, as in freq='h'."
        )
    by_votes = [frequency for frequency, _ in votes.most_common()]
    if len(by_votes) == 1:
        return by_votes[0]
    # a series with many gaps may seem to have twice the step of the others
    fitting = (frequency for frequency in by_votes if all(_fits(frequency, stamps) for stamps in series))
    return next(fitting, by_votes[0])


def _fits(frequency: Frequency, stamps: pd.Index) -> bool:
    positions = frequency.positions(stamps)
    return bool((positions >= 0).all()) and not _is_sparse(positions)


def _is_dense(frequency: Frequency, series: list[pd.Index]) -> bool:
    if any(frequency.is_integer == isinstance(stamps, pd.DatetimeIndex) for stamps in series):
        return False
    positions = [frequency.positions(stamps) for stamps in series]
    if any((position < 0).any() for position in positions):
        return False
    return 2 * sum(int(position[-1]) + 1 for position in positions) <= 3 * sum(map(len, series))


def _is_sparse(positions: np.ndarray) -> bool:
    return bool(positions[-1] >= _SPARSE * len(positions) + 100)


def check_holes(raw: RawTable, rows: pd.DataFrame, frame: pd.DataFrame, frequency: Frequency) -> None:
    """Hold that an inferred integer step does not leave most of the grid `frame` empty: it says little by itself."""
    if frequency.is_integer and len(frame) > 2 * len(rows):
        raise CeldaError(
            f"{raw.name}: whole numbers as time make {len(frame)} steps of {frequency.name} and only {len(rows)} are "
            f"there: write dates as 2020-12-31, or pass freq={frequency.name!r} if the rest is really missing."
        )


def check_finer(raw: RawTable, rows: pd.DataFrame, frequency: Frequency) -> None:
    """Hold that a frequency that was given is not finer than the table's own: every other step would be missing."""
    series = [pd.Index(stamps) for _, stamps in rows.groupby("unique_id", sort=False)["ds"]]
    steps = sum(int(frequency.positions(stamps)[-1]) + 1 for stamps in series)
    if steps < 2 * len(rows) - len(series):
        return
    own = {infer_frequency(stamps) for stamps in series}
    found = own.pop()
    if own or found is None or found == frequency or not all(_fits(found, stamps) for stamps in series):
        return
    raise CeldaError(
        f"{raw.name}: of the {steps} steps of freq={frequency.name!r} {steps - len(rows)} would be missing, as the "
        f"table's own frequency is {found.name!r}: write freq={found.name!r}, or leave it out."
    )


def to_grid(raw: RawTable, columns: Columns, rows: pd.DataFrame, frequency: Frequency) -> pd.DataFrame:
    """Put every series on its grid, from its first stamp to its last, with rows of missing values in the gaps.

    Future covariates are carried into the gaps from the row before. CeldaError where stamps lie off the grid, or where
    nine of ten steps would be missing.
    """
    blocks, positions, first_row = [], [], 0
    for name, stamps in rows.groupby("unique_id", sort=False)["ds"]:
        index = pd.Index(stamps)
        position = frequency.positions(index)
        if (position < 0).any():
            _complain_of_irregular(raw, rows, stamps.index, position, frequency)
        length = int(position[-1]) + 1
        if _is_sparse(position):
            raise CeldaError(
                f"{raw.name}: series {name!r} has {len(index)} rows from {index[0]} to {index[-1]}, which are {length} "
                f"steps of {frequency.name!r}: pass its true frequency with freq, or leave the series out."
            )
        blocks.append(pd.DataFrame({"unique_id": name, "ds": frequency.grid(index[0], length)}))
        positions.append(position + first_row)
        first_row += length
    grid = pd.concat(blocks, ignore_index=True)
    values = rows.drop(columns=["unique_id", "ds", ROW]).set_index(np.concatenate(positions))
    values = values.reindex(np.arange(first_row))
    if first_row > len(rows):
        raw.notes.append(
            f"Time stamps that are not in the table, taken as missing: {first_row - len(rows)} of {first_row}."
        )
        values[[*columns.future]] = values[[*columns.future]].ffill()
    for name in columns.static:
        values[name] = values[name].groupby(grid["unique_id"], sort=False).transform("first")
    return pd.concat([grid, values], axis=1)


def rounds(frequency: Frequency) -> bool:
    """Whether stamps can be moved to a nearest step: it has a fixed length, of a day at most."""
    return frequency.seconds is not None and frequency.seconds <= DAY


def round_to_grid(raw: RawTable, rows: pd.DataFrame, frequency: Frequency) -> pd.DataFrame:
    """Move every time stamp to the nearest step of the given frequency; values that meet there are averaged."""
    if not rounds(frequency):
        return rows
    by_series = rows.groupby("unique_id", sort=False)["ds"]
    rounded = pd.concat([pd.Series(frequency.nearest(pd.DatetimeIndex(s)), index=s.index) for _, s in by_series])
    moved = int((rounded != rows["ds"]).sum())
    if not moved:
        return rows
    how = {name: "mean" if pd.api.types.is_float_dtype(rows[name]) else "last" for name in rows.columns[2:]}
    result = rows.assign(ds=rounded).groupby(["unique_id", "ds"], sort=False, as_index=False).agg(how)
    if len(result) < len(rows) / 2:
        raise CeldaError(
            f"{raw.name}: freq={frequency.name!r} is coarser than the table, of which it would average {len(rows)} "
            f"rows to {len(result)}: sum or average the rows first (pandas: resample), or leave freq out."
        )
    raw.notes.append(
        f"Time stamps moved to the nearest step of {frequency.name!r}: {moved}; averaged with another: "
        f"{len(rows) - len(result)}."
    )
    return result


def _of_the_clock(stamps: pd.Index) -> bool:
    """Whether daily stamps stand at two hours next to one another, as local midnights in UTC do."""
    moments = pd.DatetimeIndex(stamps)
    hours = np.unique((moments - moments.normalize()).total_seconds().to_numpy())
    return len(hours) == 2 and float(np.ptp(hours)) in (HOUR, DAY - HOUR)


def _complain_of_irregular(
    raw: RawTable, rows: pd.DataFrame, index: pd.Index, position: np.ndarray, frequency: Frequency
) -> None:
    off = index[position < 0]
    first = rows.loc[off[0]]
    stamps = pd.Index(rows.loc[index, "ds"])
    own = infer_frequency(stamps)
    if own is not None and own != frequency and (own.positions(stamps) >= 0).all():
        raise CeldaError(
            f"{raw.name}: series {first['unique_id']!r} has the frequency {own.name!r} and others have "
            f"{frequency.name!r}: give series of one frequency at a time."
        )
    if frequency.is_integer:
        hint = "correct them, or pass freq='1'"
    elif frequency.seconds is None or frequency.seconds > DAY:
        hint = f"bring all to the day of the period that {frequency.name!r} stands for, such as the first of the month"
    elif frequency.seconds == DAY and _of_the_clock(stamps):
        hint = "clocks have changed: give local times (pandas: tz_convert, then tz_localize(None)), or dates alone"
    else:
        hint = f"correct them, or pass freq={frequency.name!r} to move each to the nearest step and average"
    raise CeldaError(
        f"{raw.at(int(first[ROW]))}: time stamp {first['ds']} of series {first['unique_id']!r} is not on the grid of "
        f"{frequency.name!r}, as {len(off)} of its {len(index)} are not: {hint}."
    )
