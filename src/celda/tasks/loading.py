"""From a model directory to the task that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import saved_forecaster, saved_sequences
from celda.tasks.classifier import Classifier
from celda.tasks.forecaster import Forecaster
from celda.tasks.model_directory import read_model
from celda.tasks.run_folder import RunFolder, is_run
from celda.tasks.tagger import Tagger

# By the task that a directory names: its class, and what makes one of that class from the directory.
_TASKS: dict[str, tuple[Any, Any]] = {
    saved_forecaster.TASK: (Forecaster, saved_forecaster.restore),
    Classifier.TASK: (Classifier, saved_sequences.restore),
    Tagger.TASK: (Tagger, saved_sequences.restore),
}


def load(directory: str | Path, *, cell: Cell | None = None) -> Any:
    """Load a model that `save` wrote, or that of a run folder: a `Forecaster`, a `Classifier` or a `Tagger`.

    `cell`: needed where the model was trained with a cell of your own, as a directory holds no program.

    Raises CeldaError, in one line, where the directory is no model, incomplete, damaged or changed.
    """
    directory = Path(directory)
    if is_run(directory):
        run = RunFolder(directory)
        run.require_end()
        directory = run.model
    stored = read_model(directory)
    if stored.task not in _TASKS:
        raise CeldaError(f"{directory} holds a model for the task {stored.task!r}, which this version has not.")
    kind, restore = _TASKS[stored.task]
    return restore(kind, stored, cell)
