"""Layers of bfloat16 and float16 on a CPU: computed in float32 by the fused kernels, rounded at the end.

Products of bfloat16, where the processor has them, are held to the reference by `tests.contract.test_bfloat16`.
"""

import copy
import math

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import celda
from celda.cells import lstm
from celda.engines.cpu import kernels
from celda.errors import CeldaError
from celda.language import weight_drop
from tests.layers.test_compile import compiled, operators
from tests.tolerances import TOLERANCES

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
OPTIONS = {
    "plain": {},
    "stack": {"num_layers": 3, "connections": "highway", "dropout": 0.3},
    "masks": {"num_layers": 2, "zoneout": 0.2, "layer_norm": True, "recurrent_dropout": 0.2},
    "narrow": {"proj_size": 3, "bidirectional": True, "num_layers": 2},
    "heads": {"heads": 5},
    "weights dropped": {"cell": weight_drop(lstm, 0.5)},
}


def make(dtype, engine="auto", cell="lstm", **options):
    torch.manual_seed(0)
    return celda.Recurrent(cell, 3, 5, engine=engine, **options).to(dtype)


def run(layer, x, **options):
    """What a layer gives, and all gradients, with a seed of its own."""
    torch.manual_seed(1)
    x = x.detach().requires_grad_()
    y, states = layer(x, **options)
    given = (y, *states)
    loss = sum((v.float() * torch.arange(1, v.shape[-1] + 1)).sum() for v in given)
    return [*given, *torch.autograd.grad(loss, [x, *layer.parameters()])]


@pytest.fixture
def without_products(monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda cell: False)


@HALVES
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("call", [{}, {"lengths": [7, 0, 4]}], ids=["full", "lengths"])
def test_it_is_the_float32_result_rounded(dtype, name, call, without_products):
    layer = make(dtype, **OPTIONS[name])
    x = torch.randn(7, 3, 3).to(dtype)
    ours, exact = run(layer, x, **call), run(copy.deepcopy(layer).float(), x.float(), **call)
    assert {value.dtype for value in ours} == {dtype}
    for mine, wanted in zip(ours, exact, strict=True):
        assert torch.equal(mine, wanted.to(dtype))


PRODUCTS = pytest.mark.skipif(not kernels.multiplies_bfloat16(lstm), reason="no products of bfloat16")


@PRODUCTS
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("call", [{}, {"lengths": [7, 0, 4]}], ids=["full", "lengths"])
def test_with_products_of_bfloat16_it_is_close_to_that(name, call):
    layer = make(torch.bfloat16, **OPTIONS[name])
    x = torch.randn(7, 3, 3).bfloat16()
    ours, exact = run(layer, x, **call), run(copy.deepcopy(layer).float(), x.float(), **call)
    for mine, wanted in zip(ours, exact, strict=True):
        scale = max(1.0, wanted.abs().max().item())
        close = TOLERANCES["cpu", torch.bfloat16]
        torch.testing.assert_close(mine.float(), wanted, rtol=close["rtol"], atol=close["atol"] * scale)


@PRODUCTS
def test_all_ways_of_a_call_multiply_alike():
    layer, x = make(torch.bfloat16, num_layers=2), torch.randn(7, 3, 3).bfloat16()
    trained = layer(x)
    with torch.no_grad():
        bound, ragged = layer(x), layer(x, lengths=[7, 7, 7])
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):  # by the operator
        seen = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        cast = copy.deepcopy(layer).float()(x.float())
    for other in (bound, ragged, seen, cast):
        for mine, wanted in zip((other[0], *other[1]), (trained[0], *trained[1]), strict=True):
            assert torch.equal(mine, wanted)
    exact = copy.deepcopy(layer).float()(x.float())[0].bfloat16()
    assert not torch.equal(trained[0], exact)


@HALVES
def test_the_reference_asked_for_by_name_computes_in_the_dtype_of_the_weights(dtype, monkeypatch):
    layer, x = make(dtype, engine="reference"), torch.randn(7, 3, 3).to(dtype)
    close = TOLERANCES["reference", torch.bfloat16]
    for mine, wanted in zip(run(layer, x), run(copy.deepcopy(layer).float(), x.float()), strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.float(), wanted, **close)
    assert "float32" not in str(layer.plan())
    monkeypatch.setenv("CELDA_ENGINE", "reference")
    assert make(dtype).plan().engine == "reference"


@HALVES
def test_the_plan_says_so(dtype, monkeypatch):
    monkeypatch.setattr(kernels, "multiplies_bfloat16", lambda cell: True)
    plan = make(dtype, num_layers=2, connections="highway").plan()
    assert plan.engine == "cpu"
    products = " with products of torch.bfloat16," if dtype is torch.bfloat16 else ""
    assert f"in torch.float32,{products} and rounded to {dtype} at the end" in plan.reason
    assert make(dtype, engine="cpu").plan(torch.zeros(2, 3, dtype=dtype)).engine == "cpu"
    assert "float32" not in str(make(torch.float32).plan())


