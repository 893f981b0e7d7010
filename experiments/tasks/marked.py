"""Adding and multiplying two marked values (Hochreiter & Schmidhuber 1997, experiments 4 and 5)."""

from __future__ import annotations

import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]


def _pairs(steps: int, batch_size: int, low: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of a value in [low, 1] and a marker, (T, B, 2), and the two marked values, (B,) each.

    The length is drawn from [steps, 1.1 steps], one for the batch. One of the first ten pairs is marked with 1, and one
    other of the first steps/2 - 1; the first and last pair have the marker -1. Where the first pair is drawn as a
    marked one it keeps the -1, and its value counts as 0.
    """
    length = int(torch.randint(steps, int(1.1 * steps) + 1, ()))
    values = torch.rand(length, batch_size) * (1 - low) + low
    first = torch.randint(10, (batch_size,))
    second = torch.randint(steps // 2 - 2, (batch_size,))
    second = second + (second >= first)  # one of those that are not marked yet
    which, markers = torch.arange(batch_size), torch.zeros(length, batch_size)
    markers[first, which] = markers[second, which] = 1.0
    markers[0] = markers[-1] = -1.0
    chosen = [torch.where(place > 0, values[place, which], 0.0) for place in (first, second)]
    return torch.stack([values, markers], -1), chosen[0], chosen[1]


def adding(steps: int, batch_size: int) -> Batch:
    """Values in [-1, 1]; the target is 1 + (X1 + X2) / 2, the sum of two values in [0, 1].

    The paper's is half of that: .5 + (X1 + X2) / 4. Later papers, and so we, measure the error of the sum.
    """
    x, one, two = _pairs(steps, batch_size, -1.0)
    return x, 1 + (one + two) / 2


def multiplication(steps: int, batch_size: int) -> Batch:
    """Values in [0, 1]; the target is X1 X2."""
    x, one, two = _pairs(steps, batch_size, 0.0)
    return x, one * two
