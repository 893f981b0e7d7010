import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from celda.tasks import intervals

VALUES = st.floats(-100, 100)


def test_the_quantiles_of_levels_are_in_order_with_the_median_in_the_middle():
    assert intervals.quantiles_of((95, 80)) == pytest.approx((0.025, 0.1, 0.5, 0.9, 0.975))
    assert intervals.quantiles_of(()) == (0.5,)


@given(arrays(float, (6, 3, 5), elements=VALUES), arrays(float, (2, 3), elements=VALUES))
def test_nothing_crosses_whatever_the_moves(forecast, moves):
    wide = intervals.widen(np.sort(forecast, -1), moves)
    assert (np.diff(wide, axis=-1) >= 0).all()
    assert (wide[..., 2] == np.sort(forecast, -1)[..., 2]).all()


@pytest.mark.parametrize("width", [0.2, 3.0], ids=["too narrow", "too wide"])
def test_calibration_gives_intervals_that_hold_what_they_promise(width):
    draw = np.random.default_rng(0)
    forecast = np.tile([-2 * width, -width, 0, width, 2 * width], (4000, 2, 1))
    y = draw.normal(size=(4000, 2)) * [1.0, 3.0]  # the second step is three times as uncertain
    moves = intervals.calibrate(y[:2000], forecast[:2000], (80, 95))
    wide = intervals.widen(forecast[2000:], moves)
    for k, level in enumerate((0.80, 0.95)):
        low, high = intervals.ends(wide, k)
        inside = ((y[2000:] >= low) & (y[2000:] <= high)).mean(0)
        assert inside == pytest.approx(level, abs=0.03)


def test_a_point_forecast_gets_intervals_from_its_errors():
    errors = np.arange(-50.0, 51.0)[:, None]  # 101 windows, h = 1
    point = intervals.spread(np.zeros((101, 1, 1)), 1)
    move = intervals.calibrate(errors, point, (80,))
    assert move == pytest.approx(41)  # the 82nd of 101 sorted |errors|: 0, 1, 1, 2, 2, ...


def test_missing_values_do_not_count_and_a_step_without_any_stays():
    forecast = np.zeros((3, 2, 3))
    y = np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, np.nan]])
    assert intervals.calibrate(y, forecast, (80,)).tolist() == [[2.0, 0.0]]
