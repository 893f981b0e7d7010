import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celda.data import Frequency, read_table
from celda.errors import CeldaError

HOURS = pd.date_range("2020-01-01", periods=48, freq="h")


def series(name: str, n: int, first: int = 0) -> pd.DataFrame:
    steps = np.arange(first, first + n)
    return pd.DataFrame({"unique_id": name, "ds": HOURS[0] + pd.to_timedelta(steps, "h"), "y": steps.astype(float)})


def test_many_series_of_unequal_length():
    table = read_table(pd.concat([series("b", 30), series("a", 20, first=5), series("c", 10)]))
    assert table.ids == ("b", "a", "c")  # as they come
    assert list(table.lengths) == [30, 20, 10]
    assert list(table.starts) == [0, 30, 50, 60]
    assert table.notes == ()
    assert list(table.frame.columns) == ["unique_id", "ds", "y"]
    assert list(table.frame["y"][30:50]) == list(range(5, 25))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_gaps_become_missing_values_wherever_the_rows_stand(seed):
    random = np.random.default_rng(seed)
    whole = pd.concat([series("a", 40), series("b", 30, first=7)], ignore_index=True)
    inner = ~whole.index.isin([0, 39, 40, 69])
    lost = inner & (random.random(70) < 0.3)
    blank = inner & (random.random(70) < 0.1)
    whole.loc[blank, "y"] = np.nan
    table = read_table(whole[~lost].sample(frac=1, random_state=seed))
    order = {name: whole[whole["unique_id"] == name] for name in table.ids}
    expected = pd.concat(order.values(), ignore_index=True)
    expected["y"] = expected["y"].where(~pd.concat([pd.Series(lost)[part.index] for part in order.values()]).to_numpy())
    np.testing.assert_array_equal(table.frame["ds"], expected["ds"])
    np.testing.assert_array_equal(table.frame["unique_id"], expected["unique_id"])
    np.testing.assert_array_equal(table.frame["y"], expected["y"])


def test_sorting_and_gaps_are_noted():
    table = read_table(series("a", 40).drop(index=[5, 6])[::-1])
    assert table.notes == (
        "The rows were not in the order of time: they have been sorted.",
        "Time stamps that are not in the table, taken as missing: 2 of 40.",
    )


def test_a_series_that_never_changes_is_noted():
    table = read_table(series("a", 40).assign(y=5.0))
    assert table.notes == ("Warning: series 'a' never changes: there is nothing to learn from it.",)


def test_a_history_is_from_the_first_to_the_last_value():
    frame = series("a", 40).assign(y=lambda t: t["y"].mask((t.index < 3) | (t.index >= 35) | (t.index == 10)))
    table = read_table(frame)
    assert list(table.lengths) == [32]
    assert table.frame["ds"].iloc[0] == HOURS[3]
    assert table.frame["y"].isna().sum() == 1
    assert [note.split(":")[0] for note in table.notes] == [
        "Rows before the first value of their series, left out",
        "Rows after the last value of their series, where the forecast begins",
        "Missing values of the target",
    ]


def test_covariates_in_a_gap_are_carried():
    frame = series("a", 10).assign(price=np.arange(10.0), size=3.0, wind=1.0).drop(index=[4])
    row = read_table(frame, past=["wind"], future=["price"], static=["size"]).frame.iloc[4]
    assert (row["price"], row["size"]) == (3, 3)
    assert np.isnan(row["y"])
    assert np.isnan(row["wind"])


def test_a_given_frequency_moves_stamps_and_averages():
    frame = pd.DataFrame({"ds": HOURS[[0, 1, 2, 4, 5]], "y": [0.0, 1, 2, 4, 5]})
    frame.loc[1, "ds"] += pd.Timedelta("10min")
    frame.loc[5] = [HOURS[5] - pd.Timedelta("1min"), 7.0]
    table = read_table(frame, freq="h")
    np.testing.assert_array_equal(table.frame["y"], [0, 1, 2, np.nan, 4, 6])
    assert "Time stamps moved to the nearest step of 'h': 2; averaged with another: 1." in table.notes


@pytest.mark.parametrize(("first", "freq"), [("2020-01-01 00:30", "h"), ("2020-01-01 12:00", "D"), ("2020-01-01", "W")])
def test_a_given_frequency_leaves_a_regular_grid_alone(first, freq):
    stamps = Frequency(freq).grid(pd.Timestamp(first), 30)
    table = read_table(pd.DataFrame({"ds": stamps, "y": range(30)}), freq=freq)
    assert pd.DatetimeIndex(table.frame["ds"]).equals(stamps)
    assert table.notes == ()


def test_a_covariate_may_be_called_row():
    table = read_table(series("a", 10).assign(row=np.arange(10.0)[::-1]), past=["row"])
    assert list(table.frame["row"]) == list(range(9, -1, -1))


