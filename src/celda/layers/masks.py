"""What a layer draws in training, from torch's generator and so the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.engines import Plan
from celda.language import Cell
from celda.layers.structure import recurrent


def draw(plan: Plan, cell: Cell, x: Tensor, hidden_size: int) -> dict[str, Tensor]:
    """The masks of one layer and direction over `x` (T, B, I), bool: (T, B, H) each, or (1, B, H) for all steps."""
    steps, batch = x.shape[:2]
    return {
        name: bernoulli(plan, (steps if mask.every_step else 1, batch, hidden_size), mask.probability, x.device)
        for name, mask in cell.masks.items()
    }


def bernoulli(plan: Plan, size: Sequence[int], probability: float, device: torch.device) -> Tensor:
    """True with this probability, rounded to a multiple of 2**-16; from a number that torch's generator gives."""
    if not 0 < probability < 1:
        return torch.full(size, probability >= 1, device=device)
    count, below = prod(size), min(round((probability - 0.5) * 2**16), 2**15 - 1)
    seed = torch.randint(-(2**63), 2**63 - 1, (1,), dtype=torch.int64, device=device)
    return plan.pieces(seed, count, below).view(size)


def drop_weights(cell: Cell, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights with some of those that multiply states dropped, as the cell asks for."""
    if not cell.weight_drop:
        return weights
    dropped = recurrent(cell)
    return {name: F.dropout(w, cell.weight_drop) if name in dropped else w for name, w in weights.items()}
