"""What a task tells so that cells can be compared on it, and what is asked of whoever measures their memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from celda.language import Cell

SEQUENCES = 32  # of the test, that the memory is measured with


class ByLag(Protocol):
    """The gradient of the last output by lag, as `celda.insight.GradientByLag` is: `inputs` (T,) are its norms."""

    @property
    def inputs(self) -> Tensor: ...
    def reach(self, share: float = 0.1) -> int:
        """The largest lag at which the input still counts `share` of the most."""


# From a network and a pass through it over some sequences: insight is not known here, so the caller brings it.
Measure = Callable[[nn.Module, Callable[[], object]], ByLag]


@dataclass(frozen=True)
class Trained:
    """A network that was trained, its error on the test, and `look`, a pass over some sequences of the test.

    `epochs`: of the training that is tested. `seconds`: of all training. `pace`: the middle epoch's seconds.
    """

    network: nn.Module
    error: float
    look: Callable[[], object]
    epochs: int
    seconds: float
    pace: float


class Contest(Protocol):
    """Data that is read and split once, on which any cell can be trained and tested.

    `error`: what is measured on the test, lower is better. `step`: what one step of the network reads.
    `hidden_size`: of the first cell. `data`: tells data apart.
    """

    @property
    def error(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def data(self) -> str: ...
    @property
    def facts(self) -> str:
        """What all cells have in common that the task would do otherwise; empty where there is nothing."""

    def network(self, cell: str | Cell, hidden_size: int) -> nn.Module:
        """A network with fresh weights."""

    def options(self, cell: str | Cell, hidden_size: int, seed: int) -> dict[str, Any]:
        """All options of a training, as JSON can hold them."""

    def train(self, cell: str | Cell, hidden_size: int, seed: int) -> Trained:
        """Train and test. Raises KeyboardInterrupt where it was interrupted."""
