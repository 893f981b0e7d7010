"""What the experiments learn with: a layer with a linear readout, and a loop over sequences drawn as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import celda
from celda.language import Cell


@dataclass(frozen=True)
class Training:
    """The setting of a run.

    Attributes:
        cell: its name.
        hidden_size: units.
        learning_rate: Adam's.
        limit: sequences after which it is given up.
        batch_size: sequences a step.
        init: how the weights start (`celda.Recurrent`).
        clip: the norm that a gradient is cut to.
        check: sequences between two looks at whether it is solved.
        decay: whether the learning rate falls linearly to 0 at the limit.
    """

    cell: str
    hidden_size: int
    learning_rate: float
    limit: int
    batch_size: int = 1
    init: str = "torch"
    clip: float = 1.0
    check: int = 200
    decay: bool = False


class Network(nn.Module):
    """A recurrent layer, and a linear map from its output to (T, B, outputs)."""

    def __init__(
        self, cell: str | Cell, inputs: int, hidden_size: int, outputs: int, dropout: float = 0.0, **options: Any
    ):
        super().__init__()
        self.layer = celda.Recurrent(cell, inputs, hidden_size, **options)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden_size, outputs)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The outputs of all steps of (T, B, inputs), and the state after them."""
        y, state = self.layer(x, state)
        return self.readout(self.dropout(y)), state

    def last(self, x: Tensor) -> Tensor:
        """The output of the last step, (B, outputs)."""
        return self.readout(self.layer(x)[0][-1])


def weights(net: nn.Module) -> int:
    """How many numbers it learns. torch's second bias of a gate counts, too."""
    return sum(p.numel() for p in net.parameters())


def learn(
    net: nn.Module, training: Training, loss: Callable[[], Tensor], solved: Callable[[float], bool], **adam: Any
) -> int | None:
    """Follow the gradient of `loss`, which draws a batch each time, until `solved`; `adam`: further options of Adam.

    That is asked every `training.check` sequences, with the mean loss over them. Gives the number of sequences used,
    or None where it was not solved within the limit.
    """
    optimizer = torch.optim.Adam(net.parameters(), lr=training.learning_rate, fused=True, **adam)
    steps, every = training.limit // training.batch_size, max(1, training.check // training.batch_size)
    total = 0.0
    for step in range(1, steps + 1):
        if training.decay:
            optimizer.param_groups[0]["lr"] = training.learning_rate * (1 - (step - 1) / steps)
        optimizer.zero_grad()
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), training.clip)
        optimizer.step()
        total += value.item()
        if step % every == 0:
            if solved(total / every):
                return step * training.batch_size
            total = 0.0
    return None
