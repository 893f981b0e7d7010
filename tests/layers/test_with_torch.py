"""Layers among torch's other features: transforms, autocast, modes, devices, tensors of other kinds."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import celda
from celda.engines.cpu import kernels
from celda.errors import CeldaError
from tests.tolerances import TOLERANCES

CLOSE = TOLERANCES["cpu", torch.float32]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return celda.LSTM(4, 6)


@pytest.fixture
def x():
    return torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1))


def close(found, wanted):
    torch.testing.assert_close(found, wanted, **CLOSE)


def watching(layer, engines):
    """The engine that each call takes, by the layer's own plan, put down when it is called."""
    layer.register_forward_pre_hook(lambda layer, args: engines.append(layer.plan(*args[:1]).engine))


def test_gradients_by_torch_func_are_those_of_backward(layer, x):
    engines = []
    watching(layer, engines)

    def loss(weights):
        return functional_call(layer, weights, (x,))[0].square().sum()

    weights = dict(layer.named_parameters())
    loss(weights).backward()
    close(torch.func.grad(loss)(weights), {name: p.grad for name, p in weights.items()})
    one = {"weight_hh_l0": weights["weight_hh_l0"].detach()}
    close(torch.func.grad(loss)(one), {"weight_hh_l0": weights["weight_hh_l0"].grad})
    assert engines == ["cpu", "reference", "reference"]


def test_vmap_is_a_loop(layer, x):
    xs, lengths = torch.stack([x, -x]), torch.tensor([[5, 0, 2], [1, 4, 3]])
    wanted = torch.stack([layer(a, lengths=n)[0] for a, n in zip(xs, lengths, strict=True)])
    close(torch.vmap(lambda a, n: layer(a, lengths=n)[0])(xs, lengths), wanted)


def test_gradients_of_each_sequence(layer, x):
    weights = {name: p.detach() for name, p in layer.named_parameters()}

    def loss(weights, sequence):
        return functional_call(layer, weights, (sequence,))[0].square().sum()

    each = torch.vmap(torch.func.grad(loss), (None, 1))(weights, x)
    alone = [torch.func.grad(loss)(weights, x[:, b]) for b in range(3)]
    close(each, {name: torch.stack([gradient[name] for gradient in alone]) for name in weights})


def test_derivatives_in_forward_mode(layer, x):
    layer, x = layer.double(), x.double()
    direction, step = torch.cos(x), 1e-6
    wanted = (layer(x + step * direction)[0] - layer(x - step * direction)[0]) / (2 * step)
    y, tangent = torch.func.jvp(lambda x: layer(x)[0], (x,), (direction,))
    torch.testing.assert_close(y, layer(x)[0])
    torch.testing.assert_close(tangent, wanted, rtol=1e-6, atol=1e-8)
    with forward_ad.dual_level():
        assert layer.plan(x).engine == "reference"
        dual = layer(forward_ad.make_dual(x, direction))[0]
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, tangent)


def test_second_derivatives(layer):
    layer = celda.GRU(2, 3, dtype=torch.float64)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert layer.plan(x).engine == "cpu"
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x)


@pytest.mark.parametrize("saved", [False, True], ids=["direct", "operator"])
def test_many_gradients_of_one_output(layer, x, saved):
    x.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(*([lambda t: t] * 2)) if saved else torch.enable_grad():
        y = layer(x)[0]
    many = torch.stack([torch.ones_like(y), y.detach()])
    wanted = torch.stack([torch.autograd.grad(y, x, d, retain_graph=True)[0] for d in many])
    close(torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)[0], wanted)
    close(torch.vmap(lambda d: torch.autograd.grad(y, x, d, retain_graph=True)[0])(many), wanted)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_gives_the_same_gradients(layer, x, reentrant):
    wanted = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
    x.requires_grad_()
    checkpoint(lambda x: layer(x)[0], x, use_reentrant=reentrant).square().sum().backward()
    close([p.grad for p in layer.parameters()], list(wanted))


def test_a_checkpoint_holds_nothing_in_between(layer, x):
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.nbytes), lambda _: None):
        layer(torch.randn(100, 30, 4))
    assert sum(held) > 100 * 30 * 6 * 4 * 4  # whoever looks is shown the gates of every step


def test_dispatch_modes_see_the_operator(layer, x):
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **kwargs or {})

    wanted = layer(x)[0]
    with Watch():
        y = layer(x)[0]
        y.sum().backward()
    close(y, wanted)
    assert "celda.sequence.default" in seen
    assert "celda.sequence_backward.default" in seen
    with FlopCounterMode(display=False):
        close(layer(x)[0], wanted)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_autocast_takes_and_gives_what_torch_does(kind, given, x):
    layer, peer = getattr(celda, kind)(4, 6, num_layers=2), getattr(nn, kind)(4, 6, num_layers=2)
    peer.load_state_dict(layer.state_dict())
    x = x.to(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.plan(x).engine == "cpu"
        y, state = layer(x)
        theirs, _ = peer(x)
        y.float().sum().backward()  # in float32 here, too
    states = state if isinstance(state, tuple) else (state,)
    assert {y.dtype, *(s.dtype for s in states)} == {torch.bfloat16}
    torch.testing.assert_close(y.float(), theirs.float(), rtol=2e-2, atol=2e-2)
    exact, off = layer(x.float())[0], 3e-2 if kernels.multiplies_bfloat16(layer.cell) else 0.0
    torch.testing.assert_close(y.float(), exact.bfloat16().float(), rtol=off, atol=off)
    alone = torch.autograd.grad(exact.sum(), list(layer.parameters()))
    torch.testing.assert_close([p.grad for p in layer.parameters()], list(alone), rtol=off, atol=off)


def test_autocast_takes_states_of_either_dtype_and_leaves_float64_alone(layer, x):
    state = (torch.ones(1, 3, 6), torch.ones(1, 3, 6, dtype=torch.bfloat16))
    exact = celda.LSTM(4, 6, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = layer(x, state)
        assert exact(x.double())[0].dtype == torch.float64
        with pytest.raises(CeldaError, match="float64"):
            layer(x.double())
        with pytest.raises(CeldaError, match="float64"):
            exact(x)
    off = 1e-2 if kernels.multiplies_bfloat16(layer.cell) else 0.0
    wanted = layer(x, tuple(s.float() for s in state))[0].bfloat16()
    torch.testing.assert_close(y.float(), wanted.float(), rtol=off, atol=off)


def test_a_run_is_the_same_to_the_last_bit(x):
    layer = celda.LSTM(4, 33, num_layers=2, bidirectional=True)
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            y, _ = layer(x, lengths=torch.tensor([5, 0, 2]))
            runs.append([y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))])
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(*runs, rtol=0, atol=0)


