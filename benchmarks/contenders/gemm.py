"""What the machine can do: a large product of matrices, by the libraries that torch brings."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.contenders.contender import Ready
from benchmarks.shapes import Shape

SIZE = 2048  # of the square matrices: larger ones are no faster


def _matrices() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(SIZE, SIZE, generator=g), torch.randn(SIZE, SIZE, generator=g)


def onednn(shape: Shape) -> Ready:
    """oneDNN, as torch calls it for a linear layer; the shape does not matter."""
    a, b = _matrices()
    return Ready(lambda: (torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""),), 2.0 * SIZE**3)


def mm(shape: Shape) -> Ready:
    """torch.mm with the library it chooses; the shape does not matter."""
    a, b = _matrices()
    transposed = b.T
    return Ready(lambda: (torch.mm(a, transposed),), 2.0 * SIZE**3)
