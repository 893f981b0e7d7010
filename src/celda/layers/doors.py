"""Bad input is met here: each check says what was given, why it cannot work and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.nn.utils.rnn import PackedSequence

from celda.errors import CeldaError
from celda.language import Cell

LOWERED = (torch.float32, torch.bfloat16, torch.float16)  # dtypes that autocast computes with in a lower one


def shape(tensor: Tensor) -> str:
    """A tensor's shape as one writes it."""
    return f"({', '.join(map(str, tensor.shape))})"


def has_shape(tensor: Tensor, wanted: Sequence[int]) -> bool:
    """Whether a tensor has this shape, of numbers or, while a model is compiled, of symbols."""
    return tensor.dim() == len(wanted) and all(a == b for a, b in zip(tensor.shape, wanted, strict=True))


def check_sizes(hidden_size: int, num_layers: int, dropout: float) -> None:
    """The sizes of a layer are positive whole numbers; dropout is a probability."""
    for name, value in {"hidden_size": hidden_size, "num_layers": num_layers}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CeldaError(f"{name}={value!r} cannot be: write a whole number of at least 1.")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise CeldaError(f"dropout={dropout!r} is no probability: write a number from 0 to 1.")


def check_flags(**flags: object) -> None:
    """Each is True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise CeldaError(f"{name}={value!r} is neither True nor False: write one of the two.")


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
    """The input is a (T, B, I), (B, T, I) or, unbatched, (T, I) tensor of the layer's width, dtype and device."""
    if not isinstance(x, Tensor):
        raise CeldaError(f"The input is a {type(x).__name__}: give a torch.Tensor of shape (steps, batch, {size}).")
    if x.dim() not in (2, 3):
        raise CeldaError(f"The input has shape {shape(x)}: give (steps, batch, {size}), or (steps, {size}) unbatched.")
    if x.shape[-1] != size:
        raise CeldaError(
            f"The input has shape {shape(x)} and the layer was made with input_size={size}: "
            f"give (steps, batch, {size}), or with batch_first=True (batch, steps, {size})."
        )
    check_kind("input", x, like)


def check_packed(packed: PackedSequence, size: int, like: Tensor, cell: Cell) -> None:
    """The rows of a packed batch are (rows, I), of the layer's width, dtype and device."""
    if packed.data.dim() != 2 or packed.data.shape[1] != size:
        raise CeldaError(
            f"The packed rows have shape {shape(packed.data)} and the layer was made with input_size={size}: "
            f"pack sequences of {size} columns."
        )
    if len(cell.inputs) > 1:
        raise CeldaError(
            f"The cell {cell.name} takes {', '.join(cell.inputs[1:])} besides, which a PackedSequence cannot hold: "
            "give a padded tensor with lengths=."
        )
    check_kind("packed data", packed.data, like)


def check_kind(what: str, value: Tensor, like: Tensor) -> None:
    """A tensor has the dtype and the device of the weights."""
    if value.dtype != like.dtype and (autocast(like) is None or value.dtype not in LOWERED):
        raise CeldaError(f"The {what} is {value.dtype} and the weights are {like.dtype}: write .to({like.dtype}).")
    if value.device != like.device:
        raise CeldaError(
            f"The {what} is on {value.device} and the weights on {like.device}: write .to('{like.device}')."
        )


def autocast(like: Tensor) -> torch.dtype | None:
    """What `torch.autocast` computes in where the weights, `like` this one, are; None without it, and for float64."""
    if not torch._C._is_any_autocast_enabled() or like.dtype not in LOWERED:
        return None
    device = like.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


def concrete(tensor: Tensor) -> bool:
    """Whether the numbers in a tensor can be looked at: not while a model is traced or transformed."""
    traced = torch.compiler.is_compiling() or isinstance(tensor, FakeTensor | FunctionalTensor) or tensor.is_meta
    return not (traced or torch._C._len_torch_dispatch_stack() or torch._C._are_functorch_transforms_active())


def check_steps(steps: int, x: Tensor) -> None:
    """There is at least one step."""
    if steps == 0:
        raise CeldaError(f"The input has shape {shape(x)}, no step at all: a sequence needs at least one.")


