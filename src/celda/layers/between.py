"""What lies between the layers of a stack: dropout, and connections past a layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.errors import CeldaError
from celda.layers.doors import concrete

CONNECTIONS = (None, "residual", "highway")
_CARRY = -2.0  # a highway's bias: it opens with 0.12 of the layer and 0.88 of what comes from below


def check_connections(given: object) -> None:
    """`given` names a way to connect layers, or is None."""
    if given not in CONNECTIONS:
        told = ", ".join(map(repr, CONNECTIONS))
        raise CeldaError(f"connections={given!r} joins no layers: write one of {told}.")


def arrays(connections: str | None, num_layers: int, width: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of what the connections of a stack learn, where a layer's output is `width` wide."""
    if connections != "highway":
        return {}
    sizes = {"weight": (width, width), "bias": (width,)}
    return {f"highway_{n}_l{layer}": size for layer in range(1, num_layers) for n, size in sizes.items()}


@torch.no_grad()
def initialise(name: str, array: Tensor) -> None:
    """The matrix of a highway as torch.nn.Linear draws it; its bias so that a stack begins as a shallow one."""
    if array.dim() == 1:
        array.fill_(_CARRY)
    else:
        bound = 1 / math.sqrt(array.shape[1])
        torch.nn.init.uniform_(array, -bound, bound)


def connect(connections: str, below: Tensor, y: Tensor, learned: Callable[[str], Tensor]) -> Tensor:
    """The output (T, B, width) of a layer that gives `y`, joined with what it was given, `below`.

    Residual (He et al. 2016; Wu et al. 2016): y + below. Highway (Srivastava et al. 2015): t * y + (1 - t) * below with
    t = sigmoid(W below + b); `learned` gives W and b by "weight" and "bias". Where both are zero, past the end of a
    sequence, so is the result.
    """
    if connections == "residual":
        return y + below
    t = torch.sigmoid(F.linear(below, learned("weight"), learned("bias")))
    return below + t * (y - below)


def drop(y: Tensor, probability: float, lengths: Tensor | None) -> Tensor:
    """Dropout between layers; of steps within a sequence only, so that a packed batch draws as in torch."""
    if lengths is None or not concrete(lengths):
        return F.dropout(y, probability)
    within = torch.arange(y.shape[0], device=y.device).unsqueeze(1) < lengths
    dropped = torch.zeros_like(y)
    dropped[within] = F.dropout(y[within], probability)
    return dropped
