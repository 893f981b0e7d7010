"""From a user's file or folder to labelled sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from celda.data.class_folders import read_class_folders, read_recordings
from celda.data.conll import read_conll
from celda.data.labelled import Labelled
from celda.data.parsing import parse_numbers
from celda.data.reading import RawTable, Source, bytes_of, decode, read_source
from celda.data.ts_file import read_ts
from celda.errors import CeldaError, meant

TEXT_COL, TOKEN_COL, ID_COL = "text", "token", "id"  # what these columns are called where nothing else is said
_TABLES = {".csv", ".tsv", ".parquet", ".pq"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How labelled sequences are read: the columns of a table, by name, and what there must be.

    `word_col` holds a text a row, or a word a step. missing: whether values may be. labelled: whether there must be
    labels. words: whether a table must hold words, as a model has learnt from.
    """

    word_col: str
    label_col: str
    id_col: str
    time_col: str | None
    missing: bool
    labelled: bool
    words: bool


def read_classified(source: Source, asked: Asked) -> Labelled:
    """Read sequences with a label each: a `.ts` file, a folder of folders, or a table.

    A table with a column of texts holds one a row; one with a column of names a step of a series a row; any other a
    series a row, its steps side by side.
    """
    text_col, label_col, labelled, missing = asked.word_col, asked.label_col, asked.labelled, asked.missing
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.is_dir():
            return read_class_folders(path, labelled=labelled)
        if path.suffix.lower() == ".wav":
            if labelled:
                raise CeldaError(
                    f"{path.name} is one recording, without a label: give a folder with a folder of recordings for "
                    "each class."
                )
            return read_recordings([path], [path.name], path.name)
        if path.suffix.lower() == ".ts":
            data = read_ts(path, decode(path.name, bytes_of(path)))
            if not missing and any(np.isnan(one).any() for one in data.inputs):
                raise CeldaError(f"{path.name} has missing values (?), and missing='error': write missing='mask'.")
            return data
    raw = read_source(source, header=f"{text_col},{label_col}", row="sequence, or for each step of one")
    if labelled:
        _require(raw, label_col, "labels", "label_col")
        _require_named(raw, asked)
    if asked.words:
        _require_learnt(raw, text_col, "texts")
    if text_col != TEXT_COL:
        _require(raw, text_col, "texts", "text_col")
    if text_col in raw.frame:
        texts = raw.frame[text_col]
        _refuse_missing(raw, text_col)
        if pd.api.types.is_numeric_dtype(texts.dtype) or not texts.astype(str).str.contains("[^0-9.,+-]").any():
            raise CeldaError(f"{raw.name}: column {text_col!r} holds numbers, not texts: name another (text_col).")
        inputs, kind = texts.astype(str).tolist(), "text"
    elif asked.id_col in raw.frame:
        return _long(raw, asked, a_step=False)
    else:
        columns = [str(name) for name in raw.frame.columns if name != label_col]
        if not columns:
            raise CeldaError(
                f"{raw.name} has no column beside {label_col!r}: it needs one of texts (text_col), or of numbers."
            )
        inputs, kind = list(_numbers(raw, columns, missing, "text_col")[..., None]), "series"
    labels = _labels(raw, label_col) if labelled else None
    known = None if kind == "text" else tuple(columns)
    return Labelled(kind, inputs, labels, raw.name, notes=tuple(raw.notes), columns=known)  # type: ignore[arg-type]


def read_tagged(source: Source, asked: Asked) -> Labelled:
    """Read sequences with a label a step: CoNLL columns, or a table with a row a step and the sequence's name in it.

    A table with a column of words holds these; in any other all further columns are features of the step.
    """
    token_col, label_col, id_col, labelled = asked.word_col, asked.label_col, asked.id_col, asked.labelled
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if path is not None and path.suffix.lower() not in _TABLES and not path.is_dir():
        return read_conll(path, decode(path.name, bytes_of(path)), labelled=labelled)
    raw = read_source(source, header=f"{id_col},{token_col},{label_col}", row="step of a sequence")
    if labelled:
        _require(raw, label_col, "labels", "label_col")
        _require_named(raw, asked)
    if asked.words:
        _require_learnt(raw, token_col, "words")
    if token_col != TOKEN_COL:
        _require(raw, token_col, "words", "token_col")
    if token_col not in raw.frame:
        return _long(raw, asked, a_step=True)
    _refuse_missing(raw, token_col)
    ids, groups = _groups(raw, id_col, None)
    tokens = raw.frame[token_col].astype(str).to_numpy(dtype=object)
    labels = _labels(raw, label_col) if labelled else None
    inputs = [tokens[rows].tolist() for rows in groups]
    tags = None if labels is None else [labels[rows] for rows in groups]
    return Labelled("words", inputs, tags, raw.name, ids=ids, notes=tuple(raw.notes))


