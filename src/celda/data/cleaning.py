"""From raw cells to clean rows: parsed, sorted, each time stamp once; what cannot be is an error that names its row."""

from typing import Any

import numpy as np
import pandas as pd

from celda.data.columns import ROW, Columns
from celda.data.parsing import parse_numbers, parse_stamps
from celda.data.reading import RawTable
from celda.errors import CeldaError

_MANY = 0.1  # of the rows share their time stamp with another where a table holds several series


def clean_rows(raw: RawTable, columns: Columns, *, known_future: bool = False) -> pd.DataFrame:
    """Give `unique_id`, `ds`, `y`, the covariates, and `ROW`, the position in `raw`; sorted by series, then time.

    Series stand in the order of their first rows. A table of the `known_future` has the future covariates alone.
    """
    rows = pd.DataFrame({"unique_id": _ids(raw, columns)})
    rows["ds"] = np.arange(len(rows)) if columns.time_col is None else parse_stamps(raw, columns.time_col)
    if not known_future:
        rows["y"] = _finite(raw, columns.target_col, "target", parse_numbers(raw, columns.target_col))
    for name in columns.future if known_future else columns.covariates:
        rows[name] = _covariate(raw, name)
    rows[ROW] = np.arange(len(rows))
    return _sorted(raw, columns, rows)


def _ids(raw: RawTable, columns: Columns) -> pd.Series:
    if columns.id_col is None:
        return pd.Series(columns.target_col, index=range(len(raw.frame)), dtype=object)
    ids = raw.frame[columns.id_col].reset_index(drop=True)
    if ids.isna().any():
        first = raw.at(int(ids.isna().argmax()))
        raise CeldaError(f"{first}: no series in column {columns.id_col!r}: every row says which series it is of.")
    return ids.astype(str).str.strip().astype(object)


def labels_of(raw: RawTable, columns: Columns, rows: pd.DataFrame) -> dict[str, Any]:
    """Give the name of each series as it was given, where it was no text."""
    if columns.id_col is None:
        return {}
    first = rows.drop_duplicates("unique_id")
    given = raw.frame[columns.id_col].iloc[first[ROW].to_numpy()]
    pairs = zip(first["unique_id"], given, strict=True)
    return {name: one for name, one in pairs if not isinstance(one, str)}


def _covariate(raw: RawTable, name: str) -> np.ndarray:
    """Give numbers, or text where less than half of the cells are numbers: then it is a category."""
    numbers = parse_numbers(raw, name)
    if isinstance(numbers, int):
        column = raw.frame[name]
        if pd.to_numeric(column.dropna().astype(str), errors="coerce").notna().mean() < 0.5:
            return column.where(column.isna(), column.astype(str).str.strip()).astype(object).to_numpy()
    return _finite(raw, name, "covariate", numbers)


