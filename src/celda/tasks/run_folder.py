"""The folder of a run: what was asked for, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from celda.errors import CeldaError
from celda.files import delete, is_aside, written_aside

_CONFIG, _OUTCOME = "config.json", "scores.json"
_MODEL = "model"
_FORMER = "former"  # a run that has ended, until the one that overwrites it has
_FOLDERS = {
    "checkpoints": ("choose.safetensors", "calibrate.safetensors", "fit.safetensors", "final.safetensors"),
    "figures": ("test.png", "loss.png", "forecast.png", "confusion.png"),
    _MODEL: ("README.md", "config.json", "preprocessor.json", "model.safetensors"),
}
# All that a run writes. The configuration is last: as long as a part is there, so is what tells that it is of a run.
_FILES = (
    *(f"{folder}/{name}" for folder, names in _FOLDERS.items() for name in names),
    *("metrics.jsonl", "test.csv", "forecast.csv", "sample.txt", _OUTCOME, _CONFIG),
)
_KEYS = {"task", "fingerprint", "data", "parameters"}  # of the configuration, whatever the task


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    `scores`: a row a model, a column a metric. `windows`: how many of `what` the test held. `notes`: what was guessed,
    and warnings, a sentence each. `files`: what was written, by name. `seconds`: how long it took.
    """

    scores: pd.DataFrame
    windows: int
    notes: tuple[str, ...]
    files: dict[str, Path]
    seconds: float
    what: str = "forecasts"


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds a run, or will."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, overwrite: bool) -> RunFolder:
        """A folder for a new run.

        With `overwrite` a former run that has ended is moved to `former/` in it, and deleted when the new one has
        ended; one that has not is deleted at once. Other files are never touched.
        """
        if folder.is_file():
            raise CeldaError(f"{folder} is a file: give a folder for the run, such as runs/demo.")
        former_run = is_run(folder)
        if former_run and not overwrite and _has_begun(folder):
            raise CeldaError(
                f"{folder} holds a run already: resume it (celda resume {folder}), choose another folder, or overwrite "
                "it (--overwrite)."
            )
        if folder.is_dir() and any(folder.iterdir()) and not former_run:
            raise CeldaError(
                f"{folder} holds other files: choose an empty folder for the run, so that nothing is lost."
            )
        if former_run:
            _refuse_strangers(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / _OUTCOME).exists():
                _delete_former(folder)
                _move_run(folder, folder / _FORMER)
            _delete_run(folder)
        except OSError as error:
            raise CeldaError(f"{folder} cannot be made ready for a run ({error}): choose another folder.") from error
        return cls(folder)

    @classmethod
    def find(cls, folder: Path) -> RunFolder:
        """The run in a folder; where that is the model of a run, the run."""
        of_a_run = folder.name == _MODEL and not is_run(folder) and is_run(folder.parent)
        return cls(folder.parent if of_a_run else folder)

    @property
    def model(self) -> Path:
        """The directory of the model."""
        return self.folder / _MODEL

    def write(self, name: str, text: str) -> Path:
        """Write a file of the run."""
        path = self.folder / name
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
        return path

    def write_config(self, task: str, config: dict[str, Any]) -> None:
        """Write what was asked for."""
        self.write(_CONFIG, json.dumps({"task": task, **config}, indent=2))

    def read_config(self, task: str, keys: Collection[str] = ()) -> dict[str, Any]:
        """What was asked for, with these keys. Raises CeldaError where the folder holds no run of this task."""
        config = self._config()
        if config["task"] != task or not config.keys() >= set(keys):
            raise CeldaError(
                f"{self.folder / _CONFIG} does not describe a run of the task {task!r}: give a folder that does."
            )
        return config

    def task(self) -> str:
        """The task of the run. Raises CeldaError where the folder holds none."""
        return str(self._config()["task"])

    def _config(self) -> dict[str, Any]:
        if not (self.folder / _CONFIG).is_file():
            what = "holds no run" if self.folder.is_dir() else "does not exist"
            raise CeldaError(f"{self.folder} {what}: give the folder that --run named, such as runs/demo.")
        config = self._read(_CONFIG)
        if is_model(self.folder):
            raise CeldaError(
                f"{self.folder} holds a model and no run: give the folder of its run, or in Python write "
                f"celda.load({str(self.folder)!r})."
            )
        if not isinstance(config, dict) or not config.keys() >= _KEYS:
            raise CeldaError(f"{self.folder / _CONFIG} does not describe a run: give a folder that holds one.")
        return config

    def write_outcome(self, outcome: Outcome) -> Outcome:
        """Write what the run came to: this ends it. Where it had ended before, that took what it took then."""
        if self.has_ended:
            with suppress(CeldaError):  # it is damaged: this is how it is written anew
                outcome = replace(outcome, seconds=self.read_outcome().seconds)
        rows = {
            str(name): {metric: None if pd.isna(value) else float(value) for metric, value in row.items()}
            for name, row in outcome.scores.iterrows()
        }
        files = {name: str(path.relative_to(self.folder)) for name, path in outcome.files.items()}
        whole = {
            "scores": rows,
            "windows": outcome.windows,
            "what": outcome.what,
            "notes": outcome.notes,
            "files": files,
        }
        self.write(_OUTCOME, json.dumps({**whole, "seconds": outcome.seconds}, indent=2))
        _delete_former(self.folder)
        return outcome

    def read_outcome(self) -> Outcome:
        """What the run came to. Raises CeldaError where it has not ended."""
        self.require_end()
        kept = self._read(_OUTCOME)
        try:
            scores = pd.DataFrame(kept["scores"]).T.astype(float)
            files = {name: self.folder / relative for name, relative in kept["files"].items()}
            told = tuple(kept["notes"]), files, float(kept["seconds"]), str(kept["what"])
            return Outcome(scores, int(kept["windows"]), *told)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CeldaError(
                f"{self.folder / _OUTCOME} is damaged, as it does not hold the scores of a run: bring back a copy of "
                f"it, or write it anew (celda resume {self.folder})."
            ) from error

    @property
    def has_ended(self) -> bool:
        """Whether the run came to its end."""
        return (self.folder / _OUTCOME).is_file()

    def require_end(self) -> None:
        """Raise CeldaError where the run has not ended."""
        if not self.has_ended:
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


