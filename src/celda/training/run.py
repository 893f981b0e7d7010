"""The files of a phase in a run's folder: `metrics.jsonl` and `checkpoints/<phase>.safetensors`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from celda.errors import CeldaError
from celda.training import batches, checkpoint
from celda.training.batches import MapDataset
from celda.training.config import TrainingConfig
from celda.training.history import append_metrics, rewrite_metrics
from celda.training.learner import Learner


class Run:
    """Where one phase of a training keeps its files. Only the main process writes them.

    Raises CeldaError where `phase` cannot name a file or the folder cannot be made.
    """

    def __init__(self, folder: Path, phase: str, identity: Mapping[str, Any]) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", phase):
            raise CeldaError(f"phase={phase!r} cannot name a file: use letters, digits, '-', '_' and '.', as in 'fit'.")
        self.phase, self.identity = phase, identity
        self.metrics, self.checkpoint = folder / "metrics.jsonl", folder / "checkpoints" / f"{phase}.safetensors"
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CeldaError(
                f"The run folder {folder} cannot be made ({error}): give a folder that you may write to."
            ) from error

    def start(self, learner: Learner, resume: bool) -> None:
        """Put the learner where the phase stands: at its checkpoint or, where there is none, at its beginning."""
        if resume and self.checkpoint.exists():
            tensors, scalars = checkpoint.load(self.checkpoint)
            checkpoint.refuse_changes(self.checkpoint, scalars.pop("identity"), self.identity)
            learner.load_state(tensors, scalars)
        else:
            self.save(learner)
        if learner.is_main:
            rewrite_metrics(self.metrics, self.phase, learner.history.epochs)

    def save(self, learner: Learner) -> None:
        """Write a checkpoint. Every process must call it."""
        tensors, scalars = learner.state()
        if learner.is_main:
            checkpoint.save(self.checkpoint, tensors, {"identity": self.identity, **scalars})

    def save_epoch(self, learner: Learner) -> None:
        """Write the metrics of the epoch that ended last, and a checkpoint. Every process must call it."""
        if learner.is_main:
            append_metrics(self.metrics, self.phase, learner.history.epochs[-1])
        self.save(learner)


def forget(folder: Path) -> None:
    """Delete the checkpoints and the metrics of all phases that a run folder holds, and nothing else."""
    for path in (folder / "checkpoints").glob("*.safetensors"):
        if checkpoint.is_one(path):
            path.unlink()
            rewrite_metrics(folder / "metrics.jsonl", path.stem, [])


def describe(
    model: nn.Module, train: MapDataset, valid: MapDataset | None, config: TrainingConfig, processes: int
) -> dict[str, Any]:
    """What must be the same for a training to be resumed, in words."""
    settings = config.model_dump(exclude={"device", "checkpoint_every"})  # these may change on the way
    weights = {f"weight {name}": batches.kind(value) for name, value in model.state_dict().items()}
    sets = {"training set": batches.describe(train), "validation set": batches.describe(valid)}
    return {**settings, **sets, "processes": processes, **weights}
