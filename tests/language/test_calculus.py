"""The gradient's graph against torch's autograd, one step in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from celda.cells import CELLS
from celda.language import Cell, cell, diagonal, gate, linear, parameter, sigmoid, stop_gradient, tanh
from celda.language.calculus import gradient
from celda.language.expression import LEAVES, REDUCTIONS, Node
from tests.calls import WIDTHS, proper, random_weights
from tests.language.graphs import backward, forward, leaf
from tests.strategies import random_cells

F64, BATCH, HIDDEN = torch.float64, 3, 4


def numbers(cell: Cell, seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A step's inputs, states, time and adjoints, and weights; the time and the adjoints want no gradient."""
    g = torch.Generator().manual_seed(seed)
    step = {name: torch.randn(BATCH, WIDTHS[name], dtype=F64, generator=g) for name in cell.inputs}
    step |= {name: torch.randn(BATCH, HIDDEN, dtype=F64, generator=g) for name in cell.below}
    step |= {s: proper(cell, s, torch.randn(BATCH, HIDDEN, dtype=F64, generator=g)) for s in cell.states}
    weights = random_weights(cell, HIDDEN, g)
    for tensor in (*step.values(), *weights.values()):
        tensor.requires_grad_()
    step["t"] = torch.tensor(float(seed % 7), dtype=F64)
    step |= {f"d {name}": torch.randn(BATCH, HIDDEN, dtype=F64, generator=g) for name in cell.states}
    return step, weights


def check(cell: Cell, seed: int = 0) -> None:
    step, weights = numbers(cell, seed)
    values = forward(cell, step, weights, HIDDEN)
    sum((step[f"d {state}"] * values[node]).sum() for state, node in cell.outputs.items()).backward()

    found = gradient(cell)
    with torch.no_grad():
        swept = backward(found, {node: values[node].detach() for node in found.saved}, step, weights, HIDDEN)

    def value(node: Node) -> Tensor:
        return leaf(node, step, weights) if node.op in LEAVES else swept[node]

    got = {state: value(node) for state, node in found.states.items()}
    got |= {name: value(node) for name, node in found.inputs.items()}
    got |= {name: value(node).sum(0) for name, node in found.vectors.items()}
    for name in (w.name for w in cell.weights if w.name not in cell.vectors.values()):
        got[name] = torch.zeros_like(weights[name])
    for node, adjoint in found.maps.items():
        for term in cell.linear[node].terms:
            rows = slice(term.block * HIDDEN, (term.block + 1) * HIDDEN)
            got[term.weight][rows] += value(adjoint).T @ values[term.operand].broadcast_to(BATCH, -1).detach()
        for name, k in cell.linear[node].biases:
            got[name][k * HIDDEN : (k + 1) * HIDDEN] += value(adjoint).sum(0)
    for name, tensor in {**step, **weights}.items():
        if tensor.requires_grad:
            wanted = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            torch.testing.assert_close(
                got.get(name, torch.zeros_like(tensor)).detach(),
                wanted,
                rtol=1e-9,
                atol=1e-10,
                msg=lambda m, n=name: n + m,
            )


@pytest.mark.parametrize("name", CELLS)
def test_the_shipped_cells(name):
    check(CELLS[name])


@settings(max_examples=120)
@given(random_cells(), st.integers(0, 1000))
def test_any_cell(drawn, seed):
    check(drawn, seed)


@settings(max_examples=60)
@given(random_cells())
def test_the_sweep_reads_what_is_saved_and_leaves_alone(drawn):
    found = gradient(drawn)
    known = set(found.saved)
    for node in found.nodes:
        assert node.op not in (*LEAVES, "linear"), "a product is never computed again"
        assert all(arg in known or arg.op in LEAVES for arg in node.args)
        known.add(node)
    assert all(root in known or root.op in LEAVES for root in found.roots)
    kept = {*drawn.gates.values(), *drawn.outputs.values(), *drawn.linear}
    kept |= {gate.args[0] for gate in drawn.gates.values() if gate.op == "negate"}
    kept |= {node.args[0] for node in drawn.nodes if node.op in REDUCTIONS}
    assert set(found.saved) <= kept
    places = [drawn.nodes.index(node) for node in found.saved]
    assert places == sorted(places)


def saved_names(cell: Cell) -> list[str]:
    """Names of what is saved; a map is called after its gate."""
    names = {node: name for name, node in cell.named.items()}
    return [names[n] if n in names else f"map of {cell.linear[n].gate}" for n in gradient(cell).saved]


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("rnn", ["h"]),
        ("image_rnn", ["h"]),
        ("lstm", ["i", "f", "g", "c", "o"]),
        ("peephole_lstm", ["i", "f", "g", "c", "o"]),
        ("gru", ["r", "z", "map of n", "n"]),
        ("gru_2014", ["r", "z", "n"]),
    ],
)
def test_what_is_saved(name, saved):
    assert sorted(saved_names(CELLS[name])) == sorted(saved)


def test_what_a_gate_is_the_negative_of_is_saved_in_its_place():
    saved = gradient(CELLS["slstm"]).saved
    assert CELLS["slstm"].gates["log_f"].op == "negate"
    assert CELLS["slstm"].gates["log_f"].args[0] in saved
    assert not {"negate", "linear"} & {node.op for node in saved}


def test_what_nothing_depends_on_is_absent():
    @cell
    def made(x, h, c, n):
        return gate("h", tanh, linear(h)), c, tanh(c) + 0.0 * parameter("p")

    found = gradient(made)
    assert set(found.inputs) == set()
    assert set(found.states) == {"h", "c"}
    assert set(found.vectors) == {"p"}
    check(made)


def test_a_state_used_in_many_ways_sums_its_gradients():
    @cell
    def made(x, h, c):
        a = gate("a", sigmoid, linear(x, h, h, c) + diagonal(h) + h * linear(h))
        return gate("b", tanh, linear(a * h, x, a) + h), h * a + h * h - c

    check(made)


def test_nothing_is_swept_beyond_a_stopped_gradient():
    @cell
    def made(x, h, c):
        i = gate("i", sigmoid, linear(stop_gradient(x), stop_gradient(h)))
        p = stop_gradient(parameter("p"))
        return gate("g", tanh, linear(x, tanh(stop_gradient(c)))) * i * p, 0.5 * c + stop_gradient(i) * h

    found = gradient(made)
    assert set(found.states) == {"h", "c"}
    assert set(found.inputs) == {"x"}
    assert not found.vectors
    assert {node.width for node in found.transposed} == {"x"}, "a product is made whose result nobody wants"
    check(made)


def test_a_learned_vector_as_an_operand_and_under_a_diagonal():
    @cell
    def made(x, h):
        p = parameter("p")
        return gate("g", tanh, linear(x, h, p * p) + diagonal(p)) * p

    check(made)


def test_transposed_products_gather_the_blocks_of_one_matrix():
    found = gradient(CELLS["lstm"])
    by_width = {node.width: found.transposed[node] for node in found.transposed}
    assert [t.block for t in by_width["hidden"]] == [0, 1, 2, 3]
    assert {t.weight for t in by_width["x"]} == {"weight_ih"}
    assert len(found.transposed) == 2
