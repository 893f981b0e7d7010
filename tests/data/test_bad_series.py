"""The one line that answers series, lengths and covariates that do not fit."""

# ruff: noqa: E501 (an answer is one line, here too)
from pathlib import Path

import numpy as np
import pandas as pd

from celda.data import Preprocessor, Windows, read_table
from tests.data.answers import DAYS, answered, frame, two_series


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
