"""What is said below the scores of a run, a sentence or two each: how to read them, what was settled, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from celda.tasks.backtest import Backtest
from celda.tasks.sizes import default_epochs

if TYPE_CHECKING:
    from celda.tasks.forecaster import Forecaster


def reading(scores: pd.DataFrame) -> str:
    """How to read the columns of a table of scores."""
    levels = [name.removeprefix("coverage-") for name in scores.columns if name.startswith("coverage-")]
    better = "; ".join(["Lower is better", *(f"coverage-{level} ought to be {level}" for level in levels)])
    return (
        f"{better}. MAE and RMSE are in the unit of the series, MAPE and sMAPE in per cent; a MASE below 1 is better "
        "than repeating the last season was in training."
    )


def of_training(forecaster: Forecaster) -> list[str]:
    """What the forecast is made from, and for how many epochs the network was trained, and why."""
    sizes, choose = forecaster.sizes_, forecaster.histories_["choose"]
    repeated = "the last value" if sizes.season == 1 else f"the values of {sizes.season} steps earlier"
    reads = (
        f"The model reads the last {sizes.input_size} steps. It begins as the seasonal naive forecast, which repeats "
        f"{repeated}, and learns what that one lacks."
    )
    trained = f"Trained for {forecaster.epochs_} epoch{'s' * (forecaster.epochs_ != 1)}"
    if sizes.epochs > 1 and choose.best_epoch is not None:
        which = "the last" if forecaster.epochs_ == sizes.epochs else f"number {forecaster.epochs_} of {sizes.epochs}"
        best = "the best" if forecaster.epochs_ == choose.best_epoch else "the best of the second half"
        trained += f": {which} was {best} on the validation part (the {sizes.val_size} steps before the test)"
    usual = default_epochs(windows=choose.epochs[0].step, batch_size=1)  # as if each step were of one window
    more = f" More may help: by default there would be {usual}." if forecaster.epochs_ == sizes.epochs < usual else ""
    return [reads, f"{trained}.{more}"]


def of_test(backtest: Backtest) -> list[str]:
    """How to read the scores, what was noticed, and whether a baseline is better or the forecast is none."""
    mae, model = backtest.scores["MAE"], backtest.model
    said = [reading(backtest.scores), *backtest.notes]
    if better := [f"{name} ({error:,.4g})" for name, error in mae.items() if error < mae[model]]:
        said.append(
            f"On this test {' and '.join(better)} had a lower MAE than {model} ({mae[model]:,.4g}): the simpler "
            "forecast is the better one here; more history, longer training or covariates may change that."
        )
    if backtest.repeats_last_value:
        said.append(
            f"Warning: {model} merely repeats the last value it saw, and is no better than that; give it a longer "
            "history or window, or covariates that tell more."
        )
    return said
