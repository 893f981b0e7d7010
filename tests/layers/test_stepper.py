"""One step at a time: the same numbers as the layer for a whole sequence, whatever happens between two steps."""

import copy
import stat

import pytest
import torch
from torch.nn.utils import prune, remove_spectral_norm, spectral_norm

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from celda.language import cell, gate, linear, parameter, tanh, time
from tests.contract.odd import ODD

STEPS, BATCH, WIDTH, HIDDEN = 9, 3, 5, 17


@cell
def timed(x, h):
    """A cell that knows what time it is, and whose products are with an expression of its input."""
    return gate("g", tanh, linear(x * x, h) + 0.1 * time())


def same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def streamed(layer, x, between=lambda t: None, **inputs):
    """The outputs of a stepper for a sequence, with something done after each step, and its last states."""
    stepper, outputs = layer.stepper(x.shape[1]), []
    for t in range(x.shape[0]):
        outputs.append(stepper(x[t], **{name: value[t] for name, value in inputs.items()}))
        between(stepper)
    return torch.stack(outputs), stepper.state


def layer_of(name, **options):
    torch.manual_seed(0)
    wanted = {"timed": timed, **ODD}.get(name, name)
    sizes = {n: WIDTH + k for k, n in enumerate((CELLS | ODD | {"timed": timed})[name].inputs)}
    return celda.Recurrent(wanted, WIDTH if len(sizes) == 1 else sizes, HIDDEN, **options), sizes


def sequence(sizes, like=torch.float32):
    first, *further = ((n, torch.randn(STEPS, BATCH, width, dtype=like)) for n, width in sizes.items())
    return first[1], dict(further)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", [*CELLS, *ODD, "timed"])
def test_steps_are_the_sequence(name, layers, engine):
    layer, sizes = layer_of(name, num_layers=layers, engine=engine)
    x, further = sequence(sizes)
    wanted, states = layer(x, **further)
    found, last = streamed(layer, x, **further)
    same(found, wanted)
    for a, b in zip(last, states if isinstance(states, tuple) else (states,), strict=True):
        same(a, b)


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"recurrent_dropout": 0.3}])
def test_steps_are_those_of_evaluation(options):
    layer, _ = layer_of("lstm", engine="cpu", **options)
    x = torch.randn(STEPS, BATCH, WIDTH)
    found, _ = streamed(layer, x)
    same(found, layer.eval()(x)[0])


@pytest.mark.parametrize("count", [1, 2])
def test_many_units_are_shared_by_threads(count, torch_threads):
    torch_threads(count)
    layer = celda.LSTM(33, 300)
    x = torch.randn(STEPS, 1, 33)
    same(streamed(layer, x)[0], layer(x)[0])


def test_what_is_not_contiguous_is_read_right():
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(WIDTH, BATCH, STEPS).permute(2, 1, 0)
    same(streamed(layer, x)[0], layer(x)[0])


def test_outputs_and_states_belong_to_the_caller():
    layer, _ = layer_of("lstm", engine="cpu")
    stepper, x = layer.stepper(BATCH), torch.randn(STEPS, BATCH, WIDTH)
    first, state = stepper(x[0]), stepper.state
    kept = first.clone(), [s.clone() for s in state]
    stepper(x[1])
    assert torch.equal(first, kept[0])
    assert all(map(torch.equal, state, kept[1]))
    first.fill_(7)
    state[0].fill_(7)
    same(stepper(x[2]), layer(x[:3])[0][2])


def halve(layer):
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(0.5)


def replace(layer):
    name, old = next(iter(layer.named_parameters()))
    setattr(layer, name, torch.nn.Parameter(old.detach() * 2))


def load(layer):
    layer.load_state_dict({name: value + 0.1 for name, value in layer.state_dict().items()})


def widen(layer):
    layer.double()
    halve(layer)
    layer.float()


class Doubled(torch.nn.Module):
    def forward(self, value):
        return 2 * value


def compute(layer):
    """The last array is no longer among the layer's parameters; those before it are as they were."""
    *_, (name, _) = layer.named_parameters()
    torch.nn.utils.parametrize.register_parametrization(layer, name, Doubled())


def optimise(layer):
    """torch counts no change that such a step makes."""
    for p in layer.parameters():
        p.grad = torch.ones_like(p)
    torch.optim.SGD(layer.parameters(), lr=0.1, fused=True).step()


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("change", [halve, replace, load, widen, compute, optimise])
def test_weights_that_change_between_steps_are_used(change, engine):
    layer, _ = layer_of("lstm", engine=engine)
    x = torch.randn(STEPS, BATCH, WIDTH)
    stepper = layer.stepper(BATCH)
    _, state = layer(x[:3])
    for t in range(3):
        stepper(x[t])
    change(layer)
    wanted = layer(x[3:], state)[0]
    same(torch.stack([stepper(x[t]) for t in range(3, STEPS)]), wanted)


