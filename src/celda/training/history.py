"""What a training came to, epoch by epoch, in memory and in `metrics.jsonl`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from celda.files import written_aside


@dataclass(frozen=True)
class Epoch:
    """One epoch. Losses are means over samples; `gradient_norm` is the mean over steps, before clipping."""

    epoch: int  # counted from 1
    step: int  # steps taken since the training began
    train_loss: float
    valid_loss: float | None  # None without a validation set
    learning_rate: float  # of its last step
    gradient_norm: float
    seconds: float  # validation included


@dataclass
class History:
    """All epochs of a training. `best_epoch`, whose weights the model was given, is the one of the lowest validation
    loss; it is None without a validation set, and then the model has its last weights.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    best_loss: float | None = None
    seconds: float = 0.0  # in all, over every resumption
    stopped_early: bool = False
    interrupted: bool = False  # by Ctrl-C or SIGTERM, be it after the last step
    signal: int | None = None  # that interrupted it, where this process received it

    def add(self, epoch: Epoch) -> bool:
        """Append an epoch; tell whether it is the best so far."""
        self.epochs.append(epoch)
        if epoch.valid_loss is None or (self.best_loss is not None and epoch.valid_loss >= self.best_loss):
            return False
        self.best_epoch, self.best_loss = epoch.epoch, epoch.valid_loss
        return True

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The history of which `dataclasses.asdict` gave these fields."""
        return cls(**{**fields, "epochs": [Epoch(**epoch) for epoch in fields["epochs"]]})


def rewrite_metrics(path: Path, phase: str, epochs: Sequence[Epoch]) -> None:
    """Make `epochs` all that the file tells of `phase`; lines of other phases stay, a torn line goes."""
    others = (
        [line for line in path.read_text().splitlines() if _phase(line) not in (None, phase)] if path.exists() else []
    )
    with written_aside(path) as aside:
        aside.write_text("".join(f"{line}\n" for line in [*others, *(_line(phase, epoch) for epoch in epochs)]))


def append_metrics(path: Path, phase: str, epoch: Epoch) -> None:
    """Add a line for an epoch of `phase`, a JSON object: the phase and the fields of `Epoch`."""
    with path.open("a") as file:  # so short a line leaves the buffer as one write, and is there whole or not at all
        file.write(_line(phase, epoch) + "\n")


def _line(phase: str, epoch: Epoch) -> str:
    return json.dumps({"phase": phase, **asdict(epoch)}, allow_nan=False)


def _phase(line: str) -> str | None:
    try:
        return str(json.loads(line)["phase"])
    except (ValueError, TypeError, KeyError):  # not one of our lines, or one that was cut short
        return None
