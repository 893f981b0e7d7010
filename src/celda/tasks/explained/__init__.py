"""A trained model as `celda.insight` wants it: its network, sequences to look at it with, and what the steps mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celda.data import datasets
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.explained import forecasting, labelling, writing
from celda.tasks.forecaster import Forecaster
from celda.tasks.language import LanguageModel
from celda.tasks.loading import load
from celda.tasks.options import OwnCellError
from celda.tasks.run_folder import RunFolder, is_model, is_run

Explained = forecasting.Explained | labelling.Explained | writing.Explained


def subject(folder: str | Path, source: Any = None, *, cell: Cell | None = None) -> Explained:
    """What `celda.insight.explain` needs of a run folder or a model directory: a `celda.insight.Subject`.

    `source`: the table, text or sequences to look at the model with; those of the run by default. `cell`: where it is
    one of your own.

    With a cell of your own, from Python: `celda.insight.explain(subject("runs/demo", cell=mine), "out")`.

    Raises CeldaError where the folder holds neither, or the data cannot be used with the model.
    """
    folder = Path(folder)
    if folder.is_file():
        raise CeldaError(f"{folder} is a file and no run: give the folder that --run named, and this file after it.")
    own = source is None
    source = _of_the_run(folder) if own else source
    try:
        model = load(folder, cell=cell)
    except OwnCellError as error:
        raise CeldaError(
            f"{folder} was trained with a cell of yours, {error.name!r}, and equations are not read from files: write "
            f'celda.insight.explain(celda.tasks.explained.subject("{folder}", data, cell={error.name}), "out"), from '
            "Python."
        ) from error
    if isinstance(model, Forecaster):
        return forecasting.subject(model, source)
    if isinstance(model, LanguageModel):
        return writing.subject(model, source, held_out=own)
    return labelling.subject(model, source)


def _of_the_run(folder: Path) -> Any:
    """The data that a run began with."""
    run = RunFolder.find(folder)
    if not is_run(run.folder) and is_model(folder):
        raise CeldaError(f"{folder} is a model, which holds no data: name a table, text or folder after it.")
    source = run.read_config(run.task(), ["data"])["data"]
    if source is None:
        raise CeldaError("The run was begun with data in memory, not with a file: give them again.")
    if str(source) not in datasets() and not Path(source).exists():
        raise CeldaError(
            f"The data of the run, {source}, are not there any more: name them after it (celda explain {folder} DATA)."
        )
    return source
