"""What cannot be read, and the one line that answers it."""
# ruff: noqa: E501 (an answer is one line, here too)

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celda.data import Preprocessor, Windows, read_table
from celda.errors import CeldaError

DAYS = pd.date_range("2020-01-01", periods=40)
CSV = "ds,y\n" + "".join(f"{day:%Y-%m-%d},{i}\n" for i, day in enumerate(DAYS))


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame({"ds": DAYS, "y": np.arange(40.0)} | columns)


def two_series() -> pd.DataFrame:
    return pd.concat([frame(unique_id="a"), frame(unique_id="b")], ignore_index=True)


def answered(words: str):
    """The error's message: one line that begins and ends so, with anything for `...`."""
    pattern = ".*".join(map(re.escape, words.split("...")))
    return pytest.raises(CeldaError, match=rf"\A(?!.*\n){pattern}\Z")


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


def test_time_stamps():
    with answered(
        "the DataFrame, row 0 (counted from 0): '01/02/2020' in column 'ds' may be day first or month first, and the other rows do not tell which: write dates as 2020-12-31."
    ):
        read_table(pd.DataFrame({"ds": ["01/02/2020", "02/02/2020", "03/02/2020"], "y": 1.0}))
    with answered(
        "the DataFrame, row 0 (counted from 0): '13/02/2020' in column 'ds' may be day first or month first, ..."
    ):
        read_table(pd.DataFrame({"ds": ["13/02/2020", "02/13/2020", "03/02/2020"], "y": 1.0}))
    with answered(
        "the DataFrame, row 1 (counted from 0): '2020-01-01 01:00' in column 'ds' and the stamps before it do not agree on having a time zone: give every time stamp its offset, or none."
    ):
        read_table(pd.DataFrame({"ds": ["2020-01-01 00:00+01:00", "2020-01-01 01:00"], "y": 1.0}))
    with answered(
        "the DataFrame, row 1 (counted from 0): 0.5 in column 'ds' is neither a time stamp nor a whole number: ..."
    ):
        read_table(pd.DataFrame({"ds": [0, 0.5, 1], "y": 1.0}))


def test_frequency():
    with answered(
        "the DataFrame: a frequency cannot be inferred from fewer than three time stamps: pass one, as in freq='h'."
    ):
        read_table(frame()[:2])
    with answered("The frequency 'monthly' is unknown: write '30min', ..."):
        read_table(frame(), freq="monthly")
    with answered("the DataFrame: time is given as time stamps, so freq='1' cannot be: write for example freq='h'."):
        read_table(frame(), freq="1")
    with answered("the DataFrame: time is given as whole numbers, so freq='D' cannot be: write for example freq='1'."):
        read_table(frame(ds=range(40)), freq="D")
    with answered(
        "the DataFrame: freq='D' is coarser than the table, of which it would average 40 rows to 3: sum or average the rows "
        "first (pandas: resample), or leave freq out."
    ):
        read_table(frame(ds=pd.date_range("2020-01-01", periods=40, freq="h")), freq="D")
    late = frame(ds=[*DAYS[:-1], pd.Timestamp("2020-02-09 07:30")])
    with answered(
        "the DataFrame, row 39 (counted from 0): time stamp 2020-02-09 07:30:00 of series 'y' is not on the grid of 'D', as 1 of its 40 are not: correct them, or pass freq='D' to move each to the nearest step and average."
    ):
        read_table(late)
    with answered(
        "the DataFrame: series 'y' has 40 rows from 2020-01-01 00:00:00 to 2050-01-01 00:00:00, which are 10959 steps of 'D': pass its true frequency with freq, or leave the series out."
    ):
        read_table(frame(ds=[*DAYS[:-1], pd.Timestamp("2050-01-01")]))


@pytest.mark.parametrize(
    ("own", "given", "missing"), [("h", "30min", 39), ("h", "15min", 117), ("MS", "D", 1147), ("2", "1", 39)]
)
def test_a_frequency_finer_than_the_table(own, given, missing):
    stamps = range(0, 80, 2) if own == "2" else pd.date_range("2020-01-01", periods=40, freq=own)
    with answered(
        f"the DataFrame: of the {40 + missing} steps of freq='{given}' {missing} would be missing, as the table's own "
        f"frequency is '{own}': write freq='{own}', or leave it out."
    ):
        read_table(frame(ds=stamps), freq=given)


