"""A recurrent model whose state goes on from batch to batch: truncated BPTT in the training loop."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Carried(nn.Module):
    """Calls `model(x, state, start)`, which gives an output and a tuple of states, and keeps these for the next call.

    The gradient ends where a batch begins. In training the states are buffers, so a checkpoint holds them; in
    evaluation they are kept apart, so that a validation leaves no trace.

    Args:
        model: the model. start: the states that a stream begins with, of as many sequences as a training batch has.
    """

    def __init__(self, model: nn.Module, start: Sequence[Tensor]) -> None:
        super().__init__()
        self.model = model
        self._names = [f"state_{number}" for number in range(len(start))]
        for name, state in zip(self._names, start, strict=True):
            self.register_buffer(name, state)
        self._evaluated: tuple[Tensor, ...] | None = None

    def forward(self, x: Tensor, start: int) -> Tensor:
        """The model's output for the next chunk, whose first step is the stream's number `start`, counted from 0."""
        states = tuple(self.get_buffer(name) for name in self._names) if self.training else self._evaluated
        output: Tensor
        output, after = self.model(x, states if start else None, start)
        after = tuple(state.detach() for state in after)
        if self.training:
            for name, state in zip(self._names, after, strict=True):
                setattr(self, name, state)
        else:
            self._evaluated = after
        return output
