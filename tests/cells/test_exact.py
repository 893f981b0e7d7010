"""What must hold exactly of the shipped cells, without training: published numbers of weights, and how errors flow."""

from dataclasses import replace
from math import log10

import pytest
import torch
from torch import Tensor

from celda.cells import CELLS
from celda.cells.odyssey import ODYSSEY
from celda.engines import Call
from celda.engines.reference import run
from celda.language import Cell, cell, exp, gate, identity, linear, sigmoid, stop_gradient, tanh
from celda.layers import Recurrent
from tests.calls import random_call

F64 = torch.float64


def weights_of_1997(inputs: int, outputs: int, blocks: int, size: int, biases: int) -> int:
    """Of a network of `blocks` memory blocks with `size` cells each.

    This form, which the published numbers bear out, is how `lstm_1997` is written: every cell and every gate sees the
    inputs, all cells and all gates of the step before (so gates are fed back), and the outputs see the cells alone.
    """
    cells, gates = blocks * size, 2 * blocks
    return (cells + gates) * (inputs + cells + gates) + outputs * cells + biases


@pytest.mark.parametrize(
    ("network", "biases", "published"),
    [  # inputs, outputs, blocks, cells in a block; which biases there are is told by the paper, an experiment each
        ((7, 7, 4, 1), "gates", 264),  # 1: embedded Reber
        ((7, 7, 3, 2), "gates", 276),
        ((54, 2, 2, 1), "", 364),  # 2c: long lags amid 50 distractors
        ((1, 1, 3, 1), "cells gates", 102),  # 3: two sequences
        ((2, 1, 2, 2), "cells gates outputs", 93),  # 4 and 5: adding, multiplication
        ((8, 4, 2, 2), "cells gates outputs", 156),  # 6a: temporal order
        ((8, 8, 3, 2), "cells gates outputs", 308),  # 6b
    ],
)
def test_the_numbers_of_weights_of_1997(network, biases, published):
    inputs, outputs, blocks, size = network
    units = {"cells": blocks * size, "gates": 2 * blocks, "outputs": outputs}
    count = sum(units[kind] for kind in biases.split())
    assert weights_of_1997(*network, count) == published
    if size == 1:  # larger blocks share their gates, which the language cannot say
        own = CELLS["lstm_1997"].count(inputs, blocks, bias=False)
        assert own + outputs * blocks + count == published


def test_both_forms_of_1997_have_the_same_weights():
    assert CELLS["lstm_1997"].weights == CELLS["lstm_1997_truncated"].weights


def maps(blocks: int, inputs: int, hidden: int) -> int:
    """Weights of so many maps of the input and the state, each with the two biases of torch."""
    return blocks * hidden * (inputs + hidden + 2)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("jordan", maps(1, 3, 5) + 5 * 5 + 5),
        ("rnn", maps(1, 3, 5)),
        ("indrnn", 5 * (3 + 1) + 5),
        ("lstm", maps(4, 3, 5)),
        ("coupled_lstm", maps(3, 3, 5)),
        ("janet", maps(2, 3, 5)),
        ("slstm", maps(4, 3, 5)),
        ("slstm_exp", maps(4, 3, 5)),
        ("gru", maps(3, 3, 5)),
        ("gru_2014", maps(3, 3, 5)),
        ("mgu", maps(2, 3, 5)),
        ("mut1", maps(3, 3, 5) - 5 * 5 - 2 * 5),  # z is not fed back; where x is added raw there is no bias
        ("mut2", maps(3, 3, 5) - 5),
        ("mut3", maps(3, 3, 5)),
    ],
)
def test_numbers_of_weights(name, count):
    assert CELLS[name].count(3, 5) == count


@pytest.mark.parametrize(
    ("name", "blocks", "peepholes", "between"),
    [
        *[("V", 4, 3, 0), ("NIG", 3, 2, 0), ("NFG", 3, 2, 0), ("NOG", 3, 2, 0), ("NIAF", 4, 3, 0), ("NOAF", 4, 3, 0)],
        *[("CIFG", 3, 2, 0), ("NP", 4, 0, 0), ("FGR", 4, 3, 9)],  # full gate recurrence: nine more matrices
    ],
)
def test_the_odyssey_s_numbers_of_weights(name, blocks, peepholes, between):
    assert ODYSSEY[name].count(3, 5) == maps(blocks, 3, 5) + peepholes * 5 + between * 5 * 5