HOOKS = {
    "prune.remove": (lambda layer: prune.random_unstructured(layer, "weight_hh_l0", 0.5), prune.remove),
    "remove_spectral_norm": (lambda layer: spectral_norm(layer, "weight_hh_l0"), remove_spectral_norm),
}


@torch.no_grad()
@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("remover", HOOKS)
def test_weights_that_a_hook_computes_are_refused(remover, engine):
    attach, remove = HOOKS[remover]
    layer, _ = layer_of("lstm", engine=engine)
    layer.eval()
    stepper, x = layer.stepper(BATCH), torch.randn(BATCH, WIDTH)
    stepper(x)
    attach(layer)
    for refused in (stepper.plan, stepper.reset, layer.stepper, lambda: stepper(x), lambda: stepper(x)):
        with pytest.raises(CeldaError, match=f"weight_hh_l0 is computed by a hook .*utils.{remover}\\("):
            refused()
    remove(layer, "weight_hh_l0")
    stepper.reset()
    same(stepper(x), layer(x.unsqueeze(0))[0][0])


@torch.no_grad()
@pytest.mark.parametrize("put", [setattr, torch.nn.Module.register_buffer], ids=["by hand", "as a buffer"])
def test_weights_that_are_no_parameters(put):
    layer, _ = layer_of("lstm", engine="cpu")
    array = layer.weight_hh_l0.detach() / 2
    del layer.weight_hh_l0
    put(layer, "weight_hh_l0", array)
    stepper, x = layer.stepper(BATCH), torch.randn(3, BATCH, WIDTH)
    same(torch.stack([stepper(v) for v in x[:2]]), layer(x[:2])[0])
    layer.weight_hh_l0 *= 2
    stepper.reset()
    same(torch.stack([stepper(v) for v in x]), layer(x)[0])


@torch.no_grad()
def test_memory_of_weights_that_were_replaced_is_not_taken_for_theirs():
    """What is freed in between may come again at the same address."""
    layer = celda.LSTM(64, 64, engine="cpu")
    stepper, x = layer.stepper(), torch.randn(1, 64)
    for _ in range(30):
        stepper.reset()
        stepper(x)
        stepper.state = [torch.zeros(1, 1, 64)] * 2
        for _ in range(2):
            layer.weight_hh_l0.data = torch.randn(256, 64)
            layer.weight_ih_l0.data = torch.randn(256, 64)
        same(stepper(x), layer(x.unsqueeze(0))[0][0])


@torch.no_grad()
def test_a_step_that_fails_has_not_happened():
    layer, _ = layer_of("lstm", engine="cpu")
    stepper, x = layer.stepper(BATCH), torch.randn(STEPS, BATCH, WIDTH)
    for t in range(3):
        stepper(x[t])
    before = stepper.state
    with pytest.raises(RuntimeError):
        stepper(x[3].to_sparse())
    assert stepper.steps == 3
    assert repr(stepper).endswith(f"batch_size={BATCH}, steps=3)")
    assert all(map(torch.equal, stepper.state, before))
    same(stepper(x[3]), layer(x[:4])[0][3])


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_a_cell_that_multiplies_nothing_of_its_input(layers):
    def blind(x, h):
        return gate("g", tanh, linear(h) + parameter("a"))

    with pytest.warns(UserWarning, match="has no effect on any state"):
        layer = celda.Recurrent(cell(blind), WIDTH, 17, num_layers=layers, engine="cpu")
    stepper, x = layer.stepper(BATCH), torch.randn(STEPS, BATCH, WIDTH)
    same(torch.stack([stepper(v) for v in x]), layer(x)[0])


def test_a_layer_that_goes_on_in_float64():
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(STEPS, BATCH, WIDTH)
    stepper = layer.stepper(BATCH)
    state = layer(x[:2])[1]
    for t in range(2):
        stepper(x[t])
    layer.double()
    x = x.double()
    wanted = layer(x[2:], tuple(s.double() for s in state))[0]
    same(torch.stack([stepper(x[t]) for t in range(2, STEPS)]), wanted)


@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("steps", [0, 2])
def test_states_are_copied_both_ways(steps, engine):
    layer, _ = layer_of("lstm", engine=engine)
    stepper, x = layer.stepper(BATCH), torch.randn(STEPS, BATCH, WIDTH)
    for t in range(steps):
        stepper(x[t])
    given = tuple(torch.randn(1, BATCH, HIDDEN) for _ in "hc")
    wanted = layer(x[:1], given)[0][0]
    stepper.state[0].fill_(7)
    assert not (stepper.state[0] == 7).any()
    stepper.state = given
    for state in (*given, *stepper.state):
        state.fill_(7)
    same(stepper(x[0]), wanted)


