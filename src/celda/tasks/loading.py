"""From a model directory to the task that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import saved_forecaster
from celda.tasks.language import saved as saved_language_model
from celda.tasks.model_directory import StoredModel, read_model
from celda.tasks.run_folder import RunFolder, is_run
from celda.tasks.sequences import Classifier, Tagger, saved

_RESTORE: dict[str, Callable[[StoredModel, Cell | None], Any]] = {
    saved_forecaster.TASK: saved_forecaster.restore,
    saved_language_model.TASK: saved_language_model.restore,
    Classifier.TASK: partial(saved.restore, Classifier),
    Tagger.TASK: partial(saved.restore, Tagger),
}


def load(directory: str | Path, *, cell: Cell | None = None) -> Any:
    """Load a model that `save` wrote, or that of a run folder: an object of the class that it was saved from.

    `cell`: needed where the model was trained with a cell of your own, as a directory holds no program.

    Raises CeldaError, in one line, where the directory is no model, incomplete, damaged or changed.
    """
    directory = Path(directory)
    if is_run(directory):
        run = RunFolder(directory)
        run.require_end()
        directory = run.model
    stored = read_model(directory)
    if stored.task not in _RESTORE:
        raise CeldaError(f"{directory} holds a model for the task {stored.task!r}, which this version has not.")
    return _RESTORE[stored.task](stored, cell)
