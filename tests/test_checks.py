import numpy as np
import pytest

from celda.checks import whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_become_ints(value):
    assert whole_number(value) == 3
    assert type(whole_number(value)) is int


@pytest.mark.parametrize("value", [0, -1, 3.0, np.float64(3), True, np.bool_(True), "3", None, [3]])
def test_others_are_none(value):
    assert whole_number(value) is None


def test_the_least_is_the_callers():
    assert whole_number(0, least=0) == 0
    assert whole_number(6, least=7) is None