def check_start(start: int) -> None:
    """The place of a step is a whole number, while a model is compiled a symbol of one."""
    if not isinstance(start, int | torch.SymInt) or start < 0:
        raise CeldaError(f"start={start!r} is no place in a sequence: write a whole number, 0 for its first step.")


def check_states(states: Sequence[Tensor], names: Sequence[str], wanted: tuple[int, ...], like: Tensor) -> None:
    """One tensor a state of the cell, each (layers * directions, B, H), of the weights' dtype and device."""
    if len(states) != len(names) or not all(isinstance(s, Tensor) for s in states):
        given = f"{len(states)} given" if all(isinstance(s, Tensor) for s in states) else "something else than tensors"
        raise CeldaError(
            f"The cell has the states ({', '.join(names)}) and there was {given}: give one tensor for each."
        )
    for name, state in zip(names, states, strict=True):
        if not has_shape(state, wanted):
            raise CeldaError(
                f"The initial state {name} has shape {shape(state)}: it must be {wanted}, "
                "that is (layers x directions, batch, hidden_size)."
            )
        check_kind(f"initial state {name}", state, like)


def check_lengths(lengths: Tensor | Sequence[int], batch: int, steps: int, device: torch.device) -> Tensor:
    """One whole number of steps for each batch row, from 0 to the number of steps; on the input's device."""
    if not isinstance(lengths, Tensor):
        lengths = _as_tensor("lengths", lengths, f"({batch},) whole numbers, one a sequence", device)
    lengths = lengths.to(device)
    if lengths.dtype.is_floating_point or lengths.dtype == torch.bool or not has_shape(lengths, (batch,)):
        raise CeldaError(
            f"lengths is a {lengths.dtype} tensor of shape {shape(lengths)}: "
            f"give ({batch},) whole numbers, one a sequence."
        )
    if batch and concrete(lengths) and (int(lengths.max()) > steps or int(lengths.min()) < 0):
        raise CeldaError(
            f"lengths go from {int(lengths.min())} to {int(lengths.max())} and the input has {steps} steps: "
            f"give whole numbers from 0 to {steps}."
        )
    return lengths


def check_resets(resets: Tensor | Sequence[Sequence[bool]], like: Tensor) -> Tensor:
    """Booleans laid out as the steps of the input `like`, on its device."""
    wanted = tuple(like.shape[:-1])
    if not isinstance(resets, Tensor):
        told = f"a torch.bool tensor {wanted}, one flag a step and sequence"
        resets = _as_tensor("resets", resets, told, like.device)
    resets = resets.to(like.device)
    if resets.dtype != torch.bool or not has_shape(resets, wanted):
        raise CeldaError(
            f"resets is {resets.dtype} {shape(resets)}: "
            f"give a torch.bool tensor with one flag a step and sequence, {wanted}."
        )
    return resets


def _as_tensor(name: str, value: object, wanted: str, device: torch.device) -> Tensor:
    try:
        return torch.as_tensor(value, device=device)
    except (TypeError, ValueError, RuntimeError):
        raise CeldaError(f"{name} is {value!r:.60}: give {wanted}.") from None


def check_further(given: Mapping[str, Tensor], sizes: Mapping[str, int], cell: Cell, x: Tensor, batch: int) -> None:
    """Exactly the keyword inputs that the cell has: (B, width), constant over time, or laid out as `x`.

    Without a batch (`x` of two dimensions) they are (width,) or (T, width).
    """
    wanted = set(cell.inputs[1:])
    if set(given) != wanted:
        told = ", ".join(sorted(wanted)) or "none besides its input"
        raise CeldaError(
            f"The cell {cell.name} takes these inputs by name: {told}; given: {', '.join(sorted(given)) or 'none'}."
        )
    for name, value in given.items():
        constant = (sizes[name],) if x.dim() == 2 else (batch, sizes[name])
        moving = (*x.shape[:-1], sizes[name])
        if not isinstance(value, Tensor) or not (has_shape(value, constant) or has_shape(value, moving)):
            told = shape(value) if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise CeldaError(
                f"The input {name!r} is {told}: give {constant}, constant over time, or {moving}, one a step."
            )
        check_kind(f"input {name!r}", value, x)
