"""Bad input is met here: each check says what was given, why it cannot work and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celda.errors import CeldaError
from celda.language import Cell


def shape(tensor: Tensor) -> str:
    """A tensor's shape as one writes it."""
    return f"({', '.join(map(str, tensor.shape))})"


def check_sizes(hidden_size: int, num_layers: int, dropout: float) -> None:
    """The sizes of a layer are positive whole numbers; dropout is a probability."""
    for name, value in {"hidden_size": hidden_size, "num_layers": num_layers}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CeldaError(f"{name}={value!r} cannot be: write a whole number of at least 1.")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise CeldaError(f"dropout={dropout!r} is no probability: write a number from 0 to 1.")


def input_sizes(cell: Cell, given: int | Mapping[str, int]) -> dict[str, int]:
    """The width of each input of the cell, from what the caller gave as `input_size`."""
    first, *further = cell.inputs
    if isinstance(given, int) and not isinstance(given, bool):
        given = {first: given}
    if not isinstance(given, Mapping) or set(given) != set(cell.inputs):
        wanted = "{" + ", ".join(f"{name!r}: ..." for name in cell.inputs) + "}" if further else "a whole number"
        raise CeldaError(f"input_size={given!r} does not fit the cell {cell.name}: write input_size={wanted}.")
    for name, size in given.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise CeldaError(f"The input {name!r} has the width {size!r}: write a whole number of at least 1.")
    return {name: given[name] for name in cell.inputs}


def check_input(x: Tensor, size: int, like: Tensor) -> None:
    """The input is a floating-point (T, B, I), (B, T, I) or, unbatched, (T, I) tensor of the layer's width, dtype."""
    if not isinstance(x, Tensor):
        raise CeldaError(f"The input is a {type(x).__name__}: give a torch.Tensor of shape (steps, batch, {size}).")
    if x.dim() not in (2, 3):
        raise CeldaError(f"The input has shape {shape(x)}: give (steps, batch, {size}), or (steps, {size}) unbatched.")
    if x.shape[-1] != size:
        raise CeldaError(f"The input's last dimension is {x.shape[-1]} and the layer was made with input_size={size}.")
    if 0 in x.shape:
        raise CeldaError(f"The input has shape {shape(x)}: a sequence needs at least one step and one batch row.")
    if x.dtype != like.dtype and not torch.is_autocast_enabled(x.device.type):
        raise CeldaError(f"The input is {x.dtype} and the weights are {like.dtype}: write layer(x.to({like.dtype})).")
    if x.device != like.device:
        raise CeldaError(
            f"The input is on {x.device} and the weights on {like.device}: write layer(x.to('{like.device}'))."
        )


def check_states(states: Sequence[Tensor], names: Sequence[str], wanted: tuple[int, ...]) -> None:
    """One tensor a state of the cell, each (layers * directions, B, H)."""
    if len(states) != len(names) or not all(isinstance(s, Tensor) for s in states):
        given = f"{len(states)} given" if all(isinstance(s, Tensor) for s in states) else "something else than tensors"
        raise CeldaError(
            f"The cell has the states ({', '.join(names)}) and there was {given}: give one tensor for each."
        )
    for name, state in zip(names, states, strict=True):
        if tuple(state.shape) != wanted:
            raise CeldaError(
                f"The initial state {name} has shape {shape(state)}: it must be {wanted}, "
                "that is (layers x directions, batch, hidden_size)."
            )


def check_lengths(lengths: Tensor | Sequence[int], batch: int, steps: int, device: torch.device) -> Tensor:
    """One whole number of steps for each batch row, from 0 to the number of steps; on the input's device."""
    lengths = torch.as_tensor(lengths, device=device)
    if lengths.dtype.is_floating_point or lengths.dtype == torch.bool or tuple(lengths.shape) != (batch,):
        raise CeldaError(
            f"lengths is a {lengths.dtype} tensor of shape {shape(lengths)}: "
            f"give ({batch},) whole numbers, one a sequence."
        )
    if not torch.compiler.is_compiling() and (int(lengths.max()) > steps or int(lengths.min()) < 0):
        raise CeldaError(f"lengths go from {int(lengths.min())} to {int(lengths.max())}; the input has {steps} steps.")
    return lengths


def check_resets(resets: Tensor, steps: int, batch: int, device: torch.device) -> Tensor:
    """(T, B) booleans on the input's device."""
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool or tuple(resets.shape) != (steps, batch):
        given = f"{resets.dtype} {shape(resets)}" if isinstance(resets, Tensor) else type(resets).__name__
        raise CeldaError(
            f"resets is {given}: give a torch.bool tensor with one flag a step and sequence, ({steps}, {batch})."
        )
    return resets.to(device)


def check_further(given: Mapping[str, Tensor], sizes: Mapping[str, int], cell: Cell) -> None:
    """Exactly the keyword inputs that the cell has, each of its width."""
    wanted = set(cell.inputs[1:])
    if set(given) != wanted:
        told = ", ".join(sorted(wanted)) or "none besides its input"
        raise CeldaError(
            f"The cell {cell.name} takes these inputs by name: {told}; given: {', '.join(sorted(given)) or 'none'}."
        )
    for name, value in given.items():
        if not isinstance(value, Tensor) or value.shape[-1:] != (sizes[name],):
            told = shape(value) if isinstance(value, Tensor) else type(value).__name__
            raise CeldaError(f"The input {name!r} is {told}: its last dimension must be {sizes[name]}.")