def test_a_compiler_is_told_that_a_stepper_is_not_for_it():
    layer, _ = layer_of("lstm", engine="cpu")
    x, stepper = torch.randn(2, BATCH, WIDTH), layer.stepper(BATCH)
    wanted = layer(x)[0]
    with pytest.raises(torch._dynamo.exc.Unsupported, match="A stepper cannot be compiled or exported"):
        torch.compile(lambda v: stepper(v), fullgraph=True, backend="eager")(x[0])
    same(torch.compile(lambda v: 2 * stepper(v), backend="eager")(x[0]), 2 * wanted[0])  # in two graphs, around it
    same(stepper(x[1]), wanted[1])


@pytest.mark.parametrize("steps", [1, 2])
def test_a_state_that_is_set_is_gone_on_from(steps):
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(STEPS, BATCH, WIDTH)
    one, other = layer.stepper(BATCH), layer.stepper(BATCH)
    for t in range(steps):
        one(x[t])
    other.state = one.state
    for t in range(steps, STEPS):
        assert torch.equal(one(x[t]), other(x[t]))
    one.reset()
    assert one.steps == 0
    same(one(x[0]), layer(x[:1])[0][0])


def test_a_copy_goes_its_own_way():
    layer, _ = layer_of("timed", engine="cpu")
    x = torch.randn(STEPS, BATCH, WIDTH)
    stepper = layer.stepper(BATCH)
    stepper(x[0])
    again = copy.deepcopy(stepper)
    stepper(x[5])
    same(again(x[1]), layer(x[:2])[0][1])


def test_gates_are_traced_between_steps():
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(STEPS, BATCH, WIDTH)
    stepper, wanted = layer.stepper(BATCH), layer(x)[0]
    same(stepper(x[0]), wanted[0])
    with celda.trace(layer) as trace:
        same(stepper(x[1]), wanted[1])
    assert trace["f"].shape == (1, 1, BATCH, HIDDEN)
    same(stepper(x[2]), wanted[2])


def test_steps_in_inference_mode_and_under_autocast():
    layer, _ = layer_of("lstm", engine="cpu")
    x, stepper = torch.randn(STEPS, BATCH, WIDTH), layer.stepper(BATCH)
    wanted = layer(x)[0]
    with torch.inference_mode():
        same(stepper(x[0]), wanted[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert stepper(x[1]).dtype is layer(x)[0].dtype
    torch.testing.assert_close(stepper(x[2]), wanted[2], rtol=0.05, atol=0.05)  # the step before was rounded
    assert not stepper(x[3].requires_grad_()).requires_grad


def test_the_plan_says_how_a_step_is_run():
    layer, _ = layer_of("lstm", engine="cpu")
    assert "called directly" in layer.stepper().plan().reason
    with celda.trace(layer):
        assert "the gates are traced" in layer.stepper().plan().reason
    assert layer_of("lstm", engine="reference")[0].stepper().plan().engine == "reference"


def test_a_state_on_disk_can_be_read_by_others(tmp_path):
    layer, _ = layer_of("lstm")
    stepper = layer.stepper(BATCH)
    stepper.save(tmp_path / "state")
    (tmp_path / "other").write_text("")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
    with pytest.raises(celda.CeldaError, match="Cannot write"):
        stepper.save(tmp_path / "nowhere" / "state")


def test_an_input_of_the_old_dtype_is_refused():
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(BATCH, WIDTH)
    stepper = layer.stepper(BATCH)
    stepper(x)
    layer.double()
    with pytest.raises(celda.CeldaError, match=r"torch.float32 and the weights are torch.float64"):
        stepper(x)
    assert stepper(x.double()).shape == (BATCH, HIDDEN)
    assert stepper._stream is not None


def test_a_stepper_made_where_it_cannot_call_directly():
    layer, _ = layer_of("lstm", engine="cpu")
    x = torch.randn(2, BATCH, WIDTH)
    wanted = layer(x)[0]
    with celda.trace(layer):
        stepper = layer.stepper(BATCH)
        same(stepper(x[0]), wanted[0])
    same(stepper(x[1]), wanted[1])
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    stepper = layer.stepper(BATCH)
    same(stepper(x[0]), layer(x[:1])[0][0])


def test_a_weight_that_is_too_small_is_met():
    layer, _ = layer_of("lstm", engine="cpu")
    layer.weight_hh_l0 = torch.nn.Parameter(torch.randn(4, HIDDEN))
    with pytest.raises(celda.CeldaError, match="weight_hh has the shape"):
        layer(torch.randn(2, BATCH, WIDTH))
