"""What an engine gives that has shorter ways than a `Call`: a step at a time, or many passes of the same sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd import forward_ad

_is_compiling = torch.compiler.is_compiling  # found once: `onlooker` is asked at every step of a stream
_is_any_autocast_enabled = torch._C._is_any_autocast_enabled
_are_functorch_transforms_active = torch._C._are_functorch_transforms_active
_len_torch_dispatch_stack = torch._C._len_torch_dispatch_stack


class Stream(Protocol):
    """The layers of a stack with their states, which stay there from step to step.

    It is made from one `Call` of one step for each layer, the lowest first, whose inputs and states tell the sizes.
    """

    def step(self, inputs: Sequence[Tensor], time: int) -> Tensor:
        """The output of the last layer, (B, H), in memory of its own; the inputs of the cell are (B, width) each."""
        ...

    def read(self) -> tuple[Tensor, ...]:
        """Copies of the states, one (layers, B, H) tensor each."""
        ...

    def write(self, states: Sequence[Tensor]) -> None:
        """Go on from these states; before the first step, too."""
        ...


class Bound(Protocol):
    """One layer and direction over batches of the same sizes, without gradients."""

    def run(
        self, x: Tensor, states: Sequence[Tensor] | None, weights: Mapping[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...], Mapping[str, Tensor]]:
        """The outputs (T, B, H) and the last states, (1, B, H) each, from initial ones (B, H), or zeros.

        They are in memory of their own, and no views. Third is what a trace keeps, (T, B, H) each, by name.
        """
        ...


def onlooker() -> str | None:
    """What is at work now that must see operations of torch, in words; None: nothing, and a stream may run."""
    if _is_compiling():
        return "the model is being compiled"
    if _is_any_autocast_enabled():
        return "torch.autocast decides the dtype"
    if _are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return "torch.func transforms see through torch operations only"
    return "a dispatch mode looks on" if _len_torch_dispatch_stack() else None
