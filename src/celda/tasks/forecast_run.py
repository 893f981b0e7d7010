"""A forecasting run: a folder with everything from the training to the forecast of what comes next.

    run/config.json       what was asked for: the data, the options
    run/metrics.jsonl     a line for each epoch of each phase
    run/checkpoints/      where each phase stands
    run/scores.json       the test: the network beside the baselines
    run/test.csv          the forecasts of the test, window by window
    run/forecast.csv      the forecast of the real future
    run/figures/          the same as PNG
    run/model/            the model, for `celda.load`

The test is honest: the network that is scored has not seen the last `test_size` steps of any series. The network that
is kept is trained once more, for as many epochs, on everything, because the last days tell most about the next ones.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from celda.checks import whole_number
from celda.data import Table, datasets
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import figures, notes
from celda.tasks.forecaster import File, Forecaster, Source
from celda.tasks.loading import load
from celda.tasks.options import check_options, from_plain, to_plain
from celda.tasks.phases import fingerprint
from celda.tasks.run_folder import Outcome, RunFolder
from celda.tasks.saved_forecaster import TASK
from celda.tasks.sizes import Sizes, check_held_out, default_test_size
from celda.training.device import check_device

_KEYS = {"future", "test_size"}  # of the configuration, besides those of every run


def train(
    source: Source,
    folder: str | Path,
    forecaster: Forecaster,
    *,
    test_size: int | None = None,
    future: File | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Fit, test and keep a forecaster in a new run folder, and forecast what comes next.

    `test_size`: the steps held out at the end of each series; about a sixth of the shortest by default. `future`: the
    table of covariates known ahead of time. `overwrite`: whether a former run in the folder is deleted first.

    Raises CeldaError where the data, the options or the folder cannot be used; KeyboardInterrupt after Ctrl-C, when the
    checkpoint is written that `resume` goes on from.
    """
    check_options(forecaster)
    table = forecaster.read(source)
    h = forecaster.h
    held_out = default_test_size(h, int(table.lengths.min())) if test_size is None else _test_size(test_size, h)
    check_held_out(table, held_out, "h" if test_size is None else "test_size")
    Sizes.derive(forecaster, table.until(-held_out))  # before the folder is made
    if future is not None:
        table.check_future()
    check_device(forecaster.device)
    run = RunFolder.make(Path(folder), overwrite)
    config = {
        "data": _address(source),
        "future": None if future is None else _address(future),
        "fingerprint": fingerprint(table),
        "test_size": held_out,
        "parameters": to_plain(forecaster),
    }
    run.write_config(TASK, config)
    return _go(table, run, forecaster, held_out, future, resume=False, quiet=quiet)


def resume(
    folder: str | Path,
    source: Source | None = None,
    *,
    future: File | None = None,
    cell: Cell | None = None,
    quiet: bool = False,
) -> Outcome:
    """Go on with a run that was interrupted; it ends with the very weights that it would have had without.

    `source`, `future`: where the run's own data was a DataFrame, or has moved. `cell`: where it is one of your own.
    """
    run = RunFolder.find(Path(folder))
    config = run.read_config(TASK, _KEYS)
    forecaster = Forecaster(**from_plain(config["parameters"], set(Forecaster(1).get_params()), cell))
    table = forecaster.read(_given_or(config["data"], source))
    if fingerprint(table) != config["fingerprint"]:
        raise CeldaError(f"The data is not what the run in {folder} began with: give that data, or start a new run.")
    future = config["future"] if future is None else future
    return _go(table, run, forecaster, config["test_size"], future, resume=True, quiet=quiet)


def evaluate(folder: str | Path, source: Source | None = None, *, cell: Cell | None = None) -> Outcome:
    """The scores of the run's test or, with a table that goes further than what the model learnt from, of what came.

    Raises CeldaError where the run has not ended, or nothing came after it.
    """
    run, begun = RunFolder.find(Path(folder)), time.perf_counter()
    run.read_config(TASK, _KEYS)
    if source is None:
        return run.read_outcome()
    run.require_end()
    backtest = load(run.model, cell=cell).evaluate(source)
    said = tuple(notes.of_test(backtest))
    return Outcome(backtest.scores, len(backtest.y), said, {}, time.perf_counter() - begun)


