"""The one line that answers files, columns and values that cannot be read."""

# ruff: noqa: E501 (an answer is one line, here too)
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celda.data import read_table
from tests.data.answers import CSV, DAYS, answered, frame

FILES = [
    ("missing.csv", None, "There is no file ...missing.csv: embedded data sets are: electricity."),
    ("electricty", None, "There is no file ...electricty: did you mean electricity?"),
    ("", None, "The path of the table is empty: write for example read_table('my.csv')."),
    ("my.csv", b"", "my.csv is empty: it needs a header line such as ds,y and a row for each time stamp."),
    ("my.csv", b" \n\n", "my.csv is empty: it needs a header line such as ds,y and a row for each time stamp."),
    ("my.csv", b"ds,y\n", "my.csv has a header and no rows: it needs a row for each time stamp."),
    ("my.csv", b"\x89PNG\r\n\0\0", "my.csv is not text: give a CSV (UTF-8) or a Parquet file with the suffix .parquet."),
    ("my.csv", CSV.encode("utf-16"), "my.csv is UTF-16 text: save it as UTF-8."),
    ("my.csv", "ds,y\n2020-01-01,5\nMärz,3\n".encode("latin-1"), "my.csv is not UTF-8 (line 3, byte 0xe4): save it as UTF-8."),
    ("my.xlsx", b"PK", "my.xlsx is a .xlsx file, which is not read: save it as CSV (UTF-8) or Parquet."),
    ("my.parquet", b"ds,y\n1,2", "my.parquet is not a Parquet file: write it with DataFrame.to_parquet, or give a CSV."),
    ("my.csv", b"2020-01-01,5\n2020-01-02,6\n", "my.csv begins with data (2020-01-01, 5): put a header line above it, such as ds,y."),
    ("my.csv", b"ds,y,y\n0,1,2\n", "my.csv has two columns named 'y': rename one of them."),
    ("my.csv", b"ds,y\n0,1\n1,2,3\n", "my.csv, line 3 has 3 cells and the header 2: a cell that holds ',' needs quotes, and a number a decimal point."),
    ("my.csv", b"ds;y\n0;1;5\n1;2;3\n", "my.csv, line 2 has 3 cells and the header 2: a cell that holds ';' needs quotes."),
    ("my.csv", b'ds,y\n0,"1\n1,2\n', "my.csv is not a table of cells: a quote is opened and never closed."),
    ("my.txt", b"A poem\nof two; or; three\n", "my.txt is not a table: its first line 'A poem' is no header of several columns, such as ds,y."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), FILES)
def test_files(tmp_path: Path, name, content, words):
    path = tmp_path / name if name else ""
    if content is not None:
        path.write_bytes(content)
    with answered(words):
        read_table(path)


def test_a_directory_and_things_that_are_no_source(tmp_path: Path):
    with answered("... is a directory: give the path of one CSV or Parquet file in it."):
        read_table(tmp_path)
    with answered(
        "A table is a pandas DataFrame, the path ... or the name of a data set, not a list: write for example ..."
    ):
        read_table([1, 2, 3])
    with answered("the DataFrame is empty: it needs a row for each time stamp."):
        read_table(pd.DataFrame({"ds": [], "y": []}))


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch):
    with answered("'ds,y...' cannot be read as a file: File name too long."):
        read_table(CSV)
    (tmp_path / "my.csv").write_text(CSV)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with answered("...my.csv' cannot be read as a file: Permission denied."):
        read_table(tmp_path / "my.csv")


def test_columns_that_are_no_names():
    with answered("the DataFrame has two columns named 'y': rename one of them."):
        read_table(frame().rename(columns={"ds": "y"}))
    with answered("The columns of the DataFrame have several levels: give it plain column names, such as ds and y."):
        read_table(pd.concat({"a": frame()}, axis=1))


def test_a_misspelt_file_is_answered_with_its_neighbour(tmp_path: Path):
    (tmp_path / "demand.csv").write_text(CSV)
    (tmp_path / "mine").mkdir()
    with answered("There is no file ...demnd.csv: did you mean demand.csv?"):
        read_table(tmp_path / "demnd.csv")
    for other in ("sales.csv", "mins.csv"):  # the suffix alone makes no name alike, and a folder is no table
        with answered(f"There is no file ...{other}: embedded data sets are: electricity."):
            read_table(tmp_path / other)


def test_a_series_and_an_array_are_answered_with_a_table():
    with answered("...not a Series: write for example series.rename_axis('ds').reset_index(name='y')."):
        read_table(pd.Series(np.arange(40.0), DAYS))
    for values in (np.arange(40.0), pd.Series(np.arange(40.0))):
        with answered("... write for example pd.DataFrame({'ds': stamps, 'y': values})."):
            read_table(values)