def test_a_default_device_is_for_the_callers_tensors(layer, x):
    options = {"lengths": torch.tensor([5, 0, 2]), "resets": torch.zeros(5, 3, dtype=torch.bool)}
    wanted = layer(x, **options)[0]
    with torch.device("meta"):
        y, _ = layer(x, **options)
        y.sum().backward()
    close(y, wanted)


def test_copies_compute_the_same(layer, x):
    other = celda.LSTM(4, 6)
    other.load_state_dict(layer.state_dict())
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        close(copied(x), layer(x))


@pytest.mark.parametrize("make", [parametrizations.weight_norm, parametrizations.orthogonal])
def test_weights_may_be_computed_from_others(layer, x, make):
    make(layer, "weight_hh_l0")
    make(layer, "weight_ih_l0")
    plain = celda.LSTM(4, 6)
    plain.load_state_dict({name: getattr(layer, name) for name in plain.state_dict()})
    assert layer.plan(x).engine == "cpu"
    y, _ = layer(x)
    close(y, plain(x)[0])
    y.sum().backward()
    assert all(p.grad is not None for p in layer.parametrizations.parameters())
    close(copy.deepcopy(layer)(x)[0], y)


def test_modes_without_gradients(layer, x):
    wanted = layer(x)[0].detach()
    with torch.no_grad():
        y, _ = layer(x)
    with torch.inference_mode():
        z, _ = layer(x)
    assert not y.requires_grad
    assert z.is_inference()
    close(y, wanted)
    close(z, wanted)


def test_tensors_of_another_kind_go_to_the_reference(layer, x):
    class Kind(torch.Tensor):
        pass

    own = x.as_subclass(Kind)
    plan = layer.plan(own)
    assert plan.engine == "reference"
    assert "Kind" in plan.reason
    y, _ = layer(own)
    assert type(y) is Kind
    close(y.as_subclass(torch.Tensor), layer(x)[0])
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().as_subclass(Kind))
    assert layer.plan(x).engine == "reference"


def test_weights_of_another_dtype_never_reach_the_kernels(layer, x):
    layer.weight_hh_l0 = nn.Parameter(layer.weight_hh_l0.detach().double())
    for act in (layer, layer.plan):
        with pytest.raises(celda.CeldaError, match=r"weight_hh_l0 is torch.float64 on cpu and other weights"):
            act(x)


def test_the_meta_device_gives_shapes(x):
    layer = celda.LSTM(4, 6, num_layers=2, bidirectional=True, device="meta")
    y, (h, c) = layer(x.to("meta"), lengths=torch.tensor([5, 0, 2]))
    assert layer.plan().engine == "reference"
    assert y.is_meta
    assert (y.shape, h.shape, c.shape) == ((5, 3, 12), (4, 3, 6), (4, 3, 6))
    layer.to_empty(device="cpu").reset_parameters()
    assert layer.plan().engine == "cpu"


def test_fake_tensors_run_nothing():
    with FakeTensorMode():
        layer = celda.LSTM(4, 6, num_layers=2, dropout=0.5)
        x = torch.zeros(5, 3, 4)
        y, _ = layer(x, lengths=torch.tensor([5, 0, 2]))
        y.sum().backward()
    assert layer.weight_hh_l0.grad.shape == (24, 6)
    assert "celda::sequence" in str(layer.plan(x))
    assert layer(x)[0].shape == (5, 3, 6)  # outside the mode, too


def test_jit_trace_takes_torch_operations(layer, x):
    engines = []
    watching(layer, engines)
    with pytest.warns(torch.jit.TracerWarning):
        traced = torch.jit.trace(layer, (x,), check_trace=False)
    close(traced(2 * x), layer(2 * x))
    assert engines[0] == "reference"


def test_tensors_with_the_negative_bit_are_read_as_they_are():
    torch.manual_seed(0)
    layer = celda.LSTM(3, 5).double()
    plain, start = torch.randn(4, 2, 3).double(), torch.randn(1, 2, 5).double()
    minus = lambda t: torch.complex(t, -t).conj().imag  # noqa: E731  (t, as a view that says: the negative of this)
    assert minus(plain).is_neg()
    found, wanted = [], []
    for how, into in ((minus, found), (lambda t: t, wanted)):
        x = plain.clone().requires_grad_()
        y, (h, c) = layer(how(x), (how(start), how(start)))
        into += [y, h, c, *torch.autograd.grad([y, c], [x, layer.weight_hh_l0], [how(y.detach()), how(c.detach())])]
        stepper = layer.stepper(2)
        stepper.state = (how(start), how(start))
        into += [stepper(how(plain[0])), *stepper.state]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
