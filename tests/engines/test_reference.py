"""The reference engine against loops written by hand, and each option of a call."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from celda.cells import CELLS
from celda.engines import Call
from celda.engines.reference import run
from celda.language import cell, gate, linear, parameter, sigmoid, tanh, time, where
from tests.calls import WIDTHS, random_call
from tests.engines.loops import LOOPS
from tests.language.graphs import forward
from tests.strategies import random_cells
from tests.tolerances import TOLERANCES

EXACT = TOLERANCES["reference", torch.float64]
STEPS, BATCH, HIDDEN = 5, 3, 4


def make(name: str, **options) -> Call:
    return random_call(CELLS[name], steps=STEPS, batch=BATCH, hidden=HIDDEN, keep=tuple(CELLS[name].named), **options)


def same(a, b) -> None:
    torch.testing.assert_close(a, b, **EXACT)


def alone(call: Call, k: int, keep: slice = slice(None)) -> Call:
    """Sequence `k` of a call by itself, cut to the steps `keep`; without lengths and resets."""
    cut = lambda value: value[keep, k : k + 1] if value.shape[0] > 1 else value[:, k : k + 1]  # noqa: E731
    inputs = {name: cut(value) for name, value in call.inputs.items()}
    return replace(call, inputs=inputs, states=tuple(s[k : k + 1] for s in call.states), lengths=None, resets=None)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_the_shipped_cells_are_what_is_written_by_hand(name, bias):
    call = make(name, bias=bias)
    result = run(call)
    states = dict(zip(call.cell.states, call.states, strict=True))
    for t in range(STEPS):
        values = LOOPS[name]({k: v[t] for k, v in call.inputs.items()} | {"t": t}, states, dict(call.weights))
        states = {state: values[state] for state in call.cell.states}
        same(result.output[t], values["h"])
        assert set(result.kept) == set(values)
        for kept, value in values.items():
            same(result.kept[kept][t], value)
    for state, final in zip(call.cell.states, result.states, strict=True):
        same(final, states[state])


def test_a_loop_is_written_for_every_cell():
    assert set(LOOPS) == set(CELLS)


@settings(max_examples=50)
@given(random_cells())
def test_any_cell_is_its_graph_evaluated_step_by_step(drawn):
    call = random_call(drawn, steps=3, batch=2, hidden=HIDDEN, keep=tuple(drawn.named), start=4)
    result = run(call)
    states = dict(zip(drawn.states, call.states, strict=True))
    for t in range(3):
        step = {**{k: v[t] for k, v in call.inputs.items()}, **states, "t": torch.tensor(4.0 + t, dtype=torch.float64)}
        values = forward(drawn, step, call.weights, HIDDEN)
        states = {state: values[node].expand(2, HIDDEN) for state, node in drawn.outputs.items()}
        for kept, node in drawn.named.items():
            same(result.kept[kept][t], values[node].expand(2, HIDDEN))
    same(result.states, tuple(states.values()))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_equal_each_sequence_alone(name, reverse):
    lengths = torch.tensor([STEPS, 2, 0])
    call = make(name, lengths=lengths, reverse=reverse)
    result = run(call)
    for k, length in enumerate(lengths.tolist()):
        for values in (result.output, *result.kept.values()):
            assert not values[length:, k].any()
        if length == 0:
            same(tuple(s[k] for s in result.states), tuple(s[k] for s in call.states))
            continue
        wanted = run(alone(call, k, slice(length)))
        same(result.output[:length, k], wanted.output[:, 0])
        same(tuple(s[k] for s in result.states), tuple(s[0] for s in wanted.states))
        for gate_name, values in wanted.kept.items():
            same(result.kept[gate_name][:length, k], values[:, 0])


@pytest.mark.parametrize("name", [n for n, c in CELLS.items() if all(node.op != "time" for node in c.nodes)])
def test_the_reverse_direction_is_the_sequence_turned_round(name):
    call = make(name)
    turned = replace(call, inputs={k: v.flip(0) for k, v in call.inputs.items()})
    there, back = run(replace(call, reverse=True)), run(turned)
    same(there.output, back.output.flip(0))
    same(there.states, back.states)
    same(dict(there.kept), {k: v.flip(0) for k, v in back.kept.items()})


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_resets_cut_a_sequence_into_sequences_from_zero(name, reverse):
    resets = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    resets[2, 0] = resets[1, 2] = resets[4, 2] = True
    call = make(name, resets=resets, reverse=reverse)
    result = run(call)
    for k in range(BATCH):
        marks = [0, *(t for t in range(1, STEPS) if resets[t, k]), STEPS]
        parts = [slice(a, b) for a, b in pairwise(marks)]
        parts = parts[::-1] if reverse else parts
        for number, part in enumerate(parts):
            piece = replace(alone(call, k, part), start=part.start)
            if number:
                piece = replace(piece, states=tuple(torch.zeros_like(s) for s in piece.states))
            wanted = run(piece)
            same(result.output[part, k], wanted.output[:, 0])
        same(tuple(s[k] for s in result.states), tuple(s[0] for s in wanted.states))


def test_a_reset_at_the_first_step_forgets_the_given_state():
    resets = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    resets[0] = True
    call = make("lstm", resets=resets)
    fresh = replace(call, states=tuple(torch.zeros_like(s) for s in call.states), resets=None)
    same(run(call).output, run(fresh).output)
    same(run(replace(call, reverse=True)).output, run(replace(call, reverse=True, resets=None)).output)


def test_a_further_input_is_constant_or_one_a_step():
    call = make("image_rnn")
    constant = call.inputs["image"][:1]
    repeated = constant.expand(STEPS, BATCH, -1)
    once = run(replace(call, inputs={**call.inputs, "image": constant}))
    same(once.output, run(replace(call, inputs={**call.inputs, "image": repeated})).output)
    assert not torch.allclose(once.output, run(call).output)


@cell
def clockwork(x, h):
    g = gate("g", tanh, linear(x, h))
    return where(time() % 3 < 1, g, h)


def test_time_counts_from_start():
    call = random_call(clockwork, steps=7, keep=("g",))
    result = run(call)
    for t in range(1, 7):
        assert torch.equal(result.output[t], result.kept["g"][t] if t % 3 == 0 else result.output[t - 1])
    later = run(replace(call, start=2))
    assert torch.equal(later.output[0], call.states[0])
    assert torch.equal(later.output[1], later.kept["g"][1])


def test_time_runs_backwards_in_the_reverse_direction():
    call = random_call(clockwork, steps=7, keep=("g",), reverse=True)
    result = run(call)
    assert [torch.equal(result.output[t], result.kept["g"][t]) for t in range(7)] == [t % 3 == 0 for t in range(7)]


def test_a_sequence_in_pieces_is_the_sequence():
    call = random_call(clockwork, steps=6)
    first = run(replace(call, inputs={"x": call.inputs["x"][:2]}))
    second = run(replace(call, inputs={"x": call.inputs["x"][2:]}, states=first.states, start=2))
    same(torch.cat([first.output, second.output]), run(call).output)


@cell
def with_vectors(x, h):
    p = parameter("p")
    g = gate("g", tanh, linear(p, h) + linear(x))
    return g * p + (1 - sigmoid(p)) * h


def test_a_learned_vector_is_one_for_all_steps_and_sequences():
    call = random_call(with_vectors, steps=3, batch=2, hidden=HIDDEN)
    w, h = call.weights, call.states[0]
    for t, output in enumerate(run(call).output):
        maps = w["p"] @ w["weight_hh"].T + h @ w["weight_hh2"].T + call.inputs["x"][t] @ w["weight_ih"].T
        biases = sum(v.view(-1, HIDDEN).sum(0) for k, v in w.items() if k.startswith("bias"))
        h = torch.tanh(maps + biases) * w["p"] + (1 - torch.sigmoid(w["p"])) * h
        same(output, h)


def to(call: Call, dtype: torch.dtype) -> Call:
    cast = lambda values: {k: v.to(dtype) for k, v in values.items()}  # noqa: E731
    return replace(
        call, inputs=cast(call.inputs), states=tuple(s.to(dtype) for s in call.states), weights=cast(call.weights)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CELLS)
def test_other_precisions(name, dtype):
    call = make(name)
    result, wanted = run(to(call, dtype)), run(call)
    assert {t.dtype for t in (result.output, *result.states, *result.kept.values())} == {dtype}
    torch.testing.assert_close(result.output.double(), wanted.output, **TOLERANCES["reference", dtype])
    for state, expected in zip(result.states, wanted.states, strict=True):
        torch.testing.assert_close(state.double(), expected, **TOLERANCES["reference", dtype])


def test_bfloat16_counts_past_256():
    """The step's index is exact in any precision: bfloat16 itself cannot tell 257 from 256."""

    @cell
    def odd_steps(x, h):
        g = gate("g", tanh, linear(x, h))
        return where(time() % 2 < 1, 0.0 * g, 1.0 + 0.0 * (time() * g))

    call = to(random_call(odd_steps, steps=6, start=254), torch.bfloat16)
    result = run(call)
    assert result.output.dtype == torch.bfloat16
    assert result.output[:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CELLS)
