"""The two passes as a function that torch differentiates: which gradients, how often, of what memory, in what parts."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import celda
from celda.cells import CELLS
from celda.engines import Call, cpu, forks, reference
from celda.engines.cpu import kernels, launches, passes, prepare, products
from celda.engines.cpu.kernel import Shape
from celda.language import cell, diagonal, gate, linear, sigmoid, tanh
from tests.calls import random_call
from tests.poison import poisoned
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


@pytest.fixture(autouse=True)
def harsh(monkeypatch: pytest.MonkeyPatch, torch_threads) -> Iterator[None]:
    monkeypatch.setattr(kernels, "ALONE", -1)
    torch_threads(2)
    with poisoned():
        yield


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


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["gru"], leaky], ids=lambda c: c.name)
@pytest.mark.parametrize("options", [{}, RAGGED], ids=["plain", "ragged"])
def test_first_and_second_gradients(chosen, options):
    call = random_call(chosen, steps=3, batch=3, hidden=2, **options)

    def function(*given):
        result = run(having(call, dict(zip(tensors(call), given, strict=True))))
        return result.output, *result.states

    given = tuple(t.clone().requires_grad_() for t in tensors(call).values())
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["image_rnn"], leaky], ids=lambda c: c.name)
def test_any_choice_of_gradients_is_right(chosen):
    call = random_call(chosen, batch=3)
    everything = gradients(call)
    for name in everything:
        same(gradients(call, [name])[name], everything[name])
    same(gradients(call, [*call.inputs]), {name: everything[name] for name in call.inputs})
    same(gradients(call, [*call.weights]), {name: everything[name] for name in call.weights})


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["x"], 1),
        (["weight_ih"], 1),
        (["weight_hh"], 1),
        (["bias_ih", "h at 0"], 0),
        (["x", "weight_ih", "weight_hh", "c at 0"], 3),
    ],
)
def test_no_gradient_is_computed_that_nobody_asks_for(names, count, monkeypatch):
    call, leaves = wanting(some_call(batch=8), names)
    output, done, multiply = run(call).output.sum(), [], products.multiply
    monkeypatch.setattr(products, "multiply", lambda given: done.extend(given) or multiply(given))
    torch.autograd.grad(output, list(leaves.values()))
    assert len(done) == count


def test_nothing_is_kept_where_no_gradient_is_wanted():
    call, sizes, lease = some_call(batch=8), [], passes.pool.lease
    with pytest.MonkeyPatch.context() as patch:  # undone before `harsh` puts back what it found
        patch.setattr(passes.pool, "lease", lambda size, dtype: sizes.append(size) or lease(size, dtype))
        run(call)
        assert not any(len(size) == 3 and size[1] for size in sizes)
        run(wanting(call, ["x"])[0])
    assert any(len(size) == 3 and size[1] for size in sizes)


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([5, 0, 2, 5])}], ids=["plain", "ragged"])
def test_backward_twice(options):
    call, leaves = wanting(some_call(**options), ["x", "weight_hh", "c at 0"])
    output = run(call).output.square().sum()
    first = torch.autograd.grad(output, list(leaves.values()), retain_graph=True)
    second = torch.autograd.grad(output, list(leaves.values()), retain_graph=True)
    same(first, second)
    same(torch.autograd.grad(output, list(leaves.values())), first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(output, list(leaves.values()))


def test_an_output_changed_in_place_is_met():
    call, leaves = wanting(some_call(), ["x"])
    output = run(call).output
    loss = output.sum()
    output.relu_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, [leaves["x"]])


def test_a_weight_changed_in_place_is_met():
    call, leaves = wanting(some_call(), ["weight_hh"])
    output = run(call).output.sum()
    with torch.no_grad():
        leaves["weight_hh"] *= 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(output, [leaves["weight_hh"]])


def test_a_final_state_of_a_layer_may_be_changed_in_place():
    layer = celda.LSTM(3, 5, engine="cpu")
    y, (h, c) = layer(torch.randn(4, 2, 3))
    wanted = torch.autograd.grad(y.sum(), layer.weight_hh_l0, retain_graph=True)
    h.zero_()
    c[:, 0] = 0
    assert torch.equal(torch.autograd.grad(y.sum(), layer.weight_hh_l0)[0], wanted[0])


def strided(tensor: Tensor) -> Tensor:
    """The same numbers, neither contiguous nor dense, from a place that is not aligned."""
    wide = tensor.new_zeros(*tensor.shape[:-1], 2 * tensor.shape[-1] + 1)[..., 1::2]
    wide.copy_(tensor)
    return wide.transpose(0, -1).contiguous().transpose(0, -1) if tensor.dim() > 1 else wide


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([5, 0, 2, 5])}], ids=["plain", "ragged"])
def test_memory_laid_out_otherwise(name, options):
    call = some_call(name, **options)
    other = having(call, {name: strided(tensor) for name, tensor in tensors(call).items()})
    assert not any(t.is_contiguous() for t in (*other.inputs.values(), *other.states))
    same(run(other).output, run(call).output)
    wanted = gradients(call)
    leaves = {name: strided(tensor).requires_grad_() for name, tensor in tensors(call).items()}
    result = run(having(call, leaves))
    g = torch.Generator().manual_seed(2)
    ends = (result.output, *result.states)
    above = [strided(torch.randn(v.shape, generator=g, dtype=torch.float64)) for v in ends]
    same(dict(zip(leaves, torch.autograd.grad(ends, list(leaves.values()), above), strict=True)), wanted)


def test_a_gradient_that_is_one_number_expanded():
    call, leaves = wanting(some_call(), ["x", "weight_hh"])
    result = run(call)
    expanded = torch.autograd.grad(result.output.sum(), list(leaves.values()), retain_graph=True)
    same(torch.autograd.grad(result.output, list(leaves.values()), torch.ones_like(result.output)), expanded)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[0, 0, 0], [1, 0, 1], [3, 0, 0]])
def test_sequences_without_steps(name, reverse, lengths):
    call = some_call(name, steps=3, batch=3, lengths=torch.tensor(lengths), reverse=reverse)
    found, wanted = run(call), reference(call)
    same((found.output, found.states), (wanted.output, wanted.states))
    same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_lengths_of_any_whole_dtype(dtype):
    call = some_call(lengths=torch.tensor([5, 1, 0, 4]))
    same(gradients(replace(call, lengths=call.lengths.to(dtype))), gradients(call))


def test_a_single_step():
    for options in ({}, {"reverse": True}, {"resets": torch.ones(1, 4, dtype=torch.bool)}):
        call = some_call(steps=1, **options)
        same(gradients(call), gradients(call, engine=reference))


PADDED = torch.tensor([11, 3, 0, 9, 9])  # no sequence has all of the 23 steps


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"lengths": PADDED}, {"lengths": PADDED + 12}, {"resets": torch.rand(23, 5) < 0.2}],
    ids=["plain", "padded", "ragged", "resets"],
)
def test_a_sweep_in_pieces_is_the_sweep(monkeypatch, reverse, options):
    call = random_call(leaky, steps=23, batch=5, hidden=3, reverse=reverse, **options)
    whole = gradients(call)
    runs, run_ = [], launches.Launch.run
    monkeypatch.setattr(launches.Launch, "run", lambda self, *args: runs.append(1) or run_(self, *args))
    monkeypatch.setattr(passes, "CHUNK", 0)
    for rows in (1, 5, 12):
        monkeypatch.setattr(passes, "FEWEST", rows)
        runs.clear()
        same(gradients(call), whole)
        assert len(runs) > 2  # one is the forward pass


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"lengths": torch.arange(16) % 6}], ids=["plain", "ragged"])
def test_the_same_call_gives_the_same_bits(torch_threads, count, options):
    torch_threads(count)
    call = random_call(leaky, steps=5, batch=16, hidden=20, **options)
    first, output = gradients(call), run(call).output
    for _ in range(20):
        again = gradients(call)
        assert all(torch.equal(again[name], first[name]) for name in first)
        assert torch.equal(run(call).output, output)


def test_the_bits_do_not_depend_on_how_many_threads_come(monkeypatch):
    """In a forked process, or where all others are busy, one thread does the work of two."""
    call = random_call(leaky, steps=20, batch=16, hidden=20)
    wanted = gradients(call)
    monkeypatch.setattr(forks, "_forked", True)
    found = gradients(call)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("name", SOME)
def test_training_and_inference_give_the_same_bits(name):
    call = some_call(name, hidden=20)
    trained, plain = run(wanting(call, tensors(call))[0]), run(call)
    assert torch.equal(trained.output, plain.output)
    assert all(map(torch.equal, trained.states, plain.states))
    with torch.inference_mode():
        assert torch.equal(run(call).output, plain.output)
    gradients(call)  # on buffers that were made in the inference mode
    with torch.no_grad():
        assert not run(wanting(call, tensors(call))[0]).output.requires_grad


@pytest.mark.parametrize("chosen", [CELLS["lstm"], leaky], ids=lambda c: c.name)
@pytest.mark.parametrize("hoist", [0, 10**9])
@pytest.mark.parametrize("threads_share", ["rows", "units"])
def test_the_ways_to_compute_it_are_one(monkeypatch, chosen, hoist, threads_share):
    """Products ahead of the loop or in it; threads that share the rows or the units: in tests all of it is small."""
    call = random_call(chosen, steps=4, batch=17, hidden=20)
    monkeypatch.setattr(kernels, "HOIST", hoist)
    monkeypatch.setattr(kernels, "LARGE", -1)
    monkeypatch.setattr(kernels, "FEW", 0 if threads_share == "rows" else 10**9)
    same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["gru_2014"]], ids=lambda c: c.name)
@pytest.mark.parametrize(("vector_bytes", "hidden"), [(16, 5), (16, 12), (32, 1), (32, 21), (64, 12)])
def test_processors_with_other_vectors(monkeypatch, chosen, vector_bytes, hidden):
    """LLVM makes two of a vector that is too long for the processor.

    Six unit blocks are left over by tiles of four, and cut into two and three: that is by which stage they are in."""
    shape = lambda dtype, hidden: Shape.of(kernels.DTYPES[dtype], vector_bytes // dtype.itemsize, 16, hidden)  # noqa: E731
    monkeypatch.setattr(passes, "shape_of", shape)
    for batch in (1, 3, 8):
        lengths = torch.arange(batch) % 4
        call = random_call(chosen, steps=3, batch=batch, hidden=hidden, lengths=lengths, reverse=True)
        same(gradients(call), gradients(call, engine=reference))


def test_a_call_changes_none_of_its_tensors():
    call = some_call("peephole_lstm", lengths=torch.tensor([5, 3, 1, 0]))
    before = {name: tensor.clone() for name, tensor in tensors(call).items()}
    gradients(call)
    run(call)
    assert all(torch.equal(before[name], tensor) for name, tensor in tensors(call).items())


def test_a_result_is_its_own_memory():
    """What a call gave stays as it is when the next one runs on the same buffers."""
    call, other = some_call(hidden=40, steps=60), some_call(hidden=40, steps=60, seed=1)
    first, found = run(call), gradients(call)
    kept = [t.clone() for t in (first.output, *first.states, *found.values())]
    run(other)
    gradients(other)
    assert all(map(torch.equal, kept, (first.output, *first.states, *found.values())))


def test_threads_that_compile_the_same_at_once(monkeypatch):
    """All but one of the results are thrown away, not before their threads have used them."""
    call, meet, load = some_call(), threading.Barrier(4, timeout=30), prepare.disk.load
    wanted = run(call).output
    prepare._compiled.cache_clear()
    launches.forward_launches.cache_clear()
    monkeypatch.setattr(prepare.disk, "load", lambda *given: (meet.wait(), load(*given))[1])
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(result.output, wanted) for result in pool.map(run, [call] * 4))


@pytest.mark.parametrize("name", SOME)
def test_a_launch_that_waited_takes_nothing_from_the_call_before(name):
    """Its buffers are filled with NaN while it waits, and the next call has other weights, states and inputs."""
    first, second = (random_call(CELLS[name], steps=5, batch=3, hidden=20, seed=seed) for seed in (1, 2))
    wanted = gradients(second)
    gradients(first)
    found = gradients(second)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_large_launch_does_not_wait(monkeypatch):
    monkeypatch.setattr(launches, "LARGEST", 0)
    ready = launches.Ready(lambda: pytest.fail("made"))
    launch = SimpleNamespace(bytes=1, _lease=None)
    ready.give_back(launch)
    assert not ready._waiting
    monkeypatch.setattr(launches, "LARGEST", 1)
    ready.give_back(launch)
    assert ready.take() is launch


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru"])
def test_gradients_are_each_in_memory_of_their_own(name):
    found = [t for t in gradients(some_call(name)).values() if t.numel()]
    assert len({t.untyped_storage().data_ptr() for t in found}) == len(found)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_what_is_computed_from_one_another_is_counted_once(engine):
    """Under create_graph, too: a state that is carried on, one computed from the input, tied weights."""
    found = []
    for twice in (False, True):
        torch.manual_seed(0)
        layer = celda.LSTM(5, 5, engine=engine).double()
        layer.bias_ih_l0 = layer.bias_hh_l0
        x = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
        y, state = layer(x, (x.mean(0, keepdim=True), x[:1].tanh()))
        z, _ = layer(y, state)
        found.append(torch.autograd.grad(z.square().sum(), [x, *layer.parameters()], create_graph=twice))
    for once, again in zip(*found, strict=True):
        torch.testing.assert_close(once, again.detach(), rtol=1e-9, atol=1e-9)


def test_lengths_changed_in_place_are_met():
    lengths = torch.tensor([5, 0, 2, 5])
    call, leaves = wanting(some_call(lengths=lengths), ["x"])
    loss = run(call).output.sum()
    lengths.fill_(4)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, list(leaves.values()))


def test_the_input_is_let_go_after_the_backward_pass():
    layer = celda.LSTM(3, 5)
    x = torch.randn(4, 2, 3)
    kept = weakref.ref(x)
    loss = layer(x)[0].sum()
    loss.backward()
    del x
    assert kept() is None
    assert loss.requires_grad
