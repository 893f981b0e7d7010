"""Whole sequences through layers, Celda's and torch.nn's alike."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import torch

from benchmarks.contenders.contender import Make, Ready, numbers, seeded, training
from benchmarks.shapes import Shape, flops

ORDERS = 16  # in which the lengths of a batch come, so that none is met again soon


def train(make: Make, half_full: bool = False, dtype: torch.dtype = torch.float32) -> Callable[[Shape], Ready]:
    """Training of the layer that `make(I, H)` makes; `half_full`: with `lengths`, of other sequences at every call."""

    def build(shape: Shape) -> Ready:
        layer = seeded(make, shape).to(dtype)
        if not half_full:
            return training(layer, lambda x: layer(x)[0], shape)
        orders = [lengths(shape, seed) for seed in range(ORDERS)]
        turn = cycle(orders)
        full = training(layer, lambda x: layer(x, lengths=next(turn))[0], shape)
        return Ready(full.call, full.flops * float(orders[0].sum()) / (shape.steps * shape.batch))

    return build


def infer(make: Make, dtype: torch.dtype = torch.float32) -> Callable[[Shape], Ready]:
    """Inference of the layer that `make(I, H)` makes."""

    def build(shape: Shape) -> Ready:
        layer, x = seeded(make, shape).to(dtype).eval(), numbers(shape)[0].to(dtype)
        return Ready(lambda: (layer(x)[0],), flops(layer, shape, training=False))

    return build


def lengths(shape: Shape, seed: int) -> torch.Tensor:
    """(B,) lengths evenly spread over 1..T in mixed order: half of T on average."""
    mixed = torch.randperm(shape.batch, generator=torch.Generator().manual_seed(seed))
    return torch.linspace(1, shape.steps, shape.batch).round().long()[mixed]
