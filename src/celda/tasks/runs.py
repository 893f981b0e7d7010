"""From the folder of a run to the program of its task."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from celda.tasks.run_folder import RunFolder

_PROGRAMS = {
    "forecast": "celda.tasks.forecast_run",
    "classify": "celda.tasks.sequence_run",
    "tag": "celda.tasks.sequence_run",
}


def program(folder: Path) -> ModuleType:
    """The module with `resume`, `evaluate` and `predict` for the run in a folder.

    Raises CeldaError where the folder holds no run.
    """
    return import_module(_PROGRAMS[RunFolder.find(folder).read_config(*_PROGRAMS)["task"]])
