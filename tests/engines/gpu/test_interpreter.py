"""The GPU engine in Triton's interpreter, on the CPU: it is the reference, in both ways to run it."""

from dataclasses import replace

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.engines import Plan, choose
from celda.errors import CeldaError
from celda.language import heads, layer_norm, recurrent_dropout, zoneout
from tests.contract.cases import Case, exact, make, same, tensors, values
from tests.contract.covering import covering
from tests.contract.odd import ODD
from tests.poison import poisoned

if torch.cuda.is_available():
    pytest.skip("there is a GPU: what was imported for the interpreter would not run on it", allow_module_level=True)
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")  # Triton's own functions are interpreted too, if they are made so
    pytest.importorskip("triton.language")

from celda.engines.gpu import kernels

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # where there is no unit
SHIPPED = ("lstm", "peephole_lstm", "gru", "gru_2014", "mut1", "slstm", "clockwork_rnn", "depth_gated_lstm")
OPTED = {
    "layer_norm": layer_norm(CELLS["lstm"]),
    "masks": recurrent_dropout(zoneout(CELLS["gru"], 0.3), 0.4),
    "heads": heads(CELLS["slstm"], 3),
}
ALL = {name: CELLS[name] for name in SHIPPED} | OPTED | ODD
OPTIONS = {
    "whole": (True, False),  # all steps in one kernel, or step by step
    "hidden": (1, 7, 17),
    "batch": (1, 7, 20),
    "lengths": (False, True),
    "resets": (False, True),
    "reverse": (False, True),
    "given": (False, True),
    "bias": (True, False),
    "constant": (False, True),
    "loss": ("both", "states", "y"),
}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """Triton interprets, and memory is poisoned."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with poisoned():
        yield


def check(cell, case, whole, monkeypatch, slack=1.0):
    monkeypatch.setattr(kernels, "whole", lambda *_: whole)
    call = make(cell, case)
    before = {name: tensor.detach().clone() for name, tensor in tensors(call).items()}
    same(values(call, "gpu", case.loss), values(exact(call), "reference", case.loss), "gpu", slack)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(call).items())


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_every_cell_is_the_reference(name, whole, monkeypatch):
    case = Case(dtype=torch.float32, steps=3, batch=7, lengths=True, resets=True, reverse=not whole, constant=False)
    check(ALL[name], case, whole, monkeypatch)


@pytest.mark.parametrize("options", covering(OPTIONS, seed=3), ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("name", ["lstm", "gru_2014"])
def test_every_option_is_the_reference(name, options, monkeypatch):
    options = dict(options)
    whole = options.pop("whole")
    check(ALL[name], Case(dtype=torch.float32, steps=4, **options), whole, monkeypatch)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("name", ["lstm", "gru_2014", "slstm"])
def test_float16_has_states_in_float32(name, whole, monkeypatch):
    case = Case(dtype=torch.float16, hidden=17, batch=7, steps=4, lengths=True)
    check(ALL[name], case, whole, monkeypatch)


@pytest.mark.parametrize("whole", [True, False])
def test_a_batch_of_more_than_one_program(whole, monkeypatch):
    monkeypatch.setattr(kernels, "STEP", 16)
    check(ALL["peephole_lstm"], Case(dtype=torch.float32, batch=20, steps=2, lengths=True), whole, monkeypatch)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_past_the_end_of_a_sequence_nothing_is_read(bad, monkeypatch):
    for whole in (True, False):
        monkeypatch.setattr(kernels, "whole", lambda *_, w=whole: w)
        call = make(ALL["depth_gated_lstm"], Case(dtype=torch.float32, batch=7, steps=4, lengths=True))
        clean = values(call, "gpu")
        for k, length in enumerate(call.lengths.tolist()):
            for value in call.inputs.values():
                value.data[length:, k] = bad
        found = values(call, "gpu")
        assert all(torch.equal(found[name], clean[name]) for name in clean)


def test_a_reset_stops_what_is_no_number():
    call = make(ALL["lstm"], Case(dtype=torch.float32, batch=7, steps=6))
    resets = torch.zeros(6, 7, dtype=torch.bool)
    resets[4, 2] = True
    call = replace(call, resets=resets)
    clean = Plan("gpu", "").run(call)
    call.inputs["x"].data[3, 2] = torch.nan
    found = Plan("gpu", "").run(call)
    assert torch.equal(found.output[4:], clean.output[4:])
    assert found.output[3, 2].isnan().all()


@pytest.mark.parametrize("whole", [True, False])
def test_layers_run_on_it_and_are_traced(whole, monkeypatch):
    monkeypatch.setattr(kernels, "whole", lambda *_: whole)
    torch.manual_seed(0)
    layer = celda.LSTM(5, 7, 2, bidirectional=True, engine="gpu")
    reference = celda.LSTM(5, 7, 2, bidirectional=True, engine="reference")
    reference.load_state_dict(layer.state_dict())
    x, lengths = torch.randn(4, 3, 5), torch.tensor([2, 4, 0])
    found = []
    for each in (layer, reference):
        with celda.trace(each) as t:
            y, (h, c) = each(x, lengths=lengths)
        gradients = torch.autograd.grad(y.square().sum() + c.sum(), list(each.parameters()))
        found.append([y, h, c, *gradients, *(t[name] for name in ("i", "f", "g", "o", "c", "h"))])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_gradient_is_differentiated_through_the_reference():
    found = []
    for engine in ("gpu", "reference"):
        call = make(ALL["gru"], Case(dtype=torch.float32, steps=3))
        x = call.inputs["x"]
        (d,) = torch.autograd.grad(Plan(engine, "").run(call).output.square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(d.square().sum(), list(tensors(call).values())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_an_output_may_be_changed_in_place_and_a_graph_used_twice():
    layer, x = celda.GRU(5, 7, engine="gpu"), torch.randn(3, 2, 5)
    y = layer(x)[0]
    loss = y.square().sum()
    first = torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(layer.parameters()))
    assert all(map(torch.equal, first, second))
    layer(x)[0].add_(1)
    y = layer(x)[0]
    changed = y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        changed.sum().backward()


def test_the_gradient_of_a_trace_of_a_state():
    found = []
    for engine in ("gpu", "reference"):
        call = replace(make(ALL["lstm"], Case(dtype=torch.float32, steps=3, lengths=True)), keep=("c", "h", "f"))
        result = Plan(engine, "").run(call)
        loss = result.kept["c"].square().sum() + result.kept["h"].sum()
        found.append(torch.autograd.grad(loss, list(tensors(call).values()), materialize_grads=True))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_is_asked_for_by_the_environment(monkeypatch):
    monkeypatch.setenv("CELDA_ENGINE", "gpu")
    plan = choose("auto", torch.zeros(2, 3, 4))
    assert plan.engine == "gpu"
    assert "CELDA_ENGINE=gpu was asked for, in Triton's interpreter" in plan.reason
    assert "has not run on a GPU yet" in plan.reason
    for dtype, why in ((torch.float64, "float64"), (torch.bfloat16, "interpreter multiplies bfloat16 wrongly")):
        with pytest.raises(CeldaError, match=why):
            choose("gpu", torch.zeros(2, 3, 4, dtype=dtype))
