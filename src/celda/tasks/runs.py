"""Which task a run is of, and so what resumes and evaluates it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from celda.errors import CeldaError
from celda.tasks.run_folder import RunFolder

# Each with `resume`, `evaluate` and `predict`; imported when it is asked for.
_MODULES = {
    "forecast": "celda.tasks.forecast_run",
    "language": "celda.tasks.language.run",
    "classify": "celda.tasks.sequences.run",
    "tag": "celda.tasks.sequences.run",
}


def task_of(folder: Path) -> str:
    """The task of the run in a folder. Raises CeldaError where there is none, or none that this version knows."""
    run = RunFolder.find(folder)
    task = run.task()
    if task not in _MODULES:
        raise CeldaError(
            f"{run.folder} holds a run of the task {task!r}, which this version has not: upgrade Celda, or give a "
            "folder of another run."
        )
    return task


def of(folder: Path) -> ModuleType:
    """The module of the run's task."""
    return import_module(_MODULES[task_of(folder)])
