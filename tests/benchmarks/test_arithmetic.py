from math import isclose

import pytest

from benchmarks.arithmetic import Value, geometric_mean, mean_value, quartiles, ratio, repeated, worst_value


def test_a_geometric_mean_is_the_same_whichever_way_round_the_ratios_are():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([1.0, 10.0, 100.0]) == pytest.approx(10.0)


def test_one_round_has_no_spread():
    assert quartiles([3.0]) == (3.0, 3.0)
    assert repeated([3.0]) == Value(3.0, 3.0, 3.0)


def test_the_quartiles_lie_between_the_values():
    assert quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == (2.0, 4.0)


def test_a_ratio_is_that_of_the_medians_and_a_slow_round_does_not_widen_it():
    ours, theirs = [1.0, 1.0, 9.0, 1.0, 1.0], [2.0, 2.0, 18.0, 2.0, 2.0]
    assert ratio(theirs, ours) == Value(2.0, 2.0, 2.0)


def test_a_ratio_takes_a_factor():
    assert ratio([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], factor=0.5) == Value(1.0, 0.75, 1.25)


def test_rounds_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_the_mean_and_the_worst_of_several_shapes():
    values = [Value(4.0, 2.0, 8.0), Value(1.0, 0.5, 2.0)]
    mean = mean_value(values)
    assert all(isclose(a, b) for a, b in zip((mean.middle, mean.low, mean.high), (2.0, 1.0, 4.0), strict=True))
    assert worst_value(values, more_is_better=True) == values[1]
    assert worst_value(values, more_is_better=False) == values[0]