def test_the_odyssey_is_whole():
    assert list(ODYSSEY) == ["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"]
    assert set(ODYSSEY.values()) <= set(CELLS.values())


def test_mut2_is_the_gru_with_its_update_gate_turned_round():
    call = random_call(CELLS["mut2"], hidden=5)
    w = call.weights
    (wz, wr, wn), (rz, rr, rn) = w["weight_ih"].split(5), w["weight_hh"].split(5)
    (bz, bn), (cz, cr, cn) = w["bias_ih"].split(5), w["bias_hh"].split(5)
    turned = {
        "weight_ih": torch.cat([wr, -wz, wn]),
        "weight_hh": torch.cat([rr, -rz, rn]),
        "bias_ih": torch.cat([torch.zeros_like(bz), -bz, bn]),
        "bias_hh": torch.cat([cr, -cz, cn]),
    }
    torch.testing.assert_close(run(replace(call, cell=CELLS["gru_2014"], weights=turned)).output, run(call).output)


@pytest.mark.parametrize(("variant", "gate", "value"), [("NIG", "i", 1), ("NFG", "f", 1), ("NOG", "o", 1)])
def test_a_gate_that_is_left_out_is_1(variant, gate, value):
    vanilla = ODYSSEY["V"]
    call = random_call(vanilla, hidden=5)
    place = list(vanilla.gates).index(gate)  # i, f, g, o
    open_, rest = {k: v.clone() for k, v in call.weights.items()}, {}
    for name, array in open_.items():
        if name == f"diagonal_{gate}":
            array.zero_()
        elif "diagonal" not in name:
            array[5 * place : 5 * place + 5] = 50.0 if name == "bias_ih" else 0.0  # sigmoid(50) is 1 in float64
            rest[name] = torch.cat([array[: 5 * place], array[5 * place + 5 :]])
    rest |= {n: w for n, w in open_.items() if n.startswith("diagonal_") and n != f"diagonal_{gate}"}
    without = replace(call, cell=ODYSSEY[variant], weights=rest)
    torch.testing.assert_close(run(without).output, run(replace(call, weights=open_)).output)


# Where the memory is, and what it keeps of itself with all weights 0: all, half of it, or what the forget gate says.
CAROUSELS = {
    **dict.fromkeys(("lstm_1997", "lstm_1997_truncated", "lstm_nfg"), ("c", 1.0)),
    **dict.fromkeys(("lstm", "peephole_lstm", "lstm_nig", "lstm_nog", "lstm_niaf", "lstm_noaf"), ("c", "f")),
    **{"lstm_fgr": ("c", "f"), "janet": ("h", "s")},
    **dict.fromkeys(("coupled_lstm", "lstm_cifg"), ("c", 0.5)),
    **dict.fromkeys(("gru", "gru_2014", "mut1", "mut2", "mut3", "mgu"), ("h", 0.5)),
}


@pytest.mark.parametrize("name", CAROUSELS)
@pytest.mark.parametrize("forget", [0.0, 3.0])
@pytest.mark.parametrize("lag", [1, 9, 100])
def test_the_error_carousel(name, forget, lag):
    """With all weights 0, d c_T / d c_{T-k} = sigmoid(b_f)^k; without a forget gate exactly 1, however long it is."""
    state, keeps = CAROUSELS[name]
    made = CELLS[name]
    factor = keeps
    call = random_call(made, steps=lag, batch=1, hidden=2)
    weights = {n: torch.zeros_like(w) for n, w in call.weights.items()}
    if isinstance(keeps, str):
        place = [m.gate for m in made.linear.values()].index(keeps)
        weights["bias_ih"][2 * place : 2 * place + 2] = forget
        factor = torch.sigmoid(torch.tensor(forget, dtype=F64)).item()
    at = made.states.index(state)

    def end(memory: Tensor) -> Tensor:
        states = [torch.zeros_like(s) for s in call.states]
        states[at] = memory
        return run(replace(call, weights=weights, states=tuple(states))).states[at]

    jacobian = torch.autograd.functional.jacobian(end, call.states[at]).view(2, 2)
    kept = factor**lag
    if kept == 1:
        assert torch.equal(jacobian, torch.eye(2, dtype=F64))
    torch.testing.assert_close(jacobian, kept * torch.eye(2, dtype=F64), rtol=1e-12, atol=1e-300)


