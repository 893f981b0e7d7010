"""The folder of a run: what was asked for, and what it came to."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from celda.errors import CeldaError
from celda.files import written_aside

_CONFIG, _OUTCOME = "config.json", "scores.json"
_PARTS = (_CONFIG, _OUTCOME, "metrics.jsonl", "test.csv", "forecast.csv", "checkpoints", "figures", "model")


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    `scores`: a row a model, a column a metric. `windows`: how many horizons the test forecast. `notes`: what was
    guessed, and warnings, a sentence each. `files`: what was written, by name. `seconds`: how long it took.
    """

    scores: pd.DataFrame
    windows: int
    notes: tuple[str, ...]
    files: dict[str, Path]
    seconds: float


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds a run, or will."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, overwrite: bool) -> RunFolder:
        """An empty folder for a new run. A former run is deleted with `overwrite`; other files are never touched."""
        if folder.is_file():
            raise CeldaError(f"{folder} is a file: give a folder for the run, such as runs/demo.")
        is_run = (folder / _CONFIG).exists()
        if is_run and not overwrite:
            raise CeldaError(
                f"{folder} holds a run already: resume it (celda resume {folder}), choose another folder, or overwrite "
                "it (--overwrite)."
            )
        if folder.is_dir() and any(folder.iterdir()) and not is_run:
            raise CeldaError(
                f"{folder} holds other files: choose an empty folder for the run, so that nothing is lost."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for part in _PARTS:
                if (folder / part).is_dir():
                    shutil.rmtree(folder / part)
                else:
                    (folder / part).unlink(missing_ok=True)
        except OSError as error:
            raise CeldaError(f"{folder} cannot be made ready for a run ({error}): choose another folder.") from error
        return cls(folder)

    @property
    def model(self) -> Path:
        """The directory of the model."""
        return self.folder / "model"

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run."""
        path = self.folder / name
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
        return path

    def write_config(self, task: str, config: dict[str, Any]) -> None:
        """Write what was asked for."""
        self.write(_CONFIG, json.dumps({"task": task, **config}, indent=2))

    def read_config(self, task: str) -> dict[str, Any]:
        """What was asked for. Raises CeldaError where the folder holds no run of this task."""
        if not (self.folder / _CONFIG).is_file():
            what = "holds no run" if self.folder.is_dir() else "does not exist"
            raise CeldaError(f"{self.folder} {what}: give the folder that --run named, such as runs/demo.")
        config = self._read(_CONFIG)
        if not isinstance(config, dict) or config.get("task") != task or "parameters" not in config:
            raise CeldaError(
                f"{self.folder / _CONFIG} does not describe a run of the task {task!r}: give a folder that does."
            )
        return config

    def write_outcome(self, outcome: Outcome) -> None:
        """Write what the run came to: this ends it."""
        rows = {
            str(name): {metric: None if pd.isna(value) else float(value) for metric, value in row.items()}
            for name, row in outcome.scores.iterrows()
        }
        files = {name: str(path.relative_to(self.folder)) for name, path in outcome.files.items()}
        whole = {"scores": rows, "windows": outcome.windows, "notes": outcome.notes, "files": files}
        self.write(_OUTCOME, json.dumps({**whole, "seconds": outcome.seconds}, indent=2))

    def read_outcome(self) -> Outcome:
        """What the run came to. Raises CeldaError where it has not ended."""
        self.require_end()
        kept = self._read(_OUTCOME)
        scores = pd.DataFrame(kept["scores"]).T.astype(float)
        files = {name: self.folder / relative for name, relative in kept["files"].items()}
        return Outcome(scores, kept["windows"], tuple(kept["notes"]), files, kept["seconds"])

    def require_end(self) -> None:
        """Raise CeldaError where the run has not ended."""
        if not (self.folder / _OUTCOME).is_file():
            raise CeldaError(
                f"The run in {self.folder} has not ended, so it has neither model nor scores: resume it "
                f"(celda resume {self.folder})."
            )

    def _read(self, name: str) -> Any:
        path = self.folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CeldaError(f"{path} is damaged ({error}): bring back a copy of it, or start a new run.") from error
