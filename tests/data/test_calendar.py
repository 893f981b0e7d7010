import numpy as np
import pandas as pd
import pytest

from celda.data import Frequency
from celda.data.calendar import calendar_features, choose_features


def cycles(freq: str, periods: int) -> set[str]:
    frequency = Frequency(freq)
    stamps = frequency.grid(pd.Timestamp("2020-01-31"), periods)
    return {name.split("_")[0] for name in choose_features(frequency, stamps[0], stamps[-1])}


@pytest.mark.parametrize(
    ("freq", "periods", "expected"),
    [
        ("30min", 48 * 84, {"day", "week"}),
        ("30min", 48 * 10, {"day"}),  # not two weeks
        ("5min", 288 * 30, {"hour", "day", "week"}),
        ("h", 24 * 800, {"day", "week", "year"}),
        ("D", 729, {"week", "year"}),
        ("D", 500, {"week"}),  # well under two years
        ("D", 10, set()),
        ("B", 600, {"week", "year"}),
        ("W-SUN", 104, {"year"}),
        ("MS", 24, {"year"}),
        ("MS", 18, set()),
        ("QS-JAN", 8, {"year"}),
        ("YS-JAN", 50, set()),
    ],
)
def test_only_cycles_that_vary_and_can_be_learnt(freq, periods, expected):
    assert cycles(freq, periods) == expected


def test_an_integer_index_has_no_calendar():
    assert choose_features(Frequency("1"), 0, 10_000) == ()


def test_no_feature_is_faster_than_half_the_steps():
    names = choose_features(Frequency("6h"), pd.Timestamp("2020-01-01"), pd.Timestamp("2020-12-31"))
    assert {name for name in names if name.startswith("day")} == {"day_sin_1", "day_cos_1", "day_sin_2", "day_cos_2"}


def test_values_at_known_times():
    stamps = pd.DatetimeIndex(["2024-01-01 00:00", "2024-01-01 06:00", "2024-01-01 12:00"])  # a Monday
    names = ("day_sin_1", "day_cos_1", "week_sin_1", "week_cos_1", "year_sin_1", "year_cos_1", "hour_cos_1")
    features = calendar_features(stamps, names)
    assert features.dtype == np.float32
    assert features.shape == (3, 7)
    np.testing.assert_allclose(features[:, 0], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(features[:, 1], [1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(features[:, 2:4], [[0, 1]] * 3, atol=1e-6)  # all day long
    np.testing.assert_allclose(features[0, 4:], [0, 1, 1], atol=1e-6)


def test_the_days_of_the_week_are_told_apart_as_by_a_one_hot_code():
    stamps = pd.date_range("2024-01-01", periods=7)
    names = [f"week_{wave}_{k}" for k in (1, 2, 3) for wave in ("sin", "cos")]
    with_constant = np.column_stack([calendar_features(stamps, names), np.ones(7)])
    assert np.linalg.matrix_rank(with_constant) == 7