def test_a_static_covariate_need_not_be_repeated():
    frame = pd.concat([series("a", 10), series("b", 10)], ignore_index=True)
    frame["city"] = frame.index.map({3: "Leeds", 15: "York"})
    table = read_table(frame.drop(index=[5]), static=["city"])
    assert list(table.frame["city"]) == ["Leeds"] * 10 + ["York"] * 10


def test_until_and_extend_go_back_and_forth():
    frame = pd.concat([series("a", 40), series("b", 30)]).assign(price=lambda t: t["y"] * 2, size=1.0)
    table = read_table(frame, future=["price"], static=["size"])
    cut = table.until(table.lengths - [10, 4])
    assert list(cut.lengths) == [30, 26]
    again = cut.extend(4)  # what was cut off is known as far as prices go
    assert again.horizon == 4
    assert list(again.lengths) == [30, 26]
    assert list(np.diff(again.starts)) == [34, 30]
    np.testing.assert_array_equal(again.frame["price"], table.until(np.array([34, 30])).frame["price"])
    np.testing.assert_array_equal(again.frame["ds"], table.until(np.array([34, 30])).frame["ds"])
    assert again.frame["y"][30:34].isna().all()
    assert (again.frame["size"] == 1).all()
    assert again.until(-5).horizon == 0
    assert list(table.until(-7).lengths) == [33, 23]


def test_the_future_in_rows_without_a_target():
    frame = series("a", 40).assign(price=np.arange(40.0), y=lambda t: t["y"].where(t.index < 36))
    table = read_table(frame, future=["price"])
    assert list(table.lengths) == [36]
    assert list(table.extend(4).frame["price"]) == list(range(40))
    assert table.notes == ()


def test_the_future_in_a_table_of_its_own(tmp_path):
    frame = pd.concat([series("a", 40), series("b", 30)]).assign(price=1.5)
    table = read_table(frame.rename(columns={"unique_id": "shop"}), id_col="shop", future=["price"])
    path = tmp_path / "future.csv"
    known = pd.concat([series("b", 3, first=30), series("a", 3, first=40)]).assign(price=lambda t: t["y"])
    known.rename(columns={"unique_id": "shop"}).drop(columns="y").to_csv(path, index=False)
    extended = table.extend(3, path).frame
    assert list(extended["price"][40:43]) == [40, 41, 42]
    assert list(extended["price"][73:]) == [30, 31, 32]


def known_ahead(history, future, **options):
    table = read_table(history, future=["price"], **options)
    return list(table.extend(len(future), future).frame["price"][-len(future) :])


def test_a_table_of_the_future_is_read_as_the_history_was():
    def rows(stamps):
        return pd.DataFrame({"ds": stamps, "price": np.arange(len(stamps), dtype=float)})

    hours = pd.date_range("2020-06-01", periods=25, freq="h", tz="Europe/Berlin")
    assert known_ahead(rows(hours[:24]).assign(y=1.0), rows(hours[24:])) == [0]  # a midnight alone is turned to UTC too
    text = hours.map(pd.Timestamp.isoformat)
    assert known_ahead(rows(text[:24]).assign(y=1.0), rows(text[24:])) == [0]
    dates = pd.date_range("2020-01-10", periods=30).strftime("%d/%m/%Y")
    assert known_ahead(rows(dates[:24]).assign(y=1.0), rows(dates[24:])) == list(range(6))
    off = HOURS + pd.Timedelta("2min")
    assert known_ahead(rows(HOURS[:40]).assign(y=1.0), rows(off[40:]), freq="h") == list(range(8))


def test_the_series_of_a_table_of_the_future():
    history = pd.concat([series("a", 40), series("b", 40)]).assign(price=1.5)
    ahead = series("a", 3, first=40).drop(columns="y").assign(price=[1.0, 2.0, 3.0])
    with pytest.raises(CeldaError, match="has no column 'unique_id' that says which of the 2 series"):
        read_table(history, future=["price"]).extend(3, ahead.drop(columns="unique_id"))
    one = read_table(history[:40], future=["price"])
    assert list(one.extend(3, ahead.drop(columns="unique_id")).frame["price"][-3:]) == [1, 2, 3]
    assert "have been sorted" in " ".join(one.extend(3, ahead[::-1]).notes)


@pytest.mark.parametrize(("first", "freq"), [("2020-01-31", "ME"), ("2020-01-01", "B"), ("2020-01-05", "W-SUN")])
def test_extended_stamps_are_real(first, freq):
    stamps = Frequency(freq).grid(pd.Timestamp(first), 33)
    table = read_table(pd.DataFrame({"ds": stamps[:30], "y": range(30)}))
    assert pd.DatetimeIndex(table.extend(3).frame["ds"]).equals(stamps)


def test_a_series_with_many_gaps_does_not_sway_the_others():
    every_other = series("a", 41).iloc[::2]
    table = read_table(pd.concat([every_other, series("b", 20)]))
    assert table.freq == "h"
    assert list(table.lengths) == [41, 20]