def test_on_a_gpu(name):
    call = make(name)
    there = replace(
        call,
        inputs={k: v.cuda() for k, v in call.inputs.items()},
        states=tuple(s.cuda() for s in call.states),
        weights={k: v.cuda() for k, v in call.weights.items()},
    )
    same(run(there).output.cpu(), run(call).output)


def tensors(call: Call) -> tuple[Tensor, ...]:
    return (*call.inputs.values(), *call.states, *call.weights.values())


def function(call: Call):
    """The run of `call` as a function of its tensors, giving the outputs and the final states."""

    def compute(*given: Tensor) -> tuple[Tensor, ...]:
        rest = iter(given)
        inputs = {name: next(rest) for name in call.inputs}
        states = tuple(next(rest) for _ in call.states)
        weights = {name: next(rest) for name in call.weights}
        result = run(replace(call, inputs=inputs, states=states, weights=weights))
        return (result.output, *result.states)

    return compute


@pytest.mark.parametrize("name", ["lstm", "gru_2014", "peephole_lstm"])
def test_first_and_second_gradients(name):
    lengths, resets = torch.tensor([3, 2]), torch.tensor([[False, False], [True, False], [False, False]])
    call = random_call(CELLS[name], steps=3, batch=2, hidden=2, lengths=lengths, resets=resets)
    given = tuple(t.clone().requires_grad_() for t in tensors(call))
    assert torch.autograd.gradcheck(function(call), given)
    assert torch.autograd.gradgradcheck(function(call), given)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_equal_those_of_the_loop_by_hand(name):
    call = make(name)
    given = tuple(t.clone().requires_grad_() for t in tensors(call))
    output, *final = function(call)(*given)
    found = torch.autograd.grad(output.square().sum() + sum(f.sum() for f in final), given, materialize_grads=True)

    rest = iter(given)
    inputs = {n: next(rest) for n in call.inputs}
    states = {n: next(rest) for n in call.cell.states}
    weights = {n: next(rest) for n in call.weights}
    loss = torch.zeros((), dtype=torch.float64)
    for t in range(STEPS):
        values = LOOPS[name]({k: v[t] for k, v in inputs.items()} | {"t": t}, states, weights)
        states = {state: values[state] for state in call.cell.states}
        loss = loss + values["h"].square().sum()
    same(found, torch.autograd.grad(loss + sum(s.sum() for s in states.values()), given, materialize_grads=True))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own, in jvp