@HALVES
def test_states_further_inputs_and_packed_batches(dtype, without_products):
    layer = celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5).to(dtype)
    x, h, image = torch.randn(7, 3, 3).to(dtype), torch.randn(1, 3, 5).to(dtype), torch.randn(3, 2).to(dtype)
    y, state = layer(x, h, image=image)
    exact, last = copy.deepcopy(layer).float()(x.float(), h.float(), image=image.float())
    assert torch.equal(y, exact.to(dtype))
    assert torch.equal(state, last.to(dtype))
    with pytest.raises(CeldaError, match="float32"):
        layer(x, h.float(), image=image)
    packed, gru = pack_padded_sequence(x, torch.tensor([7, 4, 2])), celda.GRU(3, 5).to(dtype)
    assert gru(packed)[0].data.dtype == dtype
    assert gru.plan(packed).engine == "cpu"


@HALVES
def test_without_gradients_traced_and_step_by_step(dtype, without_products):
    layer, x = make(dtype, num_layers=2), torch.randn(7, 3, 3).to(dtype)
    exact = copy.deepcopy(layer).float()(x.float())[0]
    with torch.no_grad(), celda.trace(layer) as t:
        assert torch.equal(layer(x)[0], exact.to(dtype))
    assert torch.equal(t["h"][1].to(dtype), exact.to(dtype))
    stepper = layer.stepper(3)
    steps = torch.stack([stepper(one) for one in x])
    assert steps.dtype == dtype
    assert {state.dtype for state in stepper.state} == {dtype}
    torch.testing.assert_close(steps, exact.to(dtype), rtol=2**-7, atol=1e-4)  # a last digit at most
    assert f"its weights are {dtype}" in stepper.plan().reason


def test_a_compiler_sees_the_operator():
    layer, x = make(torch.bfloat16), torch.randn(3, 2, 3).bfloat16()
    program, graphs = compiled(layer)
    torch.testing.assert_close(program(x), layer(x))
    assert [operators(g.graph) for g in graphs] == [1]


def test_derivatives_of_derivatives():
    layer = make(torch.bfloat16)
    x = torch.randn(4, 2, 3).bfloat16().requires_grad_()
    (once,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    (twice,) = torch.autograd.grad(once.float().square().sum(), x)
    assert twice.dtype == torch.bfloat16
    assert twice.isfinite().all()
    assert twice.any()


@HALVES
@pytest.mark.parametrize("cast", [False, True], ids=["weights", "autocast"])
def test_a_stepper_rounds_no_state(dtype, cast, tmp_path):
    """A memory that grows by less than its last digit at every step."""
    layer = make(dtype)
    with torch.no_grad():
        for name, p in layer.named_parameters():
            p.fill_(0.02 if name == "weight_ih_l0" else 0.0)
        layer.bias_ih_l0[5:10] = 20.0  # nothing is forgotten
    layer = layer.float() if cast else layer
    x = torch.full((600, 1, 3), 0.25, dtype=layer.bias_ih_l0.dtype)
    with torch.autocast("cpu", dtype, enabled=cast):
        whole, (_, c) = layer(x)
        stepper = layer.stepper()
        for one in x[:-1]:
            stepper(one)
        stepper.save(tmp_path / "state")
        again = copy.deepcopy(stepper)
        again.reset()
        again.restore(tmp_path / "state")
        assert torch.equal(again(x[-1]), stepper(x[-1]))
    assert c.min() > 2
    assert {state.dtype for state in stepper.state} == {layer.bias_ih_l0.dtype}
    torch.testing.assert_close(stepper.state[1].float(), c.float(), rtol=0.01, atol=0.0)
    torch.testing.assert_close(stepper(x[-1]).float(), whole[-1].float(), rtol=0.02, atol=0.0)


@HALVES
def test_a_step_can_be_walked(dtype):
    layer, x = make(dtype), torch.randn(8, 2, 3).to(dtype)
    recording = celda.insight.record(layer, lambda: layer(x))[0]
    walk = celda.insight.walk(recording, step=3, sequence=0, unit=4)
    values = {name: recording.traced[name][0, 3, 0, 4].item() for name in layer.cell.named}
    assert [line.value for line in walk.lines] == list(values.values())
    assert walk.lines[-1].value == pytest.approx(values["o"] * math.tanh(values["c"]), rel=1e-5)


@HALVES
def test_what_the_reference_takes_over(dtype):
    layer, x = make(dtype, num_layers=2, bidirectional=True), torch.randn(4, 2, 3).to(dtype)
    y = layer(x)[0]
    close = TOLERANCES["reference", torch.bfloat16]
    many = torch.func.vmap(lambda one: layer(one)[0])(torch.stack([x, x]))
    torch.testing.assert_close(many[1], y, **close)
    assert torch.func.grad(lambda x: layer(x)[0].float().sum())(x).dtype == dtype
    tangent = torch.func.jvp(lambda x: layer(x)[0], (x,), (x,))[1]
    assert (tangent.dtype, tangent.shape) == (dtype, y.shape)
    assert layer(x[:, :0])[0].shape == (4, 0, 10)
    assert copy.deepcopy(layer).to("meta")(x.to("meta"))[0].dtype == dtype


@HALVES
def test_weights_of_other_kinds_are_named(dtype):
    layer, x = make(dtype), torch.randn(4, 2, 3).to(dtype)
    layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.float())
    for call in (lambda: layer(x), layer.plan):
        with pytest.raises(CeldaError, match=f"weight_hh_l0 is torch.float32.* other weights of the layer are {dtype}"):
            call()
    layer.weight_hh_l0 = None
    with pytest.raises(CeldaError, match="weight_hh_l0 is None"):
        layer(x)