def predict(
    folder: str | Path, source: Source | None = None, future: File | None = None, *, cell: Cell | None = None
) -> pd.DataFrame:
    """The forecast of the h steps after the end of a table, the run's own by default: the table of `predict`, with
    the columns called as in the data.
    """
    run = RunFolder.find(Path(folder))
    config = run.read_config(TASK, _KEYS)
    run.require_end()
    model = load(run.model, cell=cell)
    forecast = model.predict(_given_or(config["data"], source), config["future"] if future is None else future)
    return _own(forecast, model)


def to_csv(frame: pd.DataFrame) -> str:
    """A table of forecasts as CSV, with as many digits as a network of single precision has."""
    return frame.to_csv(index=False, float_format="%.7g")


def _own(frame: pd.DataFrame, forecaster: Forecaster) -> pd.DataFrame:
    """A table of forecasts with the columns called as in the data, where no other one is called so."""
    ours = {"id_col": "unique_id", "time_col": "ds", "target_col": "y"}
    theirs = {ours[name]: own for name, own in forecaster.columns_.items() if own not in frame}
    return frame.rename(columns=theirs)


def _go(
    table: Table,
    run: RunFolder,
    forecaster: Forecaster,
    test_size: int,
    future: File | None,
    *,
    resume: bool,
    quiet: bool,
) -> Outcome:
    """The run from its beginning or from where it stands; what was trained already is not trained again."""
    begun = time.perf_counter()
    where: dict[str, Any] = {"run": run.folder, "resume": resume, "quiet": quiet}
    forecaster.fit(table.until(-test_size), **where)
    noticed = forecaster.notes_
    backtest = forecaster.evaluate(table)
    forecaster.refit(table, phase="final", **where)
    said = list(dict.fromkeys([*notes.of_test(backtest), *noticed, *notes.of_training(forecaster)]))
    forecaster.test_scores_ = backtest.scores
    forecaster.save(run.model)  # before anything is drawn
    files = {"model": run.model, "test": run.write("test.csv", to_csv(_own(backtest.frame, forecaster)))}
    drawn = {
        "test": figures.test_figure(backtest),
        "loss": figures.loss_figure(forecaster.histories_, forecaster.epochs_),
    }
    try:
        forecast = forecaster.predict(future_df=future)
    except CeldaError as error:  # the covariates of the future are not known
        said.append(f"No forecast of what comes next was made. {error}")
    else:
        files["forecast"] = run.write("forecast.csv", to_csv(_own(forecast, forecaster)))
        history = table.frame.assign(unique_id=np.repeat(table.names, table.lengths))
        sizes, name, level = forecaster.sizes_, forecaster.options_.name, forecaster.options_.level
        drawn["forecast"] = figures.forecast_figure(history, forecast, name, level, sizes.input_size)
    for name, figure in drawn.items():
        files[f"{name} figure"] = run.folder / "figures" / f"{name}.png"
        figures.save_figure(figure, files[f"{name} figure"])
    outcome = Outcome(backtest.scores, len(backtest.y), tuple(said), files, time.perf_counter() - begun)
    return run.write_outcome(outcome)


def _test_size(given: int, h: int) -> int:
    size = whole_number(given, h)
    if size is None:
        raise CeldaError(
            f"test_size={given!r} holds no horizon of {h} steps: write a whole number of at least {h}, or leave it out."
        )
    return size


def _address(source: Source) -> str | None:
    """Where the data can be found again: a data set's name or a path; None where it is in memory only."""
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return str(source) if str(source) in datasets() and not path.exists() else str(path.resolve())
    return None


def _given_or(address: str | None, source: Source | None) -> Source:
    if source is not None:
        return source
    if address is None:
        raise CeldaError("The run was begun with a table in memory, not with a file: give that table again.")
    return address