def _long(raw: RawTable, asked: Asked, a_step: bool) -> Labelled:
    """A table with a row a step; `a_step`: with a label at each."""
    label_col, id_col, time_col = asked.label_col, asked.id_col, asked.time_col
    ids, groups = _groups(raw, id_col, time_col)
    columns = [name for name in raw.frame.columns if name not in (label_col, id_col, time_col)]
    if not columns:
        raise CeldaError(f"{raw.name} has no column of features beside {raw.columns_in_words()}: it needs one.")
    values = _numbers(raw, columns, asked.missing, "token_col" if a_step else "text_col")
    clocks = None
    if time_col is not None:
        clock = _clock(raw, time_col)
        clocks = [clock[rows] for rows in groups]
    labels = None
    if asked.labelled:
        found = _labels(raw, label_col)
        labels = [found[rows] for rows in groups] if a_step else _one_each(raw, found, groups, ids, label_col)
    inputs = [values[rows] for rows in groups]
    return Labelled("series", inputs, labels, raw.name, clocks, ids, tuple(raw.notes), tuple(columns))


def _groups(raw: RawTable, id_col: str, time_col: str | None) -> tuple[list[str], list[np.ndarray]]:
    """The names of the sequences, in the order of the table, and the rows of each, in the order of time."""
    if id_col not in raw.frame:
        rows, ids = [np.arange(len(raw.frame))], [raw.name]  # the table is one sequence
    else:
        _refuse_missing(raw, id_col)
        codes, names = pd.factorize(raw.frame[id_col])
        order = np.argsort(codes, kind="stable")
        rows, ids = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1), [str(name) for name in names]
    if time_col is not None:
        clock = _clock(raw, time_col)
        rows = [one[np.argsort(clock[one], kind="stable")] for one in rows]
    return ids, rows


def _clock(raw: RawTable, time_col: str) -> np.ndarray:
    """A column of times: numbers, or time stamps as seconds."""
    _require(raw, time_col, "times", "time_col")
    _refuse_missing(raw, time_col)
    numbers = parse_numbers(raw, time_col) if not _is_stamp(raw.frame[time_col]) else 0
    if isinstance(numbers, np.ndarray):
        return numbers
    stamps = pd.to_datetime(raw.frame[time_col], format="ISO8601", errors="coerce")
    if stamps.isna().any():
        row = int(stamps.isna().to_numpy().argmax())
        raise CeldaError(f"{raw.at(row)}: {raw.frame[time_col].iloc[row]!r} in column {time_col!r} is no time.")
    seconds: np.ndarray = (stamps - stamps.min()).dt.total_seconds().to_numpy()
    return seconds


def _is_stamp(column: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(column.dtype)


def _numbers(raw: RawTable, columns: list[str], missing: bool, words: str) -> np.ndarray:
    """Columns of numbers as (rows, columns); `words` is the option that names a column of words."""
    parsed = []
    for name in columns:
        found = parse_numbers(raw, name)
        if isinstance(found, int):
            raise CeldaError(
                f"{raw.at(found)}: {raw.frame[name].iloc[found]!r} in column {name!r} is no number. Without a column "
                f"of words ({words}) all but those of labels, names and times are features: leave it out, or say what "
                f"it is, {words}={name!r} for example."
            )
        if not missing and np.isnan(found).any():
            row = int(np.isnan(found).argmax())
            raise CeldaError(
                f"{raw.at(row)}: no value in column {name!r}, and missing='error': fill it in, or write missing='mask'."
            )
        parsed.append(found)
    return np.stack(parsed, axis=1)


def _labels(raw: RawTable, label_col: str) -> np.ndarray:
    _refuse_missing(raw, label_col)
    labels: np.ndarray = raw.frame[label_col].astype(str).str.strip().to_numpy(dtype=str)
    return labels


def _one_each(raw: RawTable, found: np.ndarray, groups: list[np.ndarray], ids: list[str], label_col: str) -> np.ndarray:
    for name, rows in zip(ids, groups, strict=True):
        if (differs := found[rows] != found[rows[0]]).any():
            raise CeldaError(
                f"{raw.at(int(rows[differs.argmax()]))}: series {name!r} has two labels in column {label_col!r}; "
                "a label for each step is learnt by celda.Tagger (celda train tag)."
            )
    return np.array([found[rows[0]] for rows in groups])


def _require(raw: RawTable, column: str, what: str, option: str) -> None:
    if column not in raw.frame:
        raise CeldaError(
            f"{raw.name} has no column {column!r} of {what}, only {raw.columns_in_words()}: "
            + (f"did you mean {near!r}? " if (near := meant(column, raw.frame.columns)) else "")
            + f"name it ({option})."
        )


def _require_named(raw: RawTable, asked: Asked) -> None:
    """A column of names that was asked for is there: without one, each row would be a sequence, or all rows."""
    if asked.id_col != ID_COL:
        _require(raw, asked.id_col, "names of sequences", "id_col")


def _require_learnt(raw: RawTable, column: str, what: str) -> None:
    if column not in raw.frame:
        raise CeldaError(
            f"{raw.name} has no column {column!r}, which the model has learnt from, only {raw.columns_in_words()}: "
            f"rename the one that holds the {what}."
        )


def _refuse_missing(raw: RawTable, column: str) -> None:
    gone = raw.frame[column].isna().to_numpy()
    if gone.any():
        raise CeldaError(f"{raw.at(int(gone.argmax()))}: column {column!r} is empty there: fill it in or drop the row.")
