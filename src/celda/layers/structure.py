"""What engines multiply by, from what a layer learns: matrices with what their cell leaves out, and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celda.engines import Result
from celda.errors import CeldaError
from celda.language import Cell, Groups, Weight
from celda.language.expression import HIDDEN


def check(cell: Cell, hidden_size: int, bidirectional: bool) -> None:
    """The hidden units can be cut into the groups of the cell; a state of the layer below is as wide as a layer."""
    if cell.below and bidirectional:
        raise CeldaError(
            f"The cell {cell.name} sees {', '.join(cell.below)}, a state of the layer below, and in both directions "
            "there are two of them: leave bidirectional out."
        )
    for weight in cell.weights:
        if weight.groups is not None and not weight.groups.later and hidden_size % weight.groups.count:
            raise CeldaError(
                f"hidden_size={hidden_size} cannot be cut into {weight.groups.count} heads of one size: write a "
                f"multiple of {weight.groups.count}."
            )


def below(cell: Cell, results: Sequence[Result], x: Tensor, hidden_size: int) -> dict[str, Tensor]:
    """What a layer is given of the states of the one below, the last of `results`: (T, B, H), zeros for the first."""
    if not results:
        return dict.fromkeys(cell.below, x.new_zeros(1, x.shape[1], hidden_size))
    return {name: results[-1].kept[name.removesuffix("_below")] for name in cell.below}


def columns(weight: Weight, widths: Mapping[str, int], hidden_size: int) -> tuple[int, ...]:
    """The second size of an array, (columns,), for inputs of these widths; () of a vector."""
    if weight.columns is None:
        return ()
    if weight.columns != HIDDEN:
        return (widths[weight.columns],)
    heads = 1 if weight.groups is None or weight.groups.later else weight.groups.count
    return (hidden_size // heads,)


def whole(cell: Cell, weights: Mapping[str, Tensor], hidden_size: int) -> Mapping[str, Tensor]:
    """The weights with every recurrent matrix as (blocks * H, H), 0 where a unit sees nothing, and the constants."""
    if not cell.is_structured:
        return weights
    like, found = next(iter(weights.values())), dict(weights)
    units = torch.arange(hidden_size, device=like.device)
    for weight in cell.weights:
        if weight.groups is not None and weight.name in weights:
            found[weight.name] = _whole(weights[weight.name], weight.groups, units)
    for name, count in cell.constants.items():
        found[name] = (units * count // hidden_size).to(like.dtype)
    return found


def _whole(array: Tensor, groups: Groups, units: Tensor) -> Tensor:
    hidden_size = units.shape[0]
    if groups.later:
        group = units * groups.count // hidden_size
        return array * (group.unsqueeze(1) <= group).to(array.dtype).repeat(array.shape[0] // hidden_size, 1)
    size = hidden_size // groups.count
    blocks = array.view(-1, groups.count, size, size).permute(0, 2, 3, 1)  # (blocks, row, column, head)
    return torch.diag_embed(blocks).permute(0, 3, 1, 4, 2).reshape(-1, hidden_size)


def recurrent(cell: Cell) -> set[str]:
    """The names of the matrices that multiply a state."""
    return {weight.name for weight in cell.weights if weight.columns == HIDDEN}
