"""What the tests of the passes share: calls as a function of tensors by name, and their gradients."""

from dataclasses import replace

import torch
from torch import Tensor

from celda.cells import CELLS
from celda.engines import Call, cpu, reference
from celda.language import cell, diagonal, gate, linear, sigmoid, tanh
from tests.calls import random_call
from tests.tolerances import TOLERANCES

SOME = ("lstm", "gru_2014", "image_rnn")  # one stage, two, a further input
EXACT = TOLERANCES["cpu", torch.float64]


@cell
def leaky(x, h, c):
    """A cell of a user: two stages, a learned vector."""
    r = gate("r", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, r * c))
    c = 0.9 * c + (1 - r) * g
    return tanh(c), c


def run(call: Call):
    return cpu.run(call, reference)


def tensors(call: Call) -> dict[str, Tensor]:
    states = {f"{name} at 0": state for name, state in zip(call.cell.states, call.states, strict=True)}
    return {**call.inputs, **states, **call.weights}


def having(call: Call, given: dict[str, Tensor]) -> Call:
    """The call with other tensors, by name."""
    all_of_them = tensors(call) | given
    return replace(
        call,
        inputs={name: all_of_them[name] for name in call.inputs},
        states=tuple(all_of_them[f"{name} at 0"] for name in call.cell.states),
        weights={name: all_of_them[name] for name in call.weights},
    )


def wanting(call: Call, names) -> tuple[Call, dict[str, Tensor]]:
    """The call on tensors of its own, of which those called so want a gradient."""
    leaves = {name: tensor.clone().requires_grad_(name in names) for name, tensor in tensors(call).items()}
    return having(call, leaves), {name: leaves[name] for name in names}


def gradients(call: Call, names=None, engine=run) -> dict[str, Tensor]:
    """Of a sum of all outputs, each with a weight of its own."""
    call, leaves = wanting(call, tensors(call) if names is None else names)
    result = engine(call)
    g = torch.Generator().manual_seed(2)
    loss = sum(
        (v * torch.randn(v.shape, generator=g, dtype=torch.float64)).sum() for v in (result.output, *result.states)
    )
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def same(a, b):
    torch.testing.assert_close(a, b, **EXACT)


def some_call(name="lstm", steps=5, batch=4, hidden=3, **options) -> Call:
    return random_call(CELLS[name], steps=steps, batch=batch, hidden=hidden, **options)


RAGGED = {
    "lengths": torch.tensor([3, 0, 2]),
    "resets": torch.tensor([[0, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=torch.bool),
}