def test_the_truncated_error_flows_through_the_memory_alone():
    """Whatever the weights, the memory hands on its error unchanged, and nothing else goes back a step."""
    call = random_call(CELLS["lstm_1997_truncated"], steps=20)
    states = tuple(s.clone().requires_grad_() for s in call.states)
    c = run(replace(call, states=states)).states[1]
    above = torch.randn(c.shape, dtype=F64)
    h, carousel, i, o = torch.autograd.grad(c, states, above, materialize_grads=True)
    assert torch.equal(carousel, above)
    assert not any(d.any() for d in (h, i, o))
    full = run(replace(call, cell=CELLS["lstm_1997"], states=states)).states[1]
    assert torch.equal(full, c)
    assert not torch.allclose(torch.autograd.grad(full, states[1], above)[0], above)


def unstabilised(forget):
    """The sLSTM as its equations are before anything is divided by exp(m)."""

    @cell
    def slstm_unstabilised(x, h, c, n):
        i = gate("i", exp, linear(x, h))
        f = gate("f", forget, linear(x, h))
        z = gate("z", tanh, linear(x, h))
        o = gate("o", sigmoid, linear(x, h))
        c = f * c + i * z
        n = f * n + i
        return o * c / n, c, n

    return slstm_unstabilised


def another_stabiliser(forget):
    """The sLSTM with any m at all: here one that follows the state before, and through which no gradient flows."""

    @cell
    def slstm_another_stabiliser(x, h, c, n, m):
        log_i = gate("log_i", identity, linear(x, h))
        f = gate("f", forget, linear(x, h))
        z = gate("z", tanh, linear(x, h))
        o = gate("o", sigmoid, linear(x, h))
        new = stop_gradient(0.5 * m + 0.3 * h + 0.1)
        kept, i = f * exp(m - new), exp(log_i - new)
        c = kept * c + i * z
        n = kept * n + i
        return o * c / n, c, n, new

    return slstm_another_stabiliser


def outcome(call: Call, given: list[Tensor]) -> tuple[Tensor, ...]:
    """The outputs, and the gradients of a sum of them with random weights."""
    output = run(call).output
    above = torch.randn(output.shape, dtype=F64, generator=torch.Generator().manual_seed(1))
    return output, *torch.autograd.grad(output, given, above)


@pytest.mark.parametrize(("name", "forget"), [("slstm", sigmoid), ("slstm_exp", exp)])
@pytest.mark.parametrize("make", [unstabilised, another_stabiliser])
@pytest.mark.parametrize("fresh", [True, False])
def test_the_output_does_not_depend_on_the_stabiliser(make, fresh, name, forget):
    """Nor do the gradients of the weights, of the input and of what h, c and n were at the start."""
    call, other = random_call(CELLS[name], steps=12), make(forget)
    x, h, c, n, m = (t.clone() for t in (call.inputs["x"], *call.states))
    if fresh:
        c, n, m = (torch.zeros_like(s) for s in (c, n, m))
    weights = {name: w.requires_grad_() for name, w in call.weights.items()}
    given = [t.requires_grad_() for t in (x, h, *(() if fresh else (c, n)), *weights.values())]
    call = replace(call, inputs={"x": x}, weights=weights, states=(h, c, n, m))
    found = outcome(call, given)
    start = (h, c * m.exp(), n * m.exp())
    if len(other.states) == 4:
        start = (*start, torch.zeros_like(m))
    torch.testing.assert_close(found, outcome(replace(call, cell=other, states=start), given), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [1e3, -1e3])
@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize(("name", "gates"), [("slstm", 1), ("slstm_exp", 1), ("slstm_exp", 2)])
def test_the_slstm_is_finite_where_its_gates_are_not(engine, dtype, scale, name, gates):
    """exp(1000) is infinite and exp(-1000) is 0; the output and the gradients are neither, from the first step on."""
    layer = Recurrent(name, 3, 4, engine=engine, dtype=dtype)
    with torch.no_grad():
        layer.bias_ih_l0[: 4 * gates] = scale  # of the input gate, and of the exponential forget gate
    x = torch.randn(6, 2, 3, dtype=dtype, requires_grad=True)
    y, states = layer(x)
    (y.square().sum() + sum(s.sum() for s in states)).backward()
    assert y.abs().max() > 0
    assert all(t.isfinite().all() for t in (y, *states, x.grad, *(p.grad for p in layer.parameters())))
    assert y.abs().max() <= 1, "h is an average of values between -1 and 1, times a gate"
    assert states[2].min() >= 1, "the normaliser never falls below 1"


