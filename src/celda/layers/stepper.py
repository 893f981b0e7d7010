"""A layer one step at a time: streaming, with a state that can be looked at, saved and restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from celda.errors import CeldaError
from celda.layers.doors import check_states, shape

if TYPE_CHECKING:
    from celda.layers.recurrent import Recurrent


class Stepper:
    """Runs a layer on one step at a time, in evaluation mode and without gradients.

    `y_t = stepper(x_t)` takes (B, I) and gives (B, H); `stepper.state` is a tuple with one (layers, B, H) tensor a
    state, and may be assigned. Feeding a sequence step by step gives what the layer gives for all of it.
    """

    def __init__(self, layer: Recurrent, batch_size: int = 1) -> None:
        if layer.bidirectional:
            raise CeldaError(
                "A bidirectional layer needs the end of a sequence first, so it cannot be stepped: use one direction."
            )
        if not isinstance(batch_size, int) or batch_size < 1:
            raise CeldaError(f"batch_size={batch_size!r} cannot be: write a whole number of at least 1.")
        self.layer, self.batch_size = layer, batch_size
        self.reset()

    @property
    def _wanted(self) -> tuple[int, int, int]:
        return (self.layer.num_layers, self.batch_size, self.layer.hidden_size)

    def reset(self) -> None:
        """Forget everything: zero states, step 0."""
        self.steps = 0
        self._state = tuple(self.layer._like.new_zeros(self._wanted) for _ in self.layer.cell.states)

    @property
    def state(self) -> tuple[Tensor, ...]:
        """One (layers, B, H) tensor a state of the cell."""
        return self._state

    @state.setter
    def state(self, states: Tensor | tuple[Tensor, ...]) -> None:
        states = (states,) if isinstance(states, Tensor) else tuple(states)
        check_states(states, self.layer.cell.states, self._wanted, self.layer._like)
        self._state = tuple(s.detach().to(self.layer._like) for s in states)

    @torch.no_grad()
    def __call__(self, x: Tensor, **inputs: Tensor) -> Tensor:
        """The output of the next step: (B, I) in, (B, H) out; further inputs are (B, width)."""
        if tuple(x.shape) != (self.batch_size, self.layer.input_size):
            raise CeldaError(
                f"A step is ({self.batch_size}, {self.layer.input_size}), one row a sequence; given: {shape(x)}."
            )
        y, self._state = self.layer._run(x.unsqueeze(0), self._state, None, None, inputs, False, self.steps)
        self.steps += 1
        return y[0]

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file, aside first, then renamed."""
        path = Path(path)
        aside = path.with_name(path.name + ".part")
        tensors = {name: value.contiguous() for name, value in zip(self.layer.cell.states, self._state, strict=True)}
        save_file(tensors, aside, {"cell": self.layer.cell.name, "steps": str(self.steps)})
        aside.replace(path)

    def restore(self, path: str | Path) -> None:
        """Take up the state that `save` wrote; a file of another cell or shape is refused and changes nothing."""
        try:
            with safe_open(str(path), "pt") as file:
                about = file.metadata() or {}
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
        except (OSError, SafetensorError) as error:
            raise CeldaError(f"{path} is no saved state that can be read: {error}") from None
        if about.get("cell") != self.layer.cell.name or set(stored) != set(self.layer.cell.states):
            raise CeldaError(
                f"{path} holds the state of a {about.get('cell', 'foreign')} cell; this is {self.layer.cell.name}."
            )
        self.state = tuple(stored[name] for name in self.layer.cell.states)
        self.steps = int(about["steps"])
