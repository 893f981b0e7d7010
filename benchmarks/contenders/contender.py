"""What a contender is, and the numbers that all contenders at a shape are given."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import celda
from benchmarks.shapes import Shape, flops

Make = Callable[[int, int], nn.Module]  # (I, H) -> a layer


class Ready(NamedTuple):
    """A contender at a shape: what is timed, and the operations of one call.

    `call` returns arrays in the order that all contenders for the task agree on: the gradients of the input and of each
    weight in training, the output otherwise. Its first result is compared with the others'.
    """

    call: Callable[[], tuple[Any, ...]]
    flops: float


class Contender(NamedTuple):
    """How a contender is made ready, what must be installed, and how far its results may be off, of the largest."""

    build: Callable[[Shape], Ready]
    needs: tuple[str, ...] = ()
    tolerance: float = 2e-4

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.needs if find_spec(name) is None)


class Task(NamedTuple):
    """Contenders that compute the same; whether gradients are taken."""

    training: bool
    contenders: dict[str, Contender]


@lru_cache(maxsize=1)
def numbers(shape: Shape) -> tuple[Tensor, Tensor]:
    """The input (T, B, I) and the gradient that comes back for the output (T, B, H)."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(shape.steps, shape.batch, shape.width, generator=g)
    return x, torch.randn(shape.steps, shape.batch, shape.hidden, generator=g)


def seeded(make: Make, shape: Shape) -> Any:
    """The layer at a shape, always with the same weights: Celda's layers draw the numbers that torch.nn's do."""
    torch.manual_seed(0)
    layer = make(shape.width, shape.hidden)
    if isinstance(layer, celda.Recurrent) and (plan := layer.plan()).engine != "cpu":
        raise SystemExit(f"Celda's CPU engine does not run here: {plan.reason}.")
    return layer


def training(module: nn.Module, run: Callable[[Tensor], Tensor], shape: Shape) -> Ready:
    """Forward, then the gradients of the input and of all weights; gradients begin as None. All in their dtype."""
    leaves = [*module.parameters()]
    data, above = (value.to(leaves[0].dtype) for value in numbers(shape))
    x = data.clone().requires_grad_()
    leaves = [x, *leaves]

    def call() -> tuple[Any, ...]:
        for leaf in leaves:
            leaf.grad = None
        run(x).backward(above)
        return tuple(leaf.grad for leaf in leaves)

    return Ready(call, flops(module, shape, training=True))
