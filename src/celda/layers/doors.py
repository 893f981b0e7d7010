"""Bad input is met here: each check says what was given, why it cannot work and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.nn.utils.rnn import PackedSequence

from celda.checks import whole_number
from celda.errors import CeldaError, meant
from celda.language import Cell

WHOLE = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)  # dtypes of whole numbers
_OPTIONS = ("state", "lengths", "resets", "start")  # of a call, besides the cell's inputs
LOWERED = (torch.float32, torch.bfloat16, torch.float16)  # dtypes that autocast computes with in a lower one


def shape(tensor: Tensor) -> str:
    """A tensor's shape as one writes it."""
    return written(tensor.shape)


def written(sizes: Sequence[int]) -> str:
    """Sizes as one writes them, those too that are symbols while a model is compiled: of them there is no `str`."""
    return f"({', '.join(f'{size}' for size in sizes)}{',' * (len(sizes) == 1)})"


def has_shape(tensor: Tensor, wanted: Sequence[int]) -> bool:
    """Whether a tensor has this shape, of numbers or, while a model is compiled, of symbols."""
    return tensor.dim() == len(wanted) and all(a == b for a, b in zip(tensor.shape, wanted, strict=True))


def positive(name: str, value: int) -> int:
    """A size that was given, of Python or NumPy, as Python has it."""
    number = whole_number(value)
    if number is None:
        raise CeldaError(f"{name}={value!r} cannot be: write a whole number of at least 1.")
    return number


def check_dropout(dropout: object) -> None:
    """It is a probability."""
    if isinstance(dropout, bool) or not isinstance(dropout, Real) or not 0 <= float(dropout) <= 1:
        raise CeldaError(f"dropout={dropout!r} is no probability: write a number from 0 to 1.")


def check_flags(**flags: object) -> None:
    """Each is True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise CeldaError(f"{name}={value!r} is neither True nor False: write one of the two.")


def check_dtype(dtype: torch.dtype | None) -> None:
    """The dtype of weights, a floating one of torch's, or None for torch's default."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise CeldaError(
            f"dtype={dtype!r} is no dtype that weights can have: write torch.float32, torch.float64, "
            "torch.bfloat16 or torch.float16."
        )


def input_sizes(cell: Cell, given: int | Mapping[str, int]) -> dict[str, int]:
    """The width of each input of the cell, from what the caller gave as `input_size`."""
    first, *further = cell.inputs
    if not isinstance(given, Mapping) and not further:
        return {first: positive("input_size", given)}
    if not isinstance(given, Mapping) or set(given) != set(cell.inputs):
        wanted = "{" + ", ".join(f"{name!r}: ..." for name in cell.inputs) + "}"
        raise CeldaError(
            f"input_size={given!r} does not fit the cell {cell.name}, which takes {', '.join(cell.inputs)}: "
            f"write input_size={wanted}, with a whole number for each."
        )
    return {name: positive(f"input_size of {name!r}", given[name]) for name in cell.inputs}


def check_input(x: Any, size: int, like: Tensor) -> None:
    """The input is a (T, B, I), (B, T, I) or, unbatched, (T, I) tensor of the layer's width, dtype and device."""
    if not isinstance(x, Tensor):
        told = f"The input is a {type(x).__name__}: give a torch.Tensor of shape (steps, batch, {size})"
        if isinstance(x, list | tuple) and x and all(isinstance(one, Tensor) for one in x):
            told += ", or sequences of several lengths as torch.nn.utils.rnn.pack_sequence(..., enforce_sorted=False)"
        raise CeldaError(f"{told}.")
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
    """A tensor has the dtype and the device of the weights, and is dense."""
    if value.layout is not torch.strided:
        raise CeldaError(f"The {what} is laid out as {value.layout}, which no engine reads: write .to_dense().")
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


