"""What engines multiply by, from what a layer learns: matrices with what their cell leaves out, and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.engines import Result
from celda.errors import CeldaError
from celda.language import Cell, Groups, Pattern, Weight
from celda.language.expression import HIDDEN
from celda.layers.doors import concrete


def check(cell: Cell, hidden_size: int, bidirectional: bool) -> None:
    """The hidden units can be cut into the groups of the cell; a state of the layer below is as wide as a layer."""
    if cell.below and bidirectional:
        raise CeldaError(
            f"The cell {cell.name} sees {', '.join(cell.below)}, a state of the layer below, and in both directions "
            "there are two of them: leave bidirectional out."
        )
    for weight in cell.weights:
        groups = weight.pattern
        if isinstance(groups, Groups) and not groups.later and hidden_size % groups.count:
            raise CeldaError(
                f"hidden_size={hidden_size} cannot be cut into {groups.count} heads of one size: write a multiple of "
                f"{groups.count}."
            )
    for size in cell.narrow.values():
        if size >= hidden_size:
            raise CeldaError(
                f"The output cannot be projected from hidden_size={hidden_size} units to {size}: write a proj_size "
                f"below {hidden_size}."
            )


def below(cell: Cell, results: Sequence[Result], x: Tensor, hidden_size: int) -> dict[str, Tensor]:
    """What a layer is given of the states of the one below, the last of `results`: (T, B, H), zeros for the first."""
    if not results:
        return dict.fromkeys(cell.below, x.new_zeros(1, x.shape[1], hidden_size))
    return {name: results[-1].kept[name.removesuffix("_below")] for name in cell.below}


def shape(weight: Weight, widths: Mapping[str, int], hidden_size: int) -> tuple[int, ...]:
    """The shape in which a layer keeps an array, for inputs of these widths."""
    if weight.columns is None:
        return (weight.blocks * hidden_size,)
    if weight.pattern is None:
        return (weight.blocks * hidden_size, {**widths, HIDDEN: hidden_size}[weight.columns])
    rows, columns = weight.pattern.block(hidden_size)
    return (weight.blocks * rows, columns)


def narrowed(cell: Cell, state: str, value: Tensor) -> Tensor:
    """A value of a state, H wide in its last axis, as the layer shows it: the units that it has."""
    units = cell.units(state, value.shape[-1])
    return value if units == value.shape[-1] else value[..., :units].contiguous()


def widened(cell: Cell, states: Sequence[Tensor], hidden_size: int) -> tuple[Tensor, ...]:
    """States as engines take them: H wide, 0 past the units that they have."""
    missing = [hidden_size - cell.units(name, hidden_size) for name in cell.states]
    return tuple(F.pad(s, (0, more)) if more else s for s, more in zip(states, missing, strict=True))


def whole(cell: Cell, weights: Mapping[str, Tensor], hidden_size: int) -> Mapping[str, Tensor]:
    """The weights with every recurrent matrix as (blocks * H, H), 0 where a unit sees nothing, and the constants."""
    if not cell.is_structured:
        return weights
    like, found = next(iter(weights.values())), dict(weights)
    for weight in cell.weights:
        if weight.pattern is not None and weight.name in weights:
            found[weight.name] = _whole(weights[weight.name], weight.pattern, hidden_size)
    for name, count in cell.constants.items():
        found[name] = _constant(_groups, count, hidden_size, like)
    return found


def _whole(array: Tensor, pattern: Pattern, hidden_size: int) -> Tensor:
    if not isinstance(pattern, Groups):
        rows, columns = pattern.block(hidden_size)
        blocks = F.pad(array.view(-1, rows, columns), (0, hidden_size - columns, 0, hidden_size - rows))
        return blocks.reshape(-1, hidden_size)
    if pattern.later:
        seen = _constant(_later, pattern.count, hidden_size, array)
        return (array.view(-1, hidden_size, hidden_size) * seen).view(-1, hidden_size)
    size = hidden_size // pattern.count
    blocks = array.view(-1, pattern.count, size, size).permute(0, 2, 3, 1)  # (blocks, row, column, head)
    return torch.diag_embed(blocks).permute(0, 3, 1, 4, 2).reshape(-1, hidden_size)


Made = Callable[[int, int, torch.dtype, torch.device], Tensor]


def _groups(count: int, hidden_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of each unit: the number of its group."""
    return (torch.arange(hidden_size, device=device) * count // hidden_size).to(dtype)


def _later(count: int, hidden_size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(H, H), 1 where the unit of the row sees that of the column, which is in its group or a later one."""
    group = _groups(count, hidden_size, dtype, device)
    return (group.unsqueeze(1) <= group).to(dtype)


def _constant(made: Made, count: int, hidden_size: int, like: Tensor) -> Tensor:
    """What is made of a number of groups, of the dtype and on the device of `like`; kept where it can be."""
    make = _kept if concrete(like) else _kept.__wrapped__
    return make(made, count, hidden_size, like.dtype, like.device)


@lru_cache(maxsize=16)
def _kept(made: Made, *sizes: Any) -> Tensor:
    with torch.inference_mode(False):  # whoever takes it next may be training
        return made(*sizes)


def recurrent(cell: Cell) -> set[str]:
    """The names of the matrices that multiply a state."""
    return {weight.name for weight in cell.weights if weight.is_recurrent}
