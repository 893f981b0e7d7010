"""The one line that answers time stamps and frequencies that cannot be used."""
# ruff: noqa: E501 (an answer is one line, here too)

import numpy as np
import pandas as pd
import pytest

from celda.data import read_table
from tests.data.answers import DAYS, answered, frame


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