@pytest.mark.parametrize("name", ["lstm", "gru_2014"])
def test_functional_transforms(name):
    call = make(name)
    compute, given = function(call), tensors(call)
    loss = lambda *values: compute(*values)[0].square().sum()  # noqa: E731

    wanted = torch.autograd.grad(loss(*(g := [t.clone().requires_grad_() for t in given])), g)
    same(torch.func.grad(loss, argnums=tuple(range(len(given))))(*given), wanted)

    tangents = tuple(torch.randn_like(t) for t in given)
    _, forward_mode = torch.func.jvp(loss, given, tangents)
    same(forward_mode, sum((w * t).sum() for w, t in zip(wanted, tangents, strict=True)))

    x = torch.stack([given[0], 2 * given[0], -given[0]])
    mapped = torch.func.vmap(lambda one: compute(one, *given[1:])[0])(x)
    same(mapped, torch.stack([compute(one, *given[1:])[0] for one in x]))

    a_sequence = torch.func.vmap(
        torch.func.grad(lambda one, s: compute(one.unsqueeze(1), *s, *given[1 + len(call.states) :])[0].sum()),
        in_dims=(1, 0),
        out_dims=1,
    )
    rows = tuple(s.unsqueeze(1) for s in call.states)  # each sequence of the batch with its own states
    g = given[0].clone().requires_grad_()
    same(a_sequence(given[0], rows), torch.autograd.grad(compute(g, *given[1:])[0].sum(), g)[0])


