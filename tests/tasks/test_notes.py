from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from celda.tasks import notes
from celda.tasks.backtest import Backtest
from celda.tasks.sizes import Sizes
from celda.training import Epoch, History


def trained(losses, chosen, steps=40):
    """A fitted forecaster, as far as notes are concerned."""
    sizes = Sizes(input_size=14, season=7, patch=1, val_size=21, epochs=len(losses))
    epochs = [Epoch(n, n * steps, 1.0, loss, 0.1, 1.0, 1.0) for n, loss in enumerate(losses, 1)]
    best = None if losses[0] is None else 1 + int(np.argmin(losses))
    return SimpleNamespace(sizes_=sizes, epochs_=chosen, histories_={"choose": History(epochs, best_epoch=best)})


PART = "on the validation part (the 21 steps before the test)."


@pytest.mark.parametrize(
    ("losses", "chosen", "said"),
    [
        ([3.0] * 29 + [2.0], 30, f"Trained for 30 epochs: the last was the best {PART}"),
        ([3.0, 2.0, 2.5], 2, f"Trained for 2 epochs: number 2 of 3 was the best {PART}"),
        ([1.0, 3.0, 2.0, 2.5], 3, f"Trained for 3 epochs: number 3 of 4 was the best of the second half {PART}"),
        (
            [3.0, 2.0],
            2,
            f"Trained for 2 epochs: the last was the best {PART} More may help: by default there would be 30.",
        ),
        ([3.0], 1, "Trained for 1 epoch. More may help: by default there would be 30."),
        ([None] * 30, 30, "Trained for 30 epochs."),
    ],
)
def test_how_long_was_trained_and_why(losses, chosen, said):
    assert notes.of_training(trained(losses, chosen))[-1] == said


def test_what_the_model_begins_as():
    said = notes.of_training(trained([1.0], 1))[0]
    assert said.startswith(
        "The model reads the last 14 steps. It begins as the seasonal naive forecast, which repeats the"
    )
    assert "values of 7 steps earlier" in said


def backtest(lstm, ridge, naive):
    actual, stamps = np.arange(20.0).reshape(2, 10), np.arange(20).reshape(2, 10)
    points = {"lstm": actual + lstm, "ridge": actual + ridge, "seasonal_naive": actual + naive}
    quantiles = points["lstm"][..., None] + np.array([-1.0, 0.0, 1.0])
    ones, ids = np.ones(2), np.array(["a", "a"])
    return Backtest(points, quantiles, (80,), actual, ones * -50, ones, ids, stamps[:, 0] - 1, stamps)


def test_it_is_said_when_a_baseline_is_better():
    assert not any("lower MAE" in note for note in notes.of_test(backtest(1, 1, 2)))
    (note,) = [note for note in notes.of_test(backtest(1200, 1, 1100.5)) if "lower MAE" in note]
    assert note.startswith("On this test ridge (1) and seasonal_naive (1,100) had a lower MAE than lstm (1,200):")


def test_how_to_read_the_scores():
    columns = pd.DataFrame(columns=["MAE", "coverage-80", "coverage-99.5"])
    said = notes.reading(columns)
    assert said.startswith("Lower is better; coverage-80 ought to be 80; coverage-99.5 ought to be 99.5. MAE")
    assert "coverage" not in notes.reading(columns[["MAE"]])
    assert notes.of_test(backtest(1, 1, 1))[0].startswith("Lower is better; coverage-80 ought to be 80.")
