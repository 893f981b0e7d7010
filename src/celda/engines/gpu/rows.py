"""How a batch lies before the kernels: as the caller has it, with what they are told of lengths and resets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celda.engines.call import Call


@dataclass(frozen=True, eq=False)
class Rows:
    """The sizes of a call. `order` has the longest sequences first, so that those of one program end together; `anew`
    (T + 1, B) is 1 where a sequence starts anew before the s-th step that is run."""

    steps: int
    batch: int
    hidden: int
    reverse: bool
    start: int
    lengths: Tensor | None
    order: Tensor | None
    anew: Tensor | None

    @staticmethod
    def of(call: Call) -> Rows:
        """The rows of a call; nothing of it is read by the host, so nobody waits for the device."""
        x = call.inputs[call.cell.inputs[0]]
        steps, batch, device = x.shape[0], x.shape[1], x.device
        lengths, order, anew = None, None, None
        if call.lengths is not None:
            lengths = call.lengths.to(device, torch.int64).contiguous()
            order = torch.argsort(lengths, descending=True, stable=True)
        if call.resets is not None:
            resets = call.resets.to(device)
            anew = torch.zeros(steps + 1, batch, dtype=torch.uint8, device=device)
            anew[1:steps] = resets[1:].flip(0) if call.reverse else resets[1:]
            if not call.reverse:
                anew[0] = resets[0]
        return Rows(steps, batch, call.states[0].shape[1], call.reverse, call.start, lengths, order, anew)

    @property
    def kind(self) -> tuple[bool, bool]:
        """What the source of a kernel depends on: are there lengths, are there resets?"""
        return self.order is not None, self.anew is not None

    def room(self, like: Tensor, *widths: int, zero: bool = False) -> Tensor:
        """Memory for a value of every row, (T, B, ...): zero where no kernel writes, past the ends."""
        make = like.new_zeros if zero or self.order is not None else like.new_empty
        return make(self.steps, self.batch, *widths)

    def carried(self, value: Tensor) -> Tensor:
        """(B, H) at the start: nothing where a sequence starts anew at its first step."""
        return value if self.anew is None else value.masked_fill(self.anew[0].unsqueeze(1) != 0, 0)

    def step(self, s: int) -> int:
        """Which step is run as the s-th."""
        return self.steps - 1 - s if self.reverse else s

    def told(self) -> dict[str, Tensor | int]:
        """What the kernels are told."""
        first, direction = (self.steps - 1, -1) if self.reverse else (0, 1)
        found: dict[str, Tensor | int] = {"steps": self.steps, "batch": self.batch, "first": first}
        found |= {"direction": direction, "start": self.start}
        tensors = {"lengths": self.lengths, "order": self.order, "anew": self.anew}
        return found | {name: tensor for name, tensor in tensors.items() if tensor is not None}