def _finite(raw: RawTable, name: str, role: str, numbers: np.ndarray | int) -> np.ndarray:
    """Hold that the column could be read as numbers, none of them infinite."""
    if isinstance(numbers, int):
        raise CeldaError(
            f"{raw.at(numbers)}: {str(raw.frame[name].iloc[numbers])!r} in the {role} column {name!r} is not a number: "
            "correct it, or leave the cell empty where the value is missing."
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        first = raw.at(int(infinite.argmax()))
        raise CeldaError(f"{first}: the {role} column {name!r} is infinite: leave the cell empty where it is missing.")
    return numbers


def _sorted(raw: RawTable, columns: Columns, rows: pd.DataFrame) -> pd.DataFrame:
    series, _ = pd.factorize(rows["unique_id"])
    by_series = rows.iloc[np.argsort(series, kind="stable")]
    in_order = rows.iloc[np.lexsort((rows["ds"].to_numpy(), series))]
    if not by_series[ROW].equals(in_order[ROW]):
        raw.notes.append("The rows were not in the order of time: they have been sorted.")
    again = in_order.duplicated(["unique_id", "ds"]).to_numpy()
    if again.any():
        _complain_of_twice(raw, columns, in_order, int(again.argmax()))
    return in_order.reset_index(drop=True)


def _complain_of_twice(raw: RawTable, columns: Columns, in_order: pd.DataFrame, at: int) -> None:
    first, second = in_order.iloc[at - 1], in_order.iloc[at]
    hint = "drop one of the two rows (in the hour when clocks go back, give stamps with their offset)"
    if columns.id_col is None and (name := _naming_series(raw, columns, in_order)):
        hint = f"if the table holds several series, say which column names them: id_col={name!r}"
    which = "" if columns.id_col is None else f" in series {second['unique_id']!r}"
    raise CeldaError(
        f"{raw.at(int(second[ROW]))}: time stamp {second['ds']} is there twice{which}, first in "
        f"{raw.place(int(first[ROW]))}: {hint}."
    )


def _naming_series(raw: RawTable, columns: Columns, rows: pd.DataFrame) -> str | None:
    """The column that may name the series of a table in which many stamps are there twice.

    It holds text or whole numbers, few different ones, and tells apart all rows of the same stamp.
    """
    if rows["ds"].duplicated(keep=False).mean() < _MANY:
        return None
    for name, column in raw.frame.drop(columns=[columns.time_col, columns.target_col]).items():
        values = column.iloc[rows[ROW].to_numpy()].reset_index(drop=True)
        whole = not (pd.to_numeric(values, errors="coerce") % 1 > 0).any()  # text is no number
        apart = not pd.concat([rows["ds"].reset_index(drop=True), values], axis=1).duplicated().any()
        if whole and apart and values.notna().all() and values.nunique() <= len(values) // 3:
            return str(name)
    return None


def split_at_last_value(raw: RawTable, columns: Columns, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut each series into its history, from its first to its last value, and the rows after it.

    Rows without a target at the end are no history: they are a future that is known by its covariates alone.
    """
    present = rows["y"].notna()
    series = rows["unique_id"]
    empty = ~present.groupby(series, sort=False).any()
    if empty.any():
        which, hint = f" in series {empty.idxmax()!r}", "leave the series out"
        if len(empty) == 1:
            which, hint = "", "name another one with target_col"
        raise CeldaError(f"{raw.name}: the target column {columns.target_col!r} has no value at all{which}: {hint}.")
    # positions of the first and the last value of each series, broadcast to its rows
    position = pd.Series(np.arange(len(rows)), index=rows.index).where(present)
    before = rows.index < position.groupby(series, sort=False).transform("min")
    after = rows.index > position.groupby(series, sort=False).transform("max")
    if before.any():
        raw.notes.append(f"Rows before the first value of their series, left out: {before.sum()}.")
    if after.any() and not columns.future:
        raw.notes.append(f"Rows after the last value of their series, where the forecast begins: {after.sum()}.")
    history = rows[~(before | after)].reset_index(drop=True)
    if missing := int(history["y"].isna().sum()):
        raw.notes.append(
            f"Missing values of the target: {missing} of {len(history)}. They are neither learnt from nor scored, and "
            "marked as missing where a window holds them."
        )
    return history, rows[after].reset_index(drop=True)


def check_covariates(raw: RawTable, columns: Columns, rows: pd.DataFrame) -> None:
    """Hold that future covariates are never missing and that static ones do not vary within a series."""
    for name in columns.future:
        missing = rows[name].isna()
        if missing.any():
            first = rows.iloc[int(missing.argmax())]
            raise CeldaError(
                f"{raw.at(int(first[ROW]))}: the future covariate {name!r} is missing in series "
                f"{first['unique_id']!r} at {first['ds']}: fill it in, or give it as a past covariate."
            )
    for name in columns.static:
        values = rows[name].groupby(rows["unique_id"], sort=False)
        varies = values.nunique(dropna=True) > 1
        if varies.any():
            raise CeldaError(
                f"{raw.name}: the static covariate {name!r} varies within series {varies.idxmax()!r}: give it as a "
                "past or a future covariate."
            )
        missing = values.count() == 0
        if missing.any():
            raise CeldaError(
                f"{raw.name}: the static covariate {name!r} is missing in series {missing.idxmax()!r}: fill it in."
            )
