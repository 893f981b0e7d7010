"""The sizes that are measured, and how floating-point operations are counted."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class Shape(NamedTuple):
    """Steps, sequences, width of the input, units."""

    steps: int
    batch: int
    width: int
    hidden: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))


GRID = (
    Shape(100, 1, 64, 64),
    Shape(100, 32, 64, 64),
    Shape(100, 1, 256, 256),
    Shape(100, 32, 256, 256),
    Shape(100, 64, 512, 512),
    Shape(35, 20, 650, 650),
    Shape(784, 128, 1, 128),
    Shape(200, 64, 16, 128),
    Shape(1000, 1, 128, 128),
    Shape(48, 256, 8, 32),
    Shape(336, 64, 4, 96),
)
BATCHES = tuple(s for s in GRID if s.batch > 1)
SMALL = tuple(s for s in GRID if s.hidden <= 128)
LARGE = tuple(s for s in GRID if s.hidden >= 256 and s.batch >= 32)
STREAMS = tuple(Shape(1, 1, 16, hidden) for hidden in (64, 128, 256))
QUICK = {Shape(100, 1, 64, 64), Shape(100, 32, 64, 64), Shape(100, 32, 256, 256), Shape(48, 256, 8, 32), *STREAMS}


def flops(layer: nn.Module, shape: Shape, training: bool) -> float:
    """Operations of one call: two for each element of a matrix, step and sequence; training is three such passes.

    Point-wise work is left out, for Celda and for every peer alike.
    """
    elements = sum(p.numel() for p in layer.parameters() if p.dim() == 2)
    return 2.0 * shape.steps * shape.batch * elements * (3 if training else 1)