@pytest.mark.parametrize("name", [name for name in CELLS if name != "lstm_1997_truncated"])
def test_gradients_are_those_of_finite_differences(name):
    """All but the truncated ones, which are others on purpose."""
    call = random_call(CELLS[name], steps=3, batch=2, hidden=2)
    given = [t.clone().requires_grad_() for t in (*call.inputs.values(), *call.states, *call.weights.values())]
    for constant, name in zip(given[-len(call.weights) :], call.weights, strict=True):
        constant.requires_grad_(name not in call.cell.constants)

    def compute(*tensors: Tensor) -> tuple[Tensor, ...]:
        rest = iter(tensors)
        inputs = {n: next(rest) for n in call.inputs}
        states = tuple(next(rest) for _ in call.states)
        result = run(replace(call, inputs=inputs, states=states, weights={n: next(rest) for n in call.weights}))
        return (result.output, *result.states)

    assert torch.autograd.gradcheck(compute, given)


def weights_by_hand(made: Cell, inputs: int, hidden: int, recurrent: float | None, forget: float) -> dict[str, Tensor]:
    """Biases 0 but the forget gate's; matrices as torch.nn has them, or normal with a gain of `recurrent`."""
    found = {}
    for w in made.weights:
        size = (w.blocks * hidden, {"x": inputs, "hidden": hidden, None: 1}[w.columns])
        if w.is_bias:
            found[w.name] = torch.zeros(size[0], dtype=F64)
        elif recurrent is None:
            found[w.name] = (2 * torch.rand(size, dtype=F64) - 1) / hidden**0.5
        else:
            gain = recurrent if w.columns == "hidden" else 0.5
            found[w.name] = gain * torch.randn(size, dtype=F64) / size[1] ** 0.5
    if forget:
        found["bias_ih"][hidden : 2 * hidden] = forget
    return found


def vanishing(made: Cell, recurrent: float | None, forget: float, lags: tuple[int, ...]) -> list[float]:
    """Of an untrained layer: log10 of |dL/dh_{T-k}| / |dL/dh_T| at each lag k, the mean of a few seeds."""
    steps, inputs, hidden, found = 100, 10, 100, []
    for seed in range(3):
        torch.manual_seed(seed)
        weights = weights_by_hand(made, inputs, hidden, recurrent, forget)
        states = tuple(torch.zeros(1, hidden, dtype=F64) for _ in made.states)
        outputs = []
        for _ in range(steps):
            call = Call(made, {"x": torch.randn(1, 1, inputs, dtype=F64)}, states, weights)
            states = run(call).states
            outputs.append(states[0].requires_grad_())
            states = (outputs[-1], *states[1:])
        sizes = [d.norm() for d in torch.autograd.grad(outputs[-1].sum(), outputs)]
        found.append([torch.log10(sizes[-1 - k] / sizes[-1]) for k in lags])
    return [sum(column).item() / len(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize(
    ("name", "recurrent", "forget", "published", "factor"),
    [
        ("rnn", 0.5, 0.0, (1e-4, 2e-19, 1e-37), 3),
        ("rnn", 1.0, 0.0, (8e-2, 2e-7, 1e-12), 30),
        ("lstm", None, 0.0, (1e-3, 1e-11, 2e-21), 3),
        ("lstm", None, 1.0, (2e-2, 3e-5, 1e-8), 3),
        ("lstm", None, 3.0, (5e-2, 6e-2, 0.9), 3),
    ],
)
def test_how_fast_gradients_vanish(name, recurrent, forget, published, factor):
    """The orders of magnitude of a measured table, 10, 50 and 99 steps back, H = 100, whose initialisation is not told.

    The LSTM's rows are those of torch.nn's matrices with all biases 0 but the forget gate's. No simple initialisation
    gives both rows of the plain network: with normal matrices, one is met, and the other to an order of magnitude.
    """
    found = vanishing(CELLS[name], recurrent, forget, (10, 50, 99))
    for ours, theirs in zip(found, published, strict=True):
        assert ours == pytest.approx(log10(theirs), abs=log10(factor))