def as_states(given: object, names: Sequence[str]) -> tuple[Tensor, ...]:
    """The states that a caller gave, one tensor a state of the cell; a bare tensor is the only one."""
    states = (given,) if isinstance(given, Tensor) else tuple(given) if isinstance(given, Iterable) else None
    if states is not None and len(states) == len(names) and all(isinstance(s, Tensor) for s in states):
        return states
    wanted = f"the states ({', '.join(names)})" if len(names) > 1 else f"one state, {names[0]},"
    if states is None or not all(isinstance(s, Tensor) for s in states):
        inside = ", ".join(sorted({type(s).__name__ for s in states or ()}))
        told = f"{type(given).__name__}" + (f" of {inside}" if inside else "")
        raise CeldaError(f"The cell has {wanted} and was given: {told}. Give one tensor for each.")
    told = "1 tensor was" if len(states) == 1 else f"{len(states)} tensors were"
    raise CeldaError(f"The cell has {wanted} and {told} given: give one tensor for each.")


def check_states(
    states: Sequence[Tensor], cell: Cell, leading: tuple[int, ...], hidden_size: int, like: Tensor
) -> None:
    """Each state is (*leading, its units), and as the weights are; `leading`: layers x directions, and the batch."""
    for name, state in zip(cell.states, states, strict=True):
        wanted = (*leading, cell.units(name, hidden_size))
        if not has_shape(state, wanted):
            width = "proj_size" if name in cell.narrow else "hidden_size"
            axes = f"(layers x directions, batch, {width})"
            if len(wanted) == 2:
                axes = f"(layers x directions, {width}), as the input has no batch"
            raise CeldaError(
                f"The state {name} has shape {shape(state)}: it must be {written(wanted)}, that is {axes}."
            )
        check_kind(f"state {name}", state, like)


def check_weights(weights: Mapping[str, Tensor | None], like: Tensor) -> None:
    """All that is learned is there, and as the first array, `like`: of its dtype, on its device."""
    for name, array in weights.items():
        if array is None:
            raise CeldaError(
                f"{name} is None, and the layer multiplies with it or adds it: fill it with zeros to be without, or "
                "make the layer with bias=False."
            )
        if array.dtype != like.dtype or array.device != like.device:
            raise CeldaError(
                f"{name} is {array.dtype} on {array.device} and other weights of the layer are {like.dtype} on "
                f"{like.device}: they must be of one dtype, on one device. Write "
                f"layer.to('{like.device}', {like.dtype})."
            )


def check_lengths(lengths: Tensor | Sequence[int], x: Tensor, batch_first: bool) -> Tensor:
    """(B,) whole numbers of steps, from 0 to those of the input `x`, on its device; of an unbatched one, one number."""
    batched = x.dim() == 3
    steps, batch = (x.shape[1], x.shape[0]) if batched and batch_first else (x.shape[0], x.shape[1] if batched else 1)

    def wanted() -> str:  # in an error alone: a size that is written is no symbol any more to a compiler
        return f"({batch},) whole numbers, one a sequence" if batched else "one whole number, as the input has no batch"

    lengths = _as_tensor("lengths", lengths, wanted, torch.int64, x.device)
    fits = has_shape(lengths, (batch,)) or (not batched and lengths.dim() == 0)
    if lengths.dtype not in WHOLE or not fits:
        told = "" if fits else _read(x, batch_first)
        raise CeldaError(f"lengths is {lengths.dtype} {shape(lengths)}: give {wanted()}.{told}")
    lengths = lengths.to(torch.int64)
    lengths = lengths if batched else lengths.reshape(1)
    if batch and concrete(lengths):
        least, most = map(int, torch.aminmax(lengths))
        if least < 0 or most > steps:
            raise CeldaError(
                f"lengths go from {least} to {most} and the input has {steps} steps: "
                f"give whole numbers from 0 to {steps}."
            )
    return lengths