def is_model(folder: Path) -> bool:
    """Whether a folder holds a saved model."""
    return (folder / "model.safetensors").is_file()


def is_run(folder: Path) -> bool:
    """Whether the configuration in a folder is one that a run wrote: many programs have a file of that name."""
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.keys() >= _KEYS


def _has_begun(folder: Path) -> bool:
    """Whether a run has come to anything; else it was refused, and another may take its place."""
    return (folder / _OUTCOME).exists() or any((folder / "checkpoints").glob("*.safetensors"))


def _refuse_strangers(folder: Path) -> None:
    """Raise CeldaError where a file that no run writes lies among those that it does."""
    for name, known in _FOLDERS.items():
        for path in (folder / name).glob("*"):
            if path.name not in known and not is_aside(path):
                raise CeldaError(f"{path} is not of the run in {folder}: move it, so that nothing is lost.")
    if (folder / _FORMER).exists() and not is_run(folder / _FORMER):
        raise CeldaError(f"{folder / _FORMER} is not a run: move it, so that nothing is lost.")


def _move_run(folder: Path, target: Path) -> None:
    for name in _FILES:
        if (folder / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(target / name)


def _delete_run(folder: Path) -> None:
    """Delete the files of a run, and the folders in it that are empty then."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for part in (*(folder / name for name in _FOLDERS), folder):
        for left in part.glob(".*.aside"):
            delete(left)
    for name in _FOLDERS:
        with suppress(OSError):  # it is not there, or holds other files
            (folder / name).rmdir()


def _delete_former(folder: Path) -> None:
    _delete_run(folder / _FORMER)
    with suppress(OSError):
        (folder / _FORMER).rmdir()
