"""A step of a cell with options, by its graph and by hand, on random numbers."""

import torch

from celda.cells import CELLS
from celda.language.expression import HIDDEN
from tests.language.graphs import block, forward

H, I, B = 4, 3, 5  # noqa: E741
F64 = torch.float64
LSTM = CELLS["lstm"]
NAMES = ("lstm", "gru", "rnn", "peephole_lstm")
GATES = {"lstm": "ifgo", "peephole_lstm": "ifgo", "gru": "rzn", "rnn": "h"}


def step_of(taken, seed=0):
    """Random numbers for a step: the inputs, the states and the masks, and the weights."""
    g = torch.Generator().manual_seed(seed)
    normal = lambda *size: torch.randn(size, generator=g, dtype=F64)  # noqa: E731
    step = {name: normal(B, I) for name in taken.inputs} | {name: normal(B, H) for name in taken.states}
    columns = {HIDDEN: H, "x": I}
    weights = {w.name: normal(w.blocks * H, *([columns[w.columns]] if w.columns else [])) for w in taken.weights}
    for name, drawn in taken.masks.items():
        step[name] = torch.empty(B, H, dtype=F64).bernoulli_(drawn.probability, generator=g)
    return step, weights


def by_hand(name, step, weights, *, heard=1.0, candidate=1.0, coupled=False):
    """The new states of a step, as the papers have them.

    `heard` is what recurrent products are multiplied with, `candidate` what the candidate is.
    """
    x, h, c = step["x"], step["h"] * heard, step.get("c")
    letters = GATES[name]
    if coupled:
        letters = letters.replace("i", "")

    def part(letter, both=True):
        k = letters.index(letter)
        inner = x @ block(weights, "weight_ih", k, H).T + block(weights, "bias_ih", k, H)
        outer = h @ block(weights, "weight_hh", k, H).T + block(weights, "bias_hh", k, H)
        return inner + outer if both else (inner, outer)

    if name == "rnn":
        return {"h": torch.tanh(part("h")) * candidate}
    if name == "gru":
        r, z = torch.sigmoid(part("r")), torch.sigmoid(part("z"))
        inner, outer = part("n", both=False)
        return {"h": (1 - z) * torch.tanh(inner + r * outer) * candidate + z * step["h"]}
    see = lambda letter, memory: weights.get(f"diagonal_{letter}", torch.zeros(H, dtype=F64)) * memory  # noqa: E731
    f = torch.sigmoid(part("f") + see("f", c))
    i = 1 - f if coupled else torch.sigmoid(part("i") + see("i", c))
    memory = f * c + i * torch.tanh(part("g")) * candidate
    return {"h": torch.sigmoid(part("o") + see("o", memory)) * torch.tanh(memory), "c": memory}


def new_states(taken, step, weights):
    values = forward(taken, step, weights, H)
    return {name: values[node] for name, node in taken.outputs.items()}


def same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