def test_a_given_frequency_with_many_holes_is_taken():
    hours = pd.date_range("2020-01-01", periods=200, freq="h")
    kept = np.random.default_rng(0).permutation(200)[:40]
    assert read_table(frame(ds=hours[np.sort(kept)]), freq="h").freq == "h"


def test_steps_off_their_grid():
    with answered(
        "the DataFrame, row 39 (counted from 0): time stamp 79 of series 'y' is not on the grid of '2', as 1 of its 40 are not: correct them, or pass freq='1'."
    ):
        read_table(frame(ds=[*range(0, 78, 2), 79]))
    with answered(
        "... is not on the grid of 'MS', ...: bring all to the day of the period that 'MS' stands for, such as the first of the month."
    ):
        read_table(
            frame(ds=[*pd.date_range("2020-01-01", periods=39, freq="MS"), pd.Timestamp("2030-01-15")]), freq="MS"
        )


def test_months_that_do_not_begin_on_the_first_are_still_months():
    months = pd.date_range("2020-01-01", periods=40, freq="MS") + pd.Timedelta("14D")
    with answered("... is not on the grid of 'MS', as 40 of its 40 are not: bring all to the day of the period ..."):
        read_table(frame(ds=months))


def test_days_that_a_clock_change_has_moved():
    moved = [f"{day:%Y-%m-%d}T{21 if day.day > 20 else 22}:00Z" for day in DAYS]
    with answered("... not on the grid of 'D', ...: clocks have changed: give local times (...), or dates alone."):
        read_table(frame(ds=moved))


def test_whole_numbers_that_are_mostly_holes():
    steps = [*range(30), *range(100, 110)]
    words = (
        "the DataFrame: whole numbers as time make 110 steps of 1 and only 40 are there: write dates as 2020-12-31, ..."
    )
    with answered(words):
        read_table(frame(ds=steps))
    assert len(read_table(frame(ds=steps), freq="1").frame) == 110


def test_series_of_two_frequencies():
    mixed = pd.concat(
        [frame(unique_id="a"), frame(unique_id="b", ds=pd.date_range("2020-01-01", periods=40, freq="h"))]
    )
    with answered(
        "the DataFrame: series 'b' has the frequency 'h' and others have 'D': give series of one frequency at a time."
    ):
        read_table(mixed)


def test_series():
    with answered("the DataFrame: the target column 'y' has no value at all in series 'b': leave the series out."):
        read_table(two_series().assign(y=lambda t: t["y"].where(t["unique_id"] == "a")))
    with answered(
        "the DataFrame, row 3 (counted from 0): no series in column 'unique_id': every row says which series it is of."
    ):
        read_table(two_series().assign(unique_id=lambda t: t["unique_id"].mask(t.index == 3)))
    with answered(
        "the DataFrame, row 40 (counted from 0): time stamp 2020-01-01 00:00:00 is there twice, first in row 0 (counted from 0): if the table holds several series, say which column names them: id_col='shop'."
    ):
        read_table(two_series().rename(columns={"unique_id": "shop"}))
    with answered(
        "the DataFrame, row 79 (counted from 0): time stamp 2020-01-01 00:00:00 is there twice in series 'b', first in row 40 (counted from 0): drop one of the two rows ..."
    ):
        read_table(two_series().assign(ds=lambda t: t["ds"].mask(t.index == 79, DAYS[0])))
    with answered(
        "the DataFrame: the static covariate 'size' varies within series 'a': give it as a past or a future covariate."
    ):
        read_table(two_series().assign(size=range(80)), static=["size"])
    with answered("the DataFrame: the static covariate 'size' is missing in series 'b': fill it in."):
        read_table(
            two_series().assign(size=lambda t: (t["unique_id"] == "a").map({True: 1.0, False: None})), static=["size"]
        )


