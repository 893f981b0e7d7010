"""Initial weights, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from celda.errors import CeldaError
from celda.language import Cell


def _torch(tensor: Tensor, hidden_size: int) -> None:
    """Uniform within 1 / sqrt(hidden_size), as torch.nn.LSTM has it."""
    bound = 1.0 / math.sqrt(hidden_size)
    torch.nn.init.uniform_(tensor, -bound, bound)


INITS: dict[str, Callable[[Tensor, int], None]] = {"torch": _torch}


def check_init(init: str) -> None:
    """`init` names an initialisation."""
    if init not in INITS:
        raise CeldaError(f"There is no initialisation {init!r}; write one of {', '.join(map(repr, INITS))}.")


@torch.no_grad()
def initialise(cell: Cell, arrays: dict[str, Tensor], hidden_size: int, init: str) -> None:
    """Fill the arrays of one layer and direction in order, then what the cell itself says (a forget gate's bias)."""
    mine = [weight for weight in cell.weights if weight.name in arrays]
    for weight in mine:
        INITS[init](arrays[weight.name], hidden_size)
    for weight in mine:
        for block, value in zip(arrays[weight.name].split(hidden_size), weight.initial, strict=True):
            if value is not None:
                block.fill_(value)
