"""From a model directory to the task that wrote it."""

from __future__ import annotations

from pathlib import Path

from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import saved_forecaster
from celda.tasks.forecaster import Forecaster
from celda.tasks.model_directory import read_model


def load(directory: str | Path, *, cell: Cell | None = None) -> Forecaster:
    """Load a model that `save` wrote.

    `cell`: needed where the model was trained with a cell of your own, as a directory holds no program.

    Raises CeldaError, in one line, where the directory is no model, incomplete, damaged or changed.
    """
    stored = read_model(Path(directory))
    if stored.task != saved_forecaster.TASK:
        raise CeldaError(f"{directory} holds a model for the task {stored.task!r}, which this version has not.")
    return saved_forecaster.restore(Forecaster, stored, cell)