def check_rows(rows: int | Sequence[int] | Tensor, batch: int) -> Tensor:
    """The numbers of some of `batch` sequences, given as such or by a flag for each, as a tensor of int64."""

    def wanted() -> str:
        return f"whole numbers from 0 to {batch - 1}, or a torch.bool tensor ({batch},) with one flag a sequence"

    found = _as_tensor("rows", rows, wanted, torch.int64, torch.device("cpu"))
    if found.dtype == torch.bool and has_shape(found, (batch,)):
        return found.nonzero().flatten()
    if found.dtype not in WHOLE or found.dtype == torch.uint8 or found.dim() > 1:  # uint8 may be meant as flags
        raise CeldaError(f"rows is {found.dtype} {shape(found)}: give {wanted()}.")
    found = found.to(torch.int64).reshape(-1)
    if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < batch:
        wrong = next(row for row in found.tolist() if not 0 <= row < batch)
        raise CeldaError(f"rows has {wrong}, and there are {batch} sequences: give {wanted()}.")
    return found


def check_resets(resets: Tensor | Sequence[Sequence[bool]], x: Tensor, batch_first: bool) -> Tensor:
    """Booleans laid out as the steps of the input `x`, on its device."""

    def wanted() -> str:
        each = "step and sequence" if x.dim() == 3 else "step"
        return f"a torch.bool tensor with one flag a {each}, {written(x.shape[:-1])}"

    resets = _as_tensor("resets", resets, wanted, torch.bool, x.device)
    fits = has_shape(resets, x.shape[:-1])
    if resets.dtype != torch.bool or not fits:
        told = "" if fits else _read(x, batch_first)
        raise CeldaError(f"resets is {resets.dtype} {shape(resets)}: give {wanted()}.{told}")
    return resets


def _read(x: Tensor, batch_first: bool) -> str:
    """Which dimension of the input was taken for the batch."""
    if x.dim() != 3:
        return " The input has no batch."
    axes = "(batch, steps)" if batch_first else "(steps, batch)"
    return f" The input begins with {written(x.shape[:2])}, read as {axes} because batch_first={batch_first}."


def _as_tensor(name: str, value: object, wanted: Callable[[], str], empty: torch.dtype, device: torch.device) -> Tensor:
    """What was given as a tensor on `device`; an empty list, which does not say of what, is one of `empty`."""
    if not isinstance(value, Tensor):
        try:
            value = torch.as_tensor(value, device=device)
        except (TypeError, ValueError, RuntimeError):
            raise CeldaError(f"{name} is {value!r:.60}: give {wanted()}.") from None
        return value if value.numel() else value.to(empty)
    if value.device.type == "meta" and device.type != "meta":
        raise CeldaError(f"{name} is on 'meta', which holds no numbers, and the input is on {device}: give numbers.")
    return value.to(device)


def check_further(
    given: Mapping[str, Tensor], sizes: Mapping[str, int], cell: Cell, x: Tensor, batch: int | None
) -> None:
    """Exactly the keyword inputs that the cell has: (B, width), constant over time, or laid out as `x`, one a step.

    Without a batch (None) they are (width,) or (T, width). Where `x` is one step, (B, I), they are (B, width).
    """
    wanted = set(cell.inputs[1:])
    if set(given) != wanted:
        told = ", ".join(sorted(wanted)) or "none besides its input"
        known = (*sorted(wanted), *_OPTIONS)
        close = [near for name in given if name not in wanted and (near := meant(name, known))]
        raise CeldaError(
            f"The cell {cell.name} takes these inputs by name: {told}; given: {', '.join(sorted(given)) or 'none'}."
            + "".join(f" Did you mean {near!r}?" for near in close[:1])
            + (" Steps past the end of a sequence are told by lengths=." if "mask" in set(given) - wanted else "")
        )
    for name, value in given.items():
        constant = (sizes[name],) if batch is None else (batch, sizes[name])
        moving = (*x.shape[:-1], sizes[name])
        if not isinstance(value, Tensor) or not (has_shape(value, constant) or has_shape(value, moving)):
            told = shape(value) if isinstance(value, Tensor) else f"a {type(value).__name__}"
            right = f"{written(constant)}, constant over time, or {written(moving)}, one a step"
            if batch is not None and x.dim() == 2:
                right = f"{written(moving)}, one row a sequence"
            raise CeldaError(f"The input {name!r} is {told}: give {right}.")
        check_kind(f"input {name!r}", value, x)