COLUMNS = [
    ({"target_col": "laod"}, {"load": 1.0}, "the DataFrame has no column 'laod' for the target (target_col): did you mean 'load'?"),
    ({"time_col": "when"}, {}, "the DataFrame has no column 'when' for the time stamps (time_col): the columns are ds, y."),
    ({"id_col": "shop"}, {}, "the DataFrame has no column 'shop' for the series (id_col): the columns are ds, y."),
    ({"past": ["temp"]}, {"temperature": 1.0}, "the DataFrame has no column 'temp' for the covariates: did you mean 'temperature'?"),
    ({"past": ["site"]}, {"temp": 1.0}, "the DataFrame has no column 'site' for the covariates: the columns are ds, y, temp."),
    ({"past": "wind"}, {"wind": 1.0}, "The past covariates are a list of columns: write past=['wind']."),
    ({"target_col": "load", "past": ["y"]}, {"load": 1.0}, "the DataFrame: a covariate cannot be called 'y', which is what Celda calls a column of its own: rename it."),
    ({"time_col": "when", "past": ["ds"]}, {"when": DAYS}, "the DataFrame: a covariate cannot be called 'ds', which is what Celda calls a column of its own: rename it."),
    ({"future": ["y"]}, {}, "the DataFrame: column 'y' is given two roles: name each column once."),
]  # fmt: skip


@pytest.mark.parametrize(("options", "more", "words"), COLUMNS)
def test_columns(options, more, words):
    with answered(words):
        read_table(frame(**more), **options)


def test_default_names_that_are_absent_and_cannot_be_guessed():
    with answered(
        "the DataFrame has no column 'ds' of time stamps: it may be 'from' or 'to'; say which with time_col."
    ):
        read_table(pd.DataFrame({"from": DAYS, "to": DAYS, "y": 1.0}))
    with answered("the DataFrame has no column 'ds' of time stamps: the columns are a, y; say which with time_col."):
        read_table(pd.DataFrame({"a": range(9), "y": range(9)}))
    with answered(
        "the DataFrame has no column 'y', and 2 columns of numbers (a, b): say which, as in target_col='a'; if each is a series of its own, stack them with pandas.melt and name id_col."
    ):
        read_table(pd.DataFrame({"ds": DAYS, "a": 1.0, "b": 2.0}))
    with answered("the DataFrame has no column 'y' and no other column of numbers: the columns are ds, a."):
        read_table(pd.DataFrame({"ds": DAYS, "a": "x"}))


def with_cell(column: str, row: int, value: object) -> pd.DataFrame:
    changed = frame(temperature=1.0).astype({column: object})
    changed.loc[row, column] = value
    return changed


CELLS = [
    ("y", 7, "12x", "the DataFrame, row 7 (counted from 0): '12x' in the target column 'y' is not a number: correct it, or leave the cell empty where the value is missing."),
    ("y", 7, float("inf"), "the DataFrame, row 7 (counted from 0): the target column 'y' is infinite: leave the cell empty where it is missing."),
    ("ds", 3, "2020-02-30", "the DataFrame, row 3 (counted from 0): '2020-02-30' in column 'ds' is not a time stamp: write it as 2020-12-31 or 2020-12-31 23:30."),
    ("ds", 3, None, "the DataFrame, row 3 (counted from 0): no time stamp in column 'ds': fill it in or drop the row."),
    ("ds", 3, "2020-01-03", "the DataFrame, row 3 (counted from 0): time stamp 2020-01-03 00:00:00 is there twice, first in row 2 (counted from 0): drop one of the two rows (...)."),
    ("temperature", 9, None, "the DataFrame, row 9 (counted from 0): the future covariate 'temperature' is missing in series 'y' at 2020-01-10 00:00:00: fill it in, or give it as a past covariate."),
    ("temperature", 9, "cold", "the DataFrame, row 9 (counted from 0): 'cold' in the covariate column 'temperature' is not a number: correct it, or leave the cell empty where the value is missing."),
]  # fmt: skip


@pytest.mark.parametrize(("column", "row", "value", "words"), CELLS)
def test_cells(column, row, value, words):
    changed = with_cell(column, row, value)
    changed["ds"] = changed["ds"].map(lambda stamp: stamp if isinstance(stamp, str | None) else f"{stamp:%Y-%m-%d}")
    with answered(words):
        read_table(changed, future=["temperature"])


def test_a_csv_is_answered_with_the_line(tmp_path: Path):
    path = tmp_path / "my.csv"
    path.write_text("\n" + CSV.replace("\n2020-01-05,4\n", "\n\n2020-01-05,four\n"))
    with answered("my.csv, line 8: 'four' in the target column 'y' is not a number: ..."):
        read_table(path)
    assert path.read_text().splitlines()[7] == "2020-01-05,four"


def test_commas_that_do_not_agree():
    text = ["1,234.5", "12,3", *map(str, range(38))]
    with answered("the DataFrame, row 0 (counted from 0): '1,234.5' in the target column 'y' is not a number: ..."):
        read_table(frame(y=text))
