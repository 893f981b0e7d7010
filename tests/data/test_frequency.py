import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celda.data import Frequency, infer_frequency
from celda.errors import CeldaError

NAMES = ["s", "5s", "min", "5min", "15min", "30min", "h", "3h", "6h", "D", "2D", "B", "W-SUN", "W-WED", "2W-FRI"]
MONTHLY = ["MS", "ME", "BMS", "BME", "2MS", "QS-JAN", "QS-FEB", "QE-DEC", "QE-JAN", "YS-JAN", "YS-APR", "YE-DEC"]


def grid(name: str, first: str, n: int) -> pd.DatetimeIndex:
    """The stamps of a frequency that pandas itself would give."""
    offset = Frequency(name).offset
    return pd.date_range(pd.Timestamp(first), periods=n, freq=offset).as_unit("us")


@pytest.mark.parametrize("name", NAMES + MONTHLY)
@pytest.mark.parametrize("first", ["2020-01-01", "1999-12-31 00:00", "2023-02-28"])
def test_a_full_grid_is_recognised(name, first):
    assert infer_frequency(grid(name, first, 60)) == Frequency(name)


@given(
    name=st.sampled_from(["30min", "h", "D", "B", "W-SUN", "MS", "ME", "QS-FEB", "7min"]),
    seed=st.integers(0, 2**32 - 1),
    lost=st.floats(0, 0.4),
    year=st.integers(1971, 2099),
)
@settings(max_examples=150)
def test_inference_survives_random_gaps(name, seed, lost, year):
    full = grid(name, f"{year}-03-07", 150)
    kept = full[np.random.default_rng(seed).random(len(full)) >= lost]
    frequency = infer_frequency(kept)
    assert frequency == Frequency(name)
    positions = frequency.positions(kept)
    assert (frequency.grid(kept[0], positions[-1] + 1)[positions] == kept).all()


@given(step=st.integers(1, 1000), first=st.integers(-(10**9), 10**9), seed=st.integers(0, 2**32 - 1))
def test_an_integer_index_has_its_step(step, first, seed):
    full = pd.Index(first + step * np.arange(100))
    kept = full[np.random.default_rng(seed).random(100) < 0.8]
    frequency = infer_frequency(kept)
    assert frequency == Frequency(str(step))
    assert frequency.is_integer
    assert frequency.seasons == ()
    assert list(frequency.future(int(full[-1]), 3)) == [full[-1] + step * k for k in (1, 2, 3)]


@given(name=st.sampled_from(NAMES + MONTHLY), n=st.integers(1, 40), h=st.integers(1, 40))
@settings(max_examples=150)
def test_future_stamps_continue_the_grid(name, n, h):
    full = grid(name, "2019-12-15", n + h)
    assert Frequency(name).future(full[n - 1], h).equals(full[n:])


@pytest.mark.parametrize("name", ["250ms", "min", "5min", "h", "D"])
def test_stamps_that_jitter_are_near_a_clock(name):
    full = grid(name, "2024-03-01", 200)
    step = pd.Timedelta(Frequency(name).offset) if name != "D" else pd.Timedelta("1D")
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, len(full))
    assert infer_frequency(full + step * jitter).name == name


def test_events_without_a_beat_are_near_none():
    gaps = np.random.default_rng(0).exponential(90, 300)
    found = infer_frequency(pd.Timestamp("2024-03-01") + pd.to_timedelta(np.cumsum(gaps), "s"))
    assert found.name not in ("min", "2min", "30s")


def test_a_time_of_day_stays_with_months():
    full = pd.date_range("2020-01-31 06:00", periods=12, freq=Frequency("ME").offset)
    assert infer_frequency(full).name == "ME"
    assert Frequency("ME").future(full[-1], 1)[0] == pd.Timestamp("2021-01-31 06:00")


@pytest.mark.parametrize(
    ("name", "seasons"),
    [
        ("s", (60, 3600, 86_400, 604_800)),
        ("min", (60, 1440, 10_080)),
        ("5min", (12, 288, 2016)),
        ("30min", (48, 336)),
        ("h", (24, 168)),
        ("6h", (4, 28)),
        ("7min", ()),
        ("D", (7, 365)),
        ("2D", ()),
        ("B", (5, 261)),
        ("W-SUN", (52,)),
        ("MS", (12,)),
        ("ME", (12,)),
        ("QE-NOV", (4,)),
        ("YS-JAN", ()),
        ("BYE", ()),
        ("3MS", (4,)),
        ("BQE-DEC", (4,)),
        ("2B", ()),
        ("5B", ()),
        ("1", ()),
    ],
)
def test_seasons(name, seasons):
    if name == "7min":
        seasons = (1440,)  # a week is 1440 times seven minutes, a day is not
    assert Frequency(name).seasons == seasons


def test_stamps_off_the_grid_are_told_apart():
    stamps = grid("h", "2020-01-01", 10).tolist()
    stamps[0] += pd.Timedelta("7min")  # even where the first stamp is the wrong one
    assert list(Frequency("h").positions(pd.DatetimeIndex(stamps))) == [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    odd = pd.DatetimeIndex(["2020-01-01", "2020-02-01", "2020-02-17", "2020-03-01"])
    assert list(Frequency("MS").positions(odd)) == [0, 1, -1, 2]


def test_fewer_than_three_stamps_tell_nothing():
    assert infer_frequency(grid("h", "2020-01-01", 2)) is None


def test_five_days_of_one_week_are_days():
    assert infer_frequency(grid("D", "2020-01-06", 5)).name == "D"
    assert infer_frequency(grid("B", "2020-01-06", 10)).name == "B"


@pytest.mark.parametrize(("name", "now"), [("Q-DEC", "QE-DEC"), ("3M", "3ME"), ("A", "YE"), ("15T", "15min")])
@pytest.mark.skipif(pd.__version__ < "3", reason="pandas still knows the names")
def test_a_name_of_former_times_is_answered_with_that_of_today(name, now):
    with pytest.raises(CeldaError, match=f"is unknown: write '{now}'"):
        Frequency(name)


@pytest.mark.parametrize("name", ["month", "", "0", "-1D", "0h", "1.5"])
def test_a_name_that_is_no_frequency(name):
    with pytest.raises(CeldaError, match=r"^The frequency '.*write '30min', 'h', 'D'.*\.$"):
        Frequency(name)
