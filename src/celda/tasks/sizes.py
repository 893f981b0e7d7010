"""The sizes of a forecaster: given by the user, or derived from the frequency and the history.

The numbers behind the rules are in docs/decisions/0004-forecast-defaults.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celda.data import Table
from celda.errors import CeldaError
from celda.training import History

_WINDOW = 56  # steps of a window, at least, where the history allows: eight weeks of days
_SHARE = 4  # season and window are at most this part of the shortest series
_LONG = 64  # a window of more steps than this is read in patches,
_STEPS = 32  # of which it then has at most this many
_UPDATES = 1_200  # steps of training
_MOST_EPOCHS = 100
_MOST_TESTS = 52  # horizons of the held-out test


@dataclass(frozen=True)
class Sizes:
    """The steps of the window, the season, a patch and the validation part, and the most epochs to train."""

    input_size: int
    season: int
    patch: int
    val_size: int
    epochs: int

    @classmethod
    def derive(cls, given: Any, table: Table) -> Sizes:
        """Settle the sizes of a Forecaster, `given`, for a table. Raises CeldaError where they do not fit it."""
        h, shortest = given.h, int(table.lengths.min())

        def parts(h: int) -> tuple[int, int, int]:
            """The validation part, the season of the frequency and the window, for a horizon."""
            val_size = given.val_size or default_val_size(h, shortest)
            known = max(shortest - val_size, 1)
            natural = default_season(table.frequency.seasons, known)
            return val_size, natural, given.input_size or default_input_size(given.season or natural, h, known)

        val_size, natural, input_size = parts(h)
        season = given.season or (natural if natural <= input_size else 1)
        patch = given.patch or default_patch(input_size)
        if season > input_size:
            raise CeldaError(
                f"A season of {season} steps does not fit in a window of {input_size}: write input_size={season} or "
                f"more, or a season of at most {input_size}."
            )
        if patch > input_size:
            raise CeldaError(f"A patch of {patch} steps is longer than the window of {input_size}: write patch=1.")
        if val_size < h:
            raise CeldaError(
                f"val_size={val_size} is less than the horizon, h={h}: write val_size={2 * h} or more, or leave it out."
            )
        needed = input_size + h + val_size
        if shortest < needed:
            fits = next((k for k in range(min(h - 1, shortest), 0, -1) if k + parts(k)[0] + parts(k)[2] <= shortest), 0)
            raise CeldaError(
                f"Series {table.ids[int(table.lengths.argmin())]!r} has {shortest} steps to learn from, and {needed} "
                f"are needed: a window of {input_size}, a horizon of {h} and a validation part of {val_size}; write "
                + (f"h={fits} or less, " if fits else "")
                + "a smaller input_size or val_size, or leave the series out."
            )
        windows = int((table.lengths - needed + 1).sum())
        return cls(input_size, season, patch, val_size, given.epochs or default_epochs(windows, given.batch_size))


def check_held_out(table: Table, size: int, name: str) -> None:
    """Raise CeldaError where holding out the last `size` steps, for what is called `name`, leaves a series nothing."""
    shortest = int(table.lengths.min())
    if size >= shortest:
        raise CeldaError(
            f"Series {table.ids[int(table.lengths.argmin())]!r} has {shortest} steps, so {size} of them cannot be held "
            f"out: write a smaller {name}, or leave the series out."
        )


def best_epoch(history: History, epochs: int) -> int:
    """How many epochs to train: that of the lowest validation loss in the second half; all, where none was measured.

    In the first half the learning rate is still so high that the loss there says little of a training that ends there.
    """
    late = [epoch for epoch in history.epochs if 2 * epoch.epoch >= epochs and epoch.valid_loss is not None]
    return min(late, key=lambda epoch: epoch.valid_loss or 0.0).epoch if late else epochs


def default_season(seasons: Sequence[int], length: int) -> int:
    """The longest natural season that the history holds four times over; 1, the last value, where there is none.

    One that is no multiple of a shorter one is passed over: a year is not a whole number of weeks, and a forecast that
    repeats it takes Mondays for Sundays.
    """
    found = 1
    for candidate in seasons:
        if candidate % found == 0 and candidate <= length // _SHARE:
            found = candidate
    return found


def default_input_size(season: int, h: int, length: int) -> int:
    """Whole seasons, as long as the horizon and 56 steps at least, but a quarter of the history at most."""
    wanted, most = -(-max(_WINDOW, h) // season), length // _SHARE // season
    return season * max(1, min(wanted, most))


def default_patch(input_size: int) -> int:
    """One, or enough that a long window takes 32 recurrent steps at most.

    It divides the window where a number not much larger than the least one does.
    """
    if input_size <= _LONG:
        return 1
    least = -(-input_size // _STEPS)
    return next((p for p in range(least, 2 * least) if input_size % p == 0), least)


def default_epochs(windows: int, batch_size: int) -> int:
    """As many epochs as make about 1,200 steps of training, 100 at most."""
    return max(1, min(_MOST_EPOCHS, round(_UPDATES / -(-windows // batch_size))))


def default_val_size(h: int, length: int) -> int:
    """A tenth of the history, two horizons at least."""
    return max(2 * h, length // 10)


def default_test_size(h: int, length: int) -> int:
    """Whole horizons, about a sixth of the history, 52 horizons at most."""
    return h * max(1, min(_MOST_TESTS, length // 6 // h))
