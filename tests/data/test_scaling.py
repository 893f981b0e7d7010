import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from celda.data import Scaler
from celda.data.scaling import KINDS
from celda.errors import CeldaError

VALUES = st.floats(-1e9, 1e9) | st.just(float("nan")) | st.sampled_from([0.0, 5.0, 1e-300])
SERIES = st.lists(arrays(np.float64, st.integers(1, 30), elements=VALUES), min_size=1, max_size=4)


@given(kind=st.sampled_from(list(KINDS)), series=SERIES)
def test_every_scaler_inverts(kind, series):
    scaler = Scaler.fit(kind, series)
    assert np.isfinite(scaler.shift).all()
    assert (scaler.scale > 0).all()
    for s, y in enumerate(series):
        scaled = scaler.transform(y, s)
        assert np.isnan(scaled).sum() == np.isnan(y).sum()
        largest = np.nanmax(np.abs(y), initial=0.0)
        np.testing.assert_allclose(scaler.inverse(scaled, s), y, rtol=1e-9, atol=1e-9 * largest)


def test_what_each_kind_does():
    y = np.array([1.0, 2.0, np.nan, 3.0, 4.0, 10.0])
    minmax = Scaler.fit("minmax", [y]).transform(y, 0)
    assert (np.nanmin(minmax), np.nanmax(minmax)) == (0, 1)
    standard = Scaler.fit("standard", [y]).transform(y, 0)
    np.testing.assert_allclose([np.nanmean(standard), np.nanstd(standard)], [0, 1], atol=1e-12)
    robust = Scaler.fit("robust", [y]).transform(y, 0)
    low, median, high = np.nanpercentile(robust, [25, 50, 75])
    np.testing.assert_allclose([median, high - low], [0, 1], atol=1e-12)
    np.testing.assert_array_equal(Scaler.fit("none", [y]).transform(y, 0), y)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("value", [0.0, 7.3, -1e12, 0.1])
def test_a_constant_series_is_not_divided_by_zero(kind, value):
    scaler = Scaler.fit(kind, [np.full(11, value)])
    assert scaler.scale[0] == 1


def test_mostly_zeros_are_scaled_by_their_deviation():
    y = np.array([0.0] * 20 + [8.0])
    assert Scaler.fit("robust", [y]).scale[0] == pytest.approx(y.std())


def test_values_of_many_series_at_once():
    scaler = Scaler.fit("minmax", [np.array([0.0, 10.0]), np.array([100.0, 300.0])])
    values = np.array([[0.5, 1.0], [0.5, 1.0], [0.0, 2.0]])  # (B, h)
    np.testing.assert_allclose(scaler.inverse(values, np.array([0, 1, 1])), [[5, 10], [200, 300], [100, 500]])
    bands = np.repeat(values[..., None], 3, axis=2)  # (B, h, quantiles)
    assert scaler.inverse(bands, np.array([0, 1, 1])).shape == (3, 2, 3)


def test_an_unknown_kind():
    with pytest.raises(CeldaError, match="There is no scaling 'log': write one of 'minmax', 'standard'"):
        Scaler.fit("log", [np.arange(3.0)])
