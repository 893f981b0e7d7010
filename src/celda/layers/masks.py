"""What a layer draws in training, from torch's generator and so the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.language import Cell
from celda.layers.structure import recurrent


def draw(cell: Cell, x: Tensor, hidden_size: int) -> dict[str, Tensor]:
    """The masks of one layer and direction over `x` (T, B, I): (T, B, H) each, or (1, B, H) drawn once a sequence."""
    steps, batch = x.shape[:2]
    return {
        name: bernoulli((steps if mask.every_step else 1, batch, hidden_size), mask.probability, x)
        for name, mask in cell.masks.items()
    }


def bernoulli(size: Sequence[int], probability: float, like: Tensor) -> Tensor:
    """1 with this probability, else 0, in the dtype and on the device of `like`.

    Uniform numbers of float32 take half the time of `Tensor.bernoulli_`, and give every dtype the same masks.
    """
    return (torch.rand(size, dtype=torch.float32, device=like.device) < probability).to(like.dtype)


def drop_weights(cell: Cell, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights with some of those that multiply states dropped, as the cell asks for."""
    if not cell.weight_drop:
        return weights
    dropped = recurrent(cell)
    return {name: F.dropout(w, cell.weight_drop) if name in dropped else w for name, w in weights.items()}
