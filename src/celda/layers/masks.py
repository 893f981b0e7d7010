"""What a layer draws in training, from torch's generator and so the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from celda.language import Cell
from celda.layers.structure import recurrent


def draw(cell: Cell, x: Tensor, hidden_size: int) -> dict[str, Tensor]:
    """The masks of one layer and direction over `x` (T, B, I): (T, B, H) each, or (1, B, H) drawn once a sequence."""
    steps, batch = x.shape[:2]
    return {
        name: x.new_empty(steps if mask.every_step else 1, batch, hidden_size).bernoulli_(mask.probability)
        for name, mask in cell.masks.items()
    }


def drop_weights(cell: Cell, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights with some of those that multiply states dropped, as the cell asks for."""
    if not cell.weight_drop:
        return weights
    dropped = recurrent(cell)
    return {name: F.dropout(w, cell.weight_drop) if name in dropped else w for name, w in weights.items()}
