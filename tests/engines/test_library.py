"""The kernels as operators of torch: what torch itself checks of an operator, and what becomes of cells and memory."""

import gc
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import celda
from celda.cells import CELLS
from celda.engines import Call, Plan, choose, know, library
from celda.engines.cpu import pool
from celda.errors import CeldaError
from celda.language import cell, diagonal, gate, linear, sigmoid, tanh, time
from tests.calls import random_call
from tests.tolerances import TOLERANCES

EXACT = TOLERANCES["cpu", torch.float64]


@cell
def clocked(x, h, n, *, image):
    r = gate("r", sigmoid, linear(x, n) + diagonal(n))
    n = tanh(n + 0.1 * time())
    return gate("h", tanh, linear(r * h) + linear(image)), n


@cell
def leaky_rnn(x, h):
    return 0.5 * h + 0.5 * gate("g", tanh, linear(x, h))


know(clocked, *CELLS.values())
MADE = {"clocked": clocked, "lstm": CELLS["lstm"], "gru_2014": CELLS["gru_2014"]}
LENGTHS, RESETS = torch.tensor([4, 0, 2]), torch.tensor([[0, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
OPTIONS = {
    "plain": {},
    "reverse": {"reverse": True, "start": 3},
    "lengths": {"lengths": LENGTHS},
    "resets": {"resets": RESETS, "bias": False},
    "all": {"lengths": LENGTHS, "resets": RESETS & (torch.arange(4).unsqueeze(1) < LENGTHS), "reverse": True},
}


def tensors(call: Call) -> list[Tensor]:
    return [*call.inputs.values(), *call.states, *call.weights.values()]


def wanting(call: Call) -> Call:
    """The call, with gradients of all its tensors wanted."""
    leaves = [t.clone().requires_grad_() for t in tensors(call)]
    i, s = len(call.inputs), len(call.inputs) + len(call.states)
    inputs, weights = zip(call.inputs, leaves[:i], strict=True), zip(call.weights, leaves[s:], strict=True)
    return replace(call, inputs=dict(inputs), states=tuple(leaves[i:s]), weights=dict(weights))


def parts(call: Call) -> list:
    """The arguments of an operator that stand for a call."""
    lists = [list(call.inputs.values()), list(call.states), list(call.weights.values())]
    rest = call.reverse, call.start, ",".join(call.keep), call.bfloat16
    return [call.cell.fingerprint, *lists, call.lengths, call.resets, *rest]


@pytest.fixture
def deterministic():
    """Nothing that was not written is left in an operator's outputs, so that two runs can be compared."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("name", "options"), [*(("clocked", options) for options in OPTIONS), ("lstm", "plain"), ("gru_2014", "lengths")]
)
def test_torch_finds_no_fault_with_the_operators(name, options, deterministic):
    call = random_call(MADE[name], **OPTIONS[options])
    call = replace(call, keep=tuple(call.cell.named) if options == "all" else ())
    torch.library.opcheck(torch.ops.celda.sequence.default, (*parts(call), False))
    torch.library.opcheck(torch.ops.celda.sequence.default, (*parts(wanting(call)), True))
    output, last, kept, saved = torch.ops.celda.sequence(*parts(call), True)
    wanted = [k % 3 > 0 for k, _ in enumerate(tensors(call))]
    d_kept = torch.randn_like(kept) if call.keep else None
    for given in (
        (output, saved, torch.randn_like(output), None, None),
        (output, saved, None, torch.randn_like(last), d_kept),
    ):
        torch.library.opcheck(torch.ops.celda.sequence_backward.default, (*parts(call), *given, wanted))


def outcome(run, call: Call) -> list[Tensor]:
    """Outputs, states and all gradients."""
    call = wanting(call)
    result = run(call)
    ends = [result.output, *result.states]
    gradients = torch.autograd.grad(ends, tensors(call), [torch.cos(e.detach()) for e in ends], materialize_grads=True)
    return [*ends, *result.kept.values(), *gradients]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", MADE)
def test_an_operator_is_the_reference(name, options):
    call = random_call(MADE[name], **OPTIONS[options])
    call = replace(call, keep=tuple(call.cell.named))
    wanted = outcome(Plan("reference", "").run, call)
    torch.testing.assert_close(outcome(library.run, call), wanted, **EXACT)


def test_what_was_not_saved_is_computed_again():
    call = wanting(random_call(CELLS["lstm"], lengths=LENGTHS))
    for training in (True, False):
        output, last, _, saved = torch.ops.celda.sequence(*parts(call), training)
        assert bool(saved.numel()) == training
        assert not saved.requires_grad
        found = torch.autograd.grad([output.sum() + last.sum()], tensors(call))
        torch.testing.assert_close(found, outcome_of_sum(call), **EXACT)


def test_where_nothing_needs_to_be_saved_the_output_is_enough(monkeypatch):
    call = wanting(random_call(CELLS["rnn"]))
    output, last, _, saved = torch.ops.celda.sequence(*parts(call), True)
    assert not saved.numel()
    monkeypatch.setattr("celda.engines.cpu.saved.forward", None)
    found = torch.autograd.grad([output.sum() + last.sum()], tensors(call))
    torch.testing.assert_close(found, outcome_of_sum(call), **EXACT)


def outcome_of_sum(call: Call) -> tuple[Tensor, ...]:
    result = Plan("reference", "").run(call)
    return torch.autograd.grad([result.output.sum() + sum(s.sum() for s in result.states)], tensors(call))


def test_second_derivatives_and_batches_of_derivatives_are_taken_through_the_reference():
    call = wanting(random_call(CELLS["gru"]))
    x = call.inputs["x"]
    found = []
    for run in (library.run, Plan("reference", "").run):
        y = run(call).output
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), tensors(call)))
        many = torch.stack([torch.ones_like(y), y.detach()])
        found[-1] += torch.autograd.grad(run(call).output, x, many, is_grads_batched=True)
    torch.testing.assert_close(found[0], found[1], **EXACT)


def test_a_fingerprint_tells_cells_apart_by_what_they_compute():
    def make(slope):
        @cell
        def leaky(x, h):
            return (1 - slope) * h + slope * gate("g", tanh, linear(x, h))

        return leaky

    assert make(0.1).fingerprint == make(0.1).fingerprint
    assert make(0.1).fingerprint != make(0.1 + 1e-12).fingerprint
    assert make(0.1).fingerprint.startswith("leaky-")
    assert len({c.fingerprint for c in CELLS.values()}) == len(CELLS)


def test_a_cell_that_is_not_known_is_named():
    arguments = parts(random_call(CELLS["lstm"]))
    arguments[0] = "mine-0123456789abcdef"
    with pytest.raises(CeldaError, match=r"'mine'.*celda.Recurrent\(mine, \.\.\.\)"):
        torch.ops.celda.sequence(*arguments, False)


def test_lengths_are_looked_at_when_the_operator_runs():
    call = random_call(CELLS["lstm"], lengths=torch.tensor([4, 5, 0]))
    with pytest.raises(CeldaError, match="lengths go from 0 to 5 and the input has 4 steps"):
        library.run(call)


def test_tensors_of_several_dtypes_never_reach_the_kernels():
    call = random_call(CELLS["lstm"])
    mixed = replace(call, states=tuple(s.float() for s in call.states))
    with pytest.raises(CeldaError, match=r"float32, torch\.float64: all must be float32, or all float64"):
        library.run(mixed)


def test_what_is_saved_goes_back_to_the_pool():
    x = torch.randn(64, 16, 32)
    states, weights = (torch.zeros(16, 32),) * 2, celda.LSTM(32, 32).all_weights[0]
    names = [w.name for w in CELLS["lstm"].weights]
    call = Call(CELLS["lstm"], {"x": x}, states, dict(zip(names, weights, strict=True)))
    pool.clear()
    result = library.run(call)
    gc.collect()
    before = pool.unused()
    result.output.sum().backward()
    del result
    gc.collect()
    assert pool.unused() - before > x.nbytes * 4  # four gates at least
    assert weights[0].grad is not None


def test_buffers_of_inference_serve_training():
    pool.clear()
    with torch.inference_mode():
        lease = pool.lease((2**20,), torch.float32)
        first = lease.tensor.data_ptr()
        del lease
    again = pool.lease((2**20,), torch.float32).tensor
    assert again.data_ptr() == first
    again.zero_()


def test_the_plan_says_when_the_operator_is_used():
    x = torch.zeros(2, 3, 4)
    assert not choose("auto", x).operator
    with torch.autograd.graph.save_on_cpu():
        plan = choose("auto", x)
    assert plan.operator
    assert "celda::sequence" in str(plan)


FRESH = """
import sys, torch
import celda.engines.cpu, celda.layers
assert "torch._dynamo" not in sys.modules
first, second = (torch.export.load(path).module() for path in sys.argv[1:3])
x, y = torch.load(sys.argv[3])
torch.testing.assert_close(first(x)[0], y)
try:
    second(x)
except celda.CeldaError as error:
    print(error)
"""


def test_a_saved_program_runs_in_another_process(tmp_path):
    x, known, own = torch.randn(5, 3, 4), celda.LSTM(4, 6, num_layers=2), celda.Recurrent(leaky_rnn, 4, 6)
    paths = [str(tmp_path / name) for name in ("known.pt2", "own.pt2", "x.pt")]
    for layer, path in zip((known, own), paths, strict=False):
        torch.export.save(torch.export.export(layer, (x,)), path)
    torch.save((x, known(x)[0].detach()), paths[2])
    done = subprocess.run([sys.executable, "-c", FRESH, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "make a layer of the same cell first, celda.Recurrent(leaky_rnn, ...)" in done.stdout
