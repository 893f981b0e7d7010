"""A run that learns from labelled sequences: a folder with everything from the training to the test.

    run/config.json       what was asked for: the data, the options
    run/metrics.jsonl     a line for each epoch of each phase
    run/checkpoints/      where each phase stands
    run/scores.json       the test: the network beside the baselines
    run/test.csv          what was predicted in the test
    run/figures/          what was taken for what, and the loss
    run/model/            the model, for `celda.load`

The test is honest: the model that is scored, and kept, has not seen it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from celda.data.labelled import Labelled
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.figures import loss_figure, save_figure
from celda.tasks.loading import load
from celda.tasks.options import from_plain, to_plain
from celda.tasks.run_folder import Outcome, RunFolder
from celda.tasks.sequences.classifier import Classifier
from celda.tasks.sequences.estimator import SequenceEstimator
from celda.tasks.sequences.figures import confusion_figure
from celda.tasks.sequences.options import check_sequence_options
from celda.tasks.sequences.tagger import Tagger
from celda.training import History
from celda.training.device import check_device

_KINDS: dict[str, type[SequenceEstimator]] = {kind.TASK: kind for kind in (Classifier, Tagger)}
_KEYS = {"test", "test_size"}  # of the configuration, besides those of every run

_PHASES = "choose: without the validation part, to find how many epochs; fit: with it"


def train(
    source: str | Path,
    folder: str | Path,
    estimator: SequenceEstimator,
    *,
    test: str | Path | None = None,
    test_size: float = 0.2,
    overwrite: bool = False,
    quiet: bool = False,
) -> Outcome:
    """Fit, test and keep a classifier or a tagger in a new run folder.

    `test`: the file or folder of the test; without one, the share `test_size` of the sequences is held out, of each
    class the same. `overwrite`: whether a former run in the folder is deleted first.

    Raises CeldaError where the data, the options or the folder cannot be used; KeyboardInterrupt after Ctrl-C, when the
    checkpoint is written that `resume` goes on from.
    """
    check_sequence_options(estimator)
    if isinstance(test_size, bool) or not 0 < test_size < 1:
        raise CeldaError(f"test_size={test_size!r} is no share of the sequences: write for example 0.2.")
    parts = _parts(estimator, source, test, test_size)
    # What cannot be is told before the training, and before there is a folder.
    estimator.check_learnable(parts[0])
    estimator._targets(parts[1].in_form(parts[0].form), estimator.classes_of(parts[0]))
    check_device(estimator.device)
    run = RunFolder.make(Path(folder), overwrite)
    config = {
        "data": _address(source),
        "test": None if test is None else _address(test),
        "test_size": test_size,
        "fingerprint": [part.fingerprint() for part in parts],
        "parameters": to_plain(estimator),
    }
    run.write_config(estimator.TASK, config)
    return _go(parts, run, estimator, resume=False, quiet=quiet)


def resume(
    folder: str | Path, source: str | Path | None = None, *, cell: Cell | None = None, quiet: bool = False
) -> Outcome:
    """Go on with a run that was interrupted; it ends with the very weights that it would have had without."""
    run = RunFolder.find(Path(folder))
    config, estimator = _begun(run, cell)
    parts = _parts(estimator, source or config["data"], config["test"], config["test_size"])
    if [part.fingerprint() for part in parts] != config["fingerprint"]:
        raise CeldaError(f"The data is not what the run in {folder} began with: give that data, or start a new run.")
    return _go(parts, run, estimator, resume=True, quiet=quiet)


def evaluate(folder: str | Path, source: str | Path | None = None, *, cell: Cell | None = None) -> Outcome:
    """The scores of the run's test or, with a file or folder of labelled sequences, of those, beside the baselines."""
    run, begun = RunFolder.find(Path(folder)), time.perf_counter()
    config, estimator = _begun(run, cell)
    if source is None:
        return run.read_outcome()
    run.require_end()
    model: Any = load(run.model, cell=cell)
    if Path(config["data"]).exists():  # the baselines learn from it anew
        model._learnt_from = _parts(estimator, config["data"], config["test"], config["test_size"])[0]
    tested = model.evaluate(source)
    return Outcome(tested.scores, len(tested.frame), tested.notes, {}, time.perf_counter() - begun, tested.what)


def predict(folder: str | Path, source: str | Path | None = None, *, cell: Cell | None = None) -> pd.DataFrame:
    """What the run's model says of a file or folder of sequences, with labels or without: the table of its `table`."""
    run = RunFolder.find(Path(folder))
    _begun(run, cell)
    run.require_end()
    if source is None:
        raise CeldaError("There is nothing to predict: give a file or a folder of sequences after the run.")
    table: pd.DataFrame = load(run.model, cell=cell).table(source)
    return table


def _begun(run: RunFolder, cell: Cell | None) -> tuple[dict[str, Any], SequenceEstimator]:
    """The configuration of a run, and its options."""
    kind = _KINDS[run.task()]
    config = run.read_config(kind.TASK, _KEYS)
    return config, kind(**from_plain(config["parameters"], set(kind().get_params()), cell))


def _parts(
    estimator: SequenceEstimator, source: str | Path, test: str | Path | None, test_size: float
) -> tuple[Labelled, Labelled]:
    """What is learnt from, and the test."""
    data = estimator.read(source)
    if test is not None:
        return data, estimator.read(test)
    if len(data) < 2:
        raise CeldaError(
            f"{data.name} holds a single sequence, of which no part is held out for the test: cut it into several "
            "(id_col), or give another file, test='FILE'."
        )
    held_out = estimator._hold_out(data, test_size, np.random.default_rng(0))
    if not len(held_out):
        raise CeldaError(
            f"{data.name} holds too few sequences ({len(data)}) to hold a test out of them: give more, or a file "
            "of its own for the test."
        )
    return data.take(np.setdiff1d(np.arange(len(data)), held_out)), data.take(held_out)


def _go(parts: tuple[Labelled, Labelled], run: RunFolder, estimator: Any, *, resume: bool, quiet: bool) -> Outcome:
    """The run from its beginning or from where it stands; what was trained already is not trained again."""
    begun = time.perf_counter()
    train, test = parts
    estimator.fit(train, run=run.folder, resume=resume, quiet=quiet)
    tested = estimator.evaluate(test)
    estimator.test_scores_ = tested.scores
    files = {"test": run.write("test.csv", tested.frame.to_csv(index=False, float_format="%.4g"))}
    drawn = {
        "confusion": confusion_figure(tested),
        "loss": loss_figure(_shown(estimator.histories_), estimator.epochs_, "nats", _PHASES),
    }
    for name, figure in drawn.items():
        files[f"{name} figure"] = run.folder / "figures" / f"{name}.png"
        save_figure(figure, files[f"{name} figure"])
    estimator.save(run.model)
    files = {"model": run.model, **files}
    seconds = time.perf_counter() - begun
    outcome = Outcome(tested.scores, len(tested.frame), tested.notes, files, seconds, tested.what)
    return run.write_outcome(outcome)


def _shown(histories: dict[str, History]) -> dict[str, History]:
    """The phases of the figure: "calibrate" repeats one of them on fewer sequences."""
    return {phase: history for phase, history in histories.items() if phase != "calibrate"}


def _address(source: str | Path) -> str:
    return str(Path(source).expanduser().resolve())
