import re

import pytest

from celda import Forecaster
from celda.data import Frequency, read_table
from celda.errors import CeldaError
from celda.tasks import sizes
from celda.training import Epoch, History
from tests.tasks.conftest import daily, tiny


@pytest.mark.parametrize(
    ("freq", "length", "season"),
    [
        ("30min", 4032, 336),
        ("30min", 1000, 48),
        ("D", 4000, 7),
        ("B", 4000, 5),
        ("MS", 144, 12),
        ("h", 40, 1),
        ("1", 999, 1),
    ],
)
def test_the_season_is_the_longest_that_nests_and_that_the_history_holds(freq, length, season):
    assert sizes.default_season(Frequency(freq).seasons, length) == season


@pytest.mark.parametrize(
    ("season", "h", "length", "window"),
    [(336, 48, 3000, 336), (7, 7, 4000, 56), (12, 12, 132, 24), (1, 5, 1000, 56), (7, 90, 4000, 91), (7, 7, 20, 7)],
)
def test_the_window_is_whole_seasons(season, h, length, window):
    assert sizes.default_input_size(season, h, length) == window


@pytest.mark.parametrize(("window", "patch"), [(56, 1), (64, 1), (168, 6), (336, 12), (672, 21), (2016, 63), (337, 11)])
def test_a_long_window_is_read_in_patches(window, patch):
    assert sizes.default_patch(window) == patch
    assert -(-window // patch) <= max(32, 64 if patch == 1 else 0)


def test_more_windows_take_fewer_epochs():
    assert [sizes.default_epochs(n, 64) for n in (10, 640, 3000, 64_000, 10_000_000)] == [100, 100, 26, 1, 1]


def history(*losses):
    return History([Epoch(e, e, 1.0, loss, 0.1, 1.0, 1.0) for e, loss in enumerate(losses, 1)])


def test_the_best_epoch_is_of_the_second_half():
    assert sizes.best_epoch(history(0.1, 0.5, 0.4, 0.2, 0.3, 0.4), 6) == 4
    assert sizes.best_epoch(history(0.1), 1) == 1
    assert sizes.best_epoch(history(None, None, None), 3) == 3


@pytest.mark.parametrize(("h", "length", "size"), [(48, 4032, 672), (7, 4383, 364), (24, 100, 24), (12, 144, 24)])
def test_the_test_is_whole_horizons(h, length, size):
    assert sizes.default_test_size(h, length) == size


@pytest.mark.parametrize("length", [60, 200, 333])
def test_the_horizon_that_would_fit_is_told(length):
    table = read_table(daily(length))
    with pytest.raises(CeldaError, match=r"write h=[0-9]+ or less, a smaller input_size") as told:
        sizes.Sizes.derive(Forecaster(h=length), table)
    fits = int(re.findall("h=([0-9]+) or less", str(told.value))[0])
    assert sizes.Sizes.derive(Forecaster(h=fits), table)
    with pytest.raises(CeldaError, match=f"h={fits} or less"):
        sizes.Sizes.derive(Forecaster(h=fits + 1), table)


def test_what_is_given_is_kept_and_the_rest_fits_it():
    table = read_table(daily(300))
    given = sizes.Sizes.derive(tiny(input_size=20, val_size=None, epochs=None, patch=3), table)
    assert given == sizes.Sizes(input_size=20, season=7, patch=3, val_size=30, epochs=100)
    assert sizes.Sizes.derive(tiny(input_size=5), table).season == 1


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"season": 30}, "A season of 30 steps does not fit in a window of 14: write input_size=30 or more"),
        ({"patch": 15}, "A patch of 15 steps is longer than the window of 14"),
        ({"val_size": 6}, "val_size=6 is less than the horizon, h=7: write val_size=14"),
        (
            {"input_size": 140},
            "Series 'y' has 150 steps to learn from, and 161 are needed: a window of 140, a horizon of 7",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_told_with_the_numbers(options, answer):
    with pytest.raises(CeldaError, match=answer):
        sizes.Sizes.derive(tiny(**options), read_table(daily()))


def test_the_shortest_series_is_named():
    import pandas as pd

    table = read_table(pd.concat([daily(name="long"), daily(30, name="short")]))
    with pytest.raises(CeldaError, match="Series 'short' has 30 steps"):
        sizes.Sizes.derive(tiny(), table)