def test_a_column_names_series_only_where_it_does(tmp_path: Path):
    """Text or whole numbers, few of them, that tell apart the many rows of one stamp."""
    hint = "...: if the table holds several series, say which column names them: id_col='meter'."
    for names in (["a", "b"], [1, 2]):
        meters = two_series().assign(temp=np.linspace(0, 9, 80), unique_id=np.repeat(names, 40))
        meters.rename(columns={"unique_id": "meter"}).to_csv(tmp_path / "my.csv", index=False)
        with answered(hint):
            read_table(tmp_path / "my.csv")
    twice = frame(temp=np.linspace(0, 9, 40), sky="grey").assign(degrees=np.arange(40) // 4)
    twice = pd.concat([twice, twice.iloc[[7]].assign(temp=3.3, sky="blue", degrees=30)])
    twice.to_csv(tmp_path / "my.csv", index=False)
    with answered("my.csv, line 42: time stamp 2020-01-08 00:00:00 is there twice, first in line 9: drop one of ..."):
        read_table(tmp_path / "my.csv")
    pd.concat([twice, twice]).to_csv(tmp_path / "my.csv", index=False)
    with answered("...: drop one of the two rows ..."):
        read_table(tmp_path / "my.csv")


def test_a_target_without_any_value():
    with answered("the DataFrame: the target column 'y' has no value at all: name another one with target_col."):
        read_table(frame(y=np.nan))


def test_lengths_and_horizons():
    table = read_table(frame())
    with answered(
        "Series 'y' has 40 steps, fewer than the window of 30 and the horizon of 14 together: input_size can be at most 26, or leave the series out."
    ):
        table.require(30, 14)
    with answered(
        "Series 'y' has 40 steps, fewer than the window of 30 and the horizon of 40 together: h can be at most 39, or leave the series out."
    ):
        table.require(30, 40)
    for h in (0, -3, 1.5, True, "7"):
        with answered(
            f"The horizon is the number of steps to forecast, at least 1, not h={h!r}: write for example h=24."
        ):
            table.require(7, h)
    with answered("The window has at least one step, not input_size=0: write for example input_size=7."):
        table.require(0, 7)
    with answered(
        "Series 'y' has 40 steps and cannot be cut to -20: ask for fewer or shorter test windows, or leave the series out."
    ):
        table.until(table.lengths - 60)
    with answered("Series 'y' has 40 steps and cannot be cut to 0: ..."):
        table.until(-40)


def test_a_horizon_that_the_panel_lacks():
    table = read_table(frame())
    preprocessor = Preprocessor.fit(table)
    with answered("The panel holds 0 steps of the future and h is 7: transform table.extend(7)."):
        Windows.latest(preprocessor.transform(table), 14, 7)
    with answered("Series 'y' has 40 steps, fewer than the window of 60: give more of its history."):
        Windows.latest(preprocessor.transform(table.extend(7)), 60, 7)


def test_future_covariates_that_are_not_given():
    table = read_table(frame(price=1.0), future=["price"])
    words = "The future covariate 'price' of series 'y' at 2020-02-10 00:00:00 is not in the table: give it for each of the 3 steps to forecast, in a table of the future (future_df) or in rows without a target."
    with answered(words):
        table.extend(3)
    known = pd.DataFrame({"ds": pd.date_range("2020-02-10", periods=2), "price": [1.0, 2.0]})
    with answered(words.replace("02-10", "02-12").replace("in the table", "in the DataFrame")):
        table.extend(3, known)
    with answered("the DataFrame: time is given as steps, and in the history as dates: give both in the same way."):
        table.extend(3, known.assign(ds=[40, 41]))
    with answered("the DataFrame has no column 'price' for the covariates: the columns are ds, cost."):
        table.extend(3, known.rename(columns={"price": "cost"}))


def test_covariates_that_cannot_be_encoded():
    table = read_table(frame(name=[f"n{i}" for i in range(40)]), past=["name"])
    many = pd.concat([frame(name=[f"{series}{i}" for i in range(40)], unique_id=series) for series in "ab"])
    with answered(
        "The covariate 'name' has 80 different texts ('a0', 'a1', ...), more than the 64 categories that are learnt: group them, or give numbers."
    ):
        Preprocessor.fit(read_table(many, past=["name"]))
    empty = frame(wind=[None] * 30 + [1.0] * 10)
    with answered("The covariate 'wind' has no value in the training part: leave it out."):
        Preprocessor.fit(read_table(empty, past=["wind"]).until(30))
    fitted = Preprocessor.fit(read_table(frame(wind=1.0), past=["wind"]))
    with answered("The covariate 'wind' was learnt as a number and is now text ('strong'): give numbers."):
        fitted.transform(read_table(frame(wind="strong"), past=["wind"]))
    with answered(
        "The model was fitted at the frequency 'D' and the table has 'h': read it with freq='D', or fit a model to it."
    ):
        fitted.transform(
            read_table(frame(wind=1.0, ds=pd.date_range("2020-01-01", periods=40, freq="h")), past=["wind"])
        )
    assert Preprocessor.fit(table).past_names[:2] == ("name=n0", "name=n1")
