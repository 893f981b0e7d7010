"""A stack of layers without gradients, where nothing but the sizes of a batch decides how it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celda.engines import Bound, Plan
from celda.language import Cell

Weights = Sequence[Mapping[str, Tensor]]  # of each layer and direction, directions first


def bound(
    plan: Plan,
    cell: Cell,
    x: Tensor,
    weights: Weights,
    hidden_size: int,
    directions: int,
    keep: tuple[str, ...] = (),
    bfloat16: bool = False,
) -> list[Bound] | None:
    """The engine's passes over batches like `x` (T, B, I), a layer and direction each; None where it has none."""
    (steps, batch, width), found = x.shape, []
    for place, arrays in enumerate(weights):
        sizes = steps, batch, width if place < directions else hidden_size * directions
        one = plan.bound(cell, sizes, hidden_size, x.dtype, tuple(arrays), place % directions == 1, keep, bfloat16)
        if one is None:
            return None
        found.append(one)
    return found


def run(
    passes: Sequence[Bound], x: Tensor, states: tuple[Tensor, ...] | None, weights: Weights, directions: int
) -> tuple[Tensor, tuple[Tensor, ...], list[Mapping[str, Tensor]]]:
    """The output (T, B, H or 2H) of the last layer, the last states, (layers x directions, B, H), and what was kept."""
    y, last, traced = x, [], []
    for first in range(0, len(passes), directions):
        outputs = []
        for place in range(first, first + directions):
            initial = None if states is None else [state[place] for state in states]
            output, final, kept = passes[place].run(y, initial, weights[place])
            outputs.append(output)
            last.append(final)
            traced.append(kept)
        y = outputs[0] if directions == 1 else torch.cat(outputs, -1)
    new = last[0] if len(last) == 1 else tuple(torch.cat(state) for state in zip(*last, strict=True))
    return y, new, traced