@pytest.mark.parametrize("k", [1, 4, 9])
@pytest.mark.parametrize("forget", [-1.0, 0.0, 3.0])
def test_the_error_carousel(k, forget):
    """With all weights 0 the memory fades by the forget gate alone: d c_T / d c_{T-k} = sigmoid(b_f)^k."""
    call = random_call(CELLS["lstm"], steps=k, batch=1, hidden=2)
    weights = {name: torch.zeros_like(w) for name, w in call.weights.items()}
    weights["bias_ih"][2:4] = forget  # gates i, f, g, o, two units each
    _, c = call.states
    jacobian = torch.autograd.functional.jacobian(
        lambda c: run(replace(call, weights=weights, states=(call.states[0], c))).states[1], c
    )
    factor = torch.sigmoid(torch.tensor(forget, dtype=torch.float64)) ** k
    torch.testing.assert_close(jacobian.view(2, 2), factor * torch.eye(2, dtype=torch.float64), rtol=1e-14, atol=1e-16)


def test_the_gradient_of_a_plain_network_vanishes_where_the_memory_does_not():
    call = random_call(CELLS["rnn"], steps=9, batch=1, hidden=2)
    weights = {name: torch.zeros_like(w) for name, w in call.weights.items()}
    weights["weight_hh"].copy_(0.5 * torch.eye(2))
    zero = replace(call, weights=weights, inputs={"x": torch.zeros_like(call.inputs["x"])})
    jacobian = torch.autograd.functional.jacobian(
        lambda h: run(replace(zero, states=(h,))).states[0], torch.zeros(1, 2, dtype=torch.float64)
    )
    torch.testing.assert_close(jacobian.view(2, 2), 0.5**9 * torch.eye(2, dtype=torch.float64), rtol=1e-14, atol=0)


def test_a_call_changes_none_of_its_tensors():
    call = make("peephole_lstm", lengths=torch.tensor([5, 3, 1]))
    before = [t.clone() for t in tensors(call)]
    run(call)
    assert all(torch.equal(a, b) for a, b in zip(before, tensors(call), strict=True))


def test_the_widths_of_the_test_calls_are_those_of_the_shipped_cells():
    assert {name for c in CELLS.values() for name in c.inputs} <= set(WIDTHS)


def test_what_lies_past_an_end_leaves_no_trace():
    call = random_call(CELLS["lstm"], steps=5, batch=3, lengths=torch.tensor([5, 2, 0]))
    x, weights = call.inputs["x"], {name: w.requires_grad_() for name, w in call.weights.items()}
    past = torch.arange(5).unsqueeze(1) >= call.lengths
    found = []
    for filling in (0.0, float("nan")):
        given = x.masked_fill(past.unsqueeze(-1), filling).requires_grad_()
        output = run(replace(call, inputs={"x": given}, weights=weights)).output
        found.append((output, *torch.autograd.grad(output.square().sum(), [given, *weights.values()])))
    for clean, poisoned in zip(*found, strict=True):
        assert torch.equal(clean, poisoned)
