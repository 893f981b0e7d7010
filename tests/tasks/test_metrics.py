import numpy as np
import pytest

from celda.tasks import metrics

Y = np.array([1.0, 2.0, 4.0, np.nan])
FORECAST = np.array([2.0, 2.0, 1.0, 100.0])


def test_by_hand_and_missing_values_do_not_count():
    assert metrics.mae(Y, FORECAST) == pytest.approx(4 / 3)
    assert metrics.rmse(Y, FORECAST) == pytest.approx(np.sqrt(10 / 3))
    assert metrics.mape(Y, FORECAST) == pytest.approx(100 * (1 + 0 + 0.75) / 3)
    assert metrics.smape(Y, FORECAST) == pytest.approx(100 * (1 / 1.5 + 0 + 3 / 2.5) / 3)
    assert metrics.mase(Y, FORECAST, np.array(2.0)) == pytest.approx(2 / 3)


def test_zeros_are_left_out_of_mape_and_cost_nothing_in_smape_where_both_are_zero():
    y, forecast = np.array([0.0, 10.0]), np.array([0.0, 9.0])
    assert metrics.mape(y, forecast) == pytest.approx(10)
    assert metrics.smape(y, forecast) == pytest.approx(100 * (0 + 1 / 9.5) / 2)
    assert np.isnan(metrics.mape(np.zeros(2), forecast))


def test_nothing_observed_gives_nan_and_no_warning(recwarn):
    nothing = np.full(3, np.nan)
    assert np.isnan([metrics.mae(nothing, Y[:3]), metrics.coverage(nothing, Y[:3], Y[:3])]).all()
    assert not recwarn.list


def test_the_pinball_loss_of_the_median_is_the_absolute_error():
    assert metrics.pinball(Y, FORECAST[:, None], [0.5]) == pytest.approx(metrics.mae(Y, FORECAST))


def test_the_pinball_loss_is_least_at_the_quantile():
    y = np.random.default_rng(0).normal(size=(5000, 1))
    losses = [metrics.pinball(y, np.full((5000, 1, 1), guess), [0.9]) for guess in (0.9, 1.2816, 1.7)]
    assert losses[1] == min(losses)


def test_coverage_counts_the_ends_in_and_missing_values_out():
    assert metrics.coverage(Y, np.array([1.0, 3.0, 0.0, 0.0]), np.array([1.0, 5.0, 5.0, 9.0])) == pytest.approx(200 / 3)


def test_the_scale_of_the_mase_is_the_seasonal_naive_error_of_the_history():
    history = np.array([1.0, 5.0, 2.0, 7.0, np.nan, 8.0])
    assert metrics.naive_scale(history, 2) == pytest.approx((1 + 2 + 1) / 3)
    assert np.isnan(metrics.naive_scale(history, 6))


def test_a_series_that_never_changes_is_left_out_of_the_mase():
    scale = np.array([[0.0], [2.0]])
    assert metrics.mase(np.ones((2, 3)), np.full((2, 3), 3.0), scale) == pytest.approx(1.0)
