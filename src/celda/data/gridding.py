"""Each series on the regular grid of its time stamps: steps that are not there become missing values."""

import numpy as np
import pandas as pd

from celda.data.columns import Columns
from celda.data.frequency import DAY, Frequency, infer_frequency
from celda.data.reading import RawTable
from celda.errors import CeldaError

_SPARSE = 10  # a grid with so many times the steps that are there is the wrong grid


def common_frequency(raw: RawTable, rows: pd.DataFrame) -> Frequency:
    """Infer the frequency of each series; give the one of the most rows. CeldaError where there is none."""
    votes: dict[Frequency, int] = {}
    for _, stamps in rows.groupby("unique_id", sort=False)["ds"]:
        frequency = infer_frequency(pd.Index(stamps))
        if frequency is not None:
            votes[frequency] = votes.get(frequency, 0) + len(stamps)
    if not votes:
        raise CeldaError(
            f"{raw.name}: a frequency cannot be inferred from fewer than three time stamps: pass freq ('h', 'D')."
        )
    return max(votes, key=lambda frequency: votes[frequency])


def to_grid(raw: RawTable, columns: Columns, rows: pd.DataFrame, frequency: Frequency) -> pd.DataFrame:
    """Put every series on its grid, from its first stamp to its last, with rows of missing values in the gaps.

    Future and static covariates are carried into the gaps from the row before. CeldaError where stamps lie off the
    grid, or where nine of ten steps would be missing.
    """
    blocks, positions, first_row = [], [], 0
    for name, stamps in rows.groupby("unique_id", sort=False)["ds"]:
        index = pd.Index(stamps)
        position = frequency.positions(index)
        if (position < 0).any():
            _complain_of_irregular(raw, rows, stamps.index, position, frequency)
        length = int(position[-1]) + 1
        if length > _SPARSE * len(index) + 100:
            raise CeldaError(
                f"{raw.name}: series {name!r} has {len(index)} rows from {index[0]} to {index[-1]}, which are {length} "
                f"steps of {frequency.name!r}: pass its true frequency (freq, --freq), or leave the series out."
            )
        blocks.append(pd.DataFrame({"unique_id": name, "ds": frequency.grid(index[0], length)}))
        positions.append(position + first_row)
        first_row += length
    grid = pd.concat(blocks, ignore_index=True)
    values = rows.drop(columns=["unique_id", "ds", "row"]).set_index(np.concatenate(positions))
    values = values.reindex(np.arange(first_row))
    if first_row > len(rows):
        raw.notes.append(
            f"{first_row - len(rows)} of {first_row} time stamps are not in the table: their values are missing."
        )
        carried = [*columns.future, *columns.static]
        values[carried] = values[carried].ffill()
    return pd.concat([grid, values], axis=1)


def round_to_grid(raw: RawTable, rows: pd.DataFrame, frequency: Frequency) -> pd.DataFrame:
    """Move every time stamp to the nearest step of the given frequency; values that meet there are averaged."""
    if frequency.seconds is None or frequency.seconds > DAY:
        return rows
    rounded = rows["ds"].dt.round(frequency.offset)
    moved = int((rounded != rows["ds"]).sum())
    if not moved:
        return rows
    how = {name: "mean" if pd.api.types.is_float_dtype(rows[name]) else "last" for name in rows.columns[2:]}
    result = rows.assign(ds=rounded).groupby(["unique_id", "ds"], sort=False, as_index=False).agg(how)
    raw.notes.append(
        f"{moved} time stamps are moved to the nearest step of {frequency.name!r}; {len(rows) - len(result)} rows are "
        "averaged with another."
    )
    return result


def _complain_of_irregular(
    raw: RawTable, rows: pd.DataFrame, index: pd.Index, position: np.ndarray, frequency: Frequency
) -> None:
    off = index[position < 0]
    first = rows.loc[off[0]]
    hint = f"correct them, or pass freq={frequency.name!r} (--freq) to move each to the nearest step and average"
    if frequency.seconds is None or frequency.seconds > DAY:
        hint = "bring all stamps to the same day of the period, such as the first of the month"
    raise CeldaError(
        f"{raw.at(int(first['row']))}: time stamp {first['ds']} of series {first['unique_id']!r} is not on the grid of "
        f"{frequency.name!r}, nor are {len(off) - 1} others of its {len(index)}: {hint}."
    )
