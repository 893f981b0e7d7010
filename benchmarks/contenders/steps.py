"""One step at a time, the state carried on: streaming. All start from zero states."""

from __future__ import annotations

import torch
from torch import nn

import celda
from benchmarks.contenders.contender import Ready, numbers, seeded
from benchmarks.shapes import Shape, flops


def stepper(shape: Shape) -> Ready:
    """Celda's stepper."""
    layer, x = seeded(celda.LSTM, shape), numbers(shape)[0][0]
    step = layer.stepper(shape.batch)
    return Ready(lambda: (step(x),), flops(layer, shape, training=False))


def lstm(shape: Shape) -> Ready:
    """nn.LSTM over sequences of one step."""
    layer, x = seeded(nn.LSTM, shape).eval(), numbers(shape)[0]
    state = (torch.zeros(1, shape.batch, shape.hidden),) * 2

    def call() -> tuple[torch.Tensor]:
        nonlocal state
        y, state = layer(x, state)
        return (y,)

    return Ready(call, flops(layer, shape, training=False))


def lstm_cell(shape: Shape) -> Ready:
    """nn.LSTMCell."""
    layer, x = seeded(nn.LSTM, shape), numbers(shape)[0][0]
    cell = nn.LSTMCell(shape.width, shape.hidden).eval()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    state = (torch.zeros(shape.batch, shape.hidden),) * 2

    def call() -> tuple[torch.Tensor]:
        nonlocal state
        state = cell(x, state)
        return (state[0],)

    return Ready(call, flops(cell, shape, training=False))
