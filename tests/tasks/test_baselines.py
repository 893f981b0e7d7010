import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from celda.data import Preprocessor, Windows, read_table
from celda.tasks.baselines import forecast_windows, ridge, seasonal_naive


def windows(y, input_size, h, **bounds):
    table = read_table(pd.DataFrame({"ds": pd.date_range("2021-01-01", periods=len(y)), "y": y}))
    return Windows(Preprocessor.fit(table, scaling="standard").transform(table), input_size, h, **bounds)


def test_seasonal_naive_repeats_the_last_season():
    some = windows(np.arange(20.0), 6, 5)
    forecast = forecast_windows(seasonal_naive(3, 5), some)
    origin = some.origins[:, None]
    assert forecast == pytest.approx(origin - 3 + np.arange(5) % 3, abs=1e-5)


def naive_by_hand(window, season, h):
    """The definition, a value at a time."""
    seen = [value for value in window if not np.isnan(value)]
    forecast = []
    for step in range(h):
        at = len(window) - season + step % season
        while at >= 0 and np.isnan(window[at]):
            at -= season
        forecast.append(window[at] if at >= 0 else seen[-1])
    return forecast


@given(
    season=st.integers(1, 6),
    more=st.integers(0, 9),
    h=st.integers(1, 8),
    lost=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_seasonal_naive_with_gaps(season, more, h, lost, seed):
    draw = np.random.default_rng(seed)
    y = draw.normal(size=60).round(3) * 10 + 500
    y[1:-1][draw.random(58) < lost] = np.nan
    test = windows(y, season + more, h)
    assume(len(test))  # with nearly everything lost there is no window to forecast
    forecast = forecast_windows(seasonal_naive(season, h), test)
    wanted = [naive_by_hand(y[origin - season - more : origin], season, h) for origin in test.origins]
    np.testing.assert_allclose(forecast, np.reshape(wanted, forecast.shape), rtol=1e-5)


def test_the_ridge_learns_an_autoregression():
    y = np.zeros(400)
    draw = np.random.default_rng(0).normal(size=400) / 10
    for t in range(2, 400):
        y[t] = 1.8 * y[t - 1] - 0.8 * y[t - 2] + draw[t]  # the level is free: centring loses nothing
    learnt = ridge(windows(y, 8, 1, end=300))
    test = windows(y, 8, 1, begin=300)
    error = forecast_windows(learnt, test)[:, 0] - y[test.origins]
    assert np.abs(error).mean() == pytest.approx(np.abs(draw[300:]).mean(), rel=0.1)


def test_the_ridge_does_not_learn_from_missing_targets():
    y = np.arange(700.0) % 7
    gaps = y.copy()
    gaps[100:130:2] = np.nan
    learnt = ridge(windows(gaps, 7, 2))
    assert forecast_windows(learnt, windows(y, 7, 2)) == pytest.approx(np.stack([y[7:-1], y[8:]], 1), abs=0.1)


def test_the_ridge_needs_two_windows():
    assert ridge(windows(np.arange(20.0), 8, 2, end=10)) is None
    assert ridge(windows(np.arange(20.0), 8, 2, end=5)) is None
