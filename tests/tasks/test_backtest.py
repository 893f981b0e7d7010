import numpy as np
import pandas as pd
import pytest

from celda.tasks.backtest import Backtest


def made(y, point, last, level=(), quantiles=None):
    n, h = y.shape
    stamps = pd.date_range("2021-01-01", periods=n + h).to_numpy()
    return Backtest(
        points={"lstm": point, "seasonal_naive": y + 1},
        quantiles=point[..., None] if quantiles is None else quantiles,
        level=level,
        y=y,
        last=last,
        scale=np.ones(n),
        ids=np.array(["a"] * n),
        cutoffs=stamps[:n],
        stamps=stamps[np.arange(n)[:, None] + 1 + np.arange(h)],
    )


@pytest.fixture
def walk():
    """A random walk: h = 3 steps after each of 200 origins, and the value at the origin."""
    path = np.random.default_rng(0).normal(size=203).cumsum()
    return path[np.arange(200)[:, None] + np.arange(1, 4)], path[:200]


def test_a_copy_of_the_last_value_is_found_out(walk):
    y, last = walk
    copy = np.broadcast_to(last[:, None], y.shape)
    noise = np.random.default_rng(1).normal(size=y.shape) / 10
    assert made(y, copy, last).repeats_last_value
    assert made(y, copy + noise, last).repeats_last_value


def test_a_copy_is_found_out_where_values_are_missing(walk):
    y, last = walk
    y = np.where(np.random.default_rng(2).random(y.shape) < 0.3, np.nan, y)
    assert made(y, np.broadcast_to(last[:, None], y.shape), last).repeats_last_value


def test_a_forecast_that_is_right_or_wrong_but_no_copy_is_not_blamed(walk):
    y, last = walk
    noise = np.random.default_rng(1).normal(size=y.shape)
    assert not made(y, y + noise / 2, last).repeats_last_value
    assert not made(y, np.zeros_like(y), last).repeats_last_value
    assert not made(y, last[:, None] + 0.2 * (y - last[:, None]), last).repeats_last_value  # moves little, but rightly


def test_a_series_that_stands_still_is_no_copy():
    y = np.ones((5, 2))
    assert not made(y, y, np.ones(5)).repeats_last_value


def test_scores_and_errors_by_step():
    y, last = np.array([[1.0, 2.0], [3.0, np.nan]]), np.zeros(2)
    quantiles = np.array([[[0.0, 1.0, 2.0], [2.5, 3.0, 4.0]]] * 2)
    test = made(y, quantiles[..., 1], last, (80,), quantiles)
    scores = test.scores
    assert list(scores.columns) == ["MAE", "RMSE", "MAPE", "sMAPE", "MASE", "pinball", "coverage-80"]
    assert scores.loc["lstm", "MAE"] == pytest.approx((0 + 1 + 2) / 3)
    assert scores.loc["lstm", "coverage-80"] == pytest.approx(100 / 3)
    assert scores.loc["seasonal_naive"].isna().tolist() == [False] * 5 + [True] * 2
    assert test.error_by_step["lstm"].tolist() == [1.0, 1.0]


def test_the_table_has_a_row_for_each_step():
    y = np.arange(6.0).reshape(2, 3)
    quantiles = y[..., None] + [-1.0, 0.0, 1.0]
    frame = made(y, y, np.zeros(2), (90,), quantiles).frame
    assert list(frame) == ["unique_id", "ds", "cutoff", "y", "lstm", "lstm-lo-90", "lstm-hi-90", "seasonal_naive"]
    assert frame["ds"].tolist() == list(pd.to_datetime([f"2021-01-0{d}" for d in (2, 3, 4, 3, 4, 5)]))
    assert (frame["lstm-hi-90"] - frame["lstm-lo-90"] == 2).all()
    assert (frame["lstm"] == frame["y"]).all()
