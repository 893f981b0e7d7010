"""Initial weights by name: what is drawn, for every cell."""

import math
import warnings

import pytest
import torch

import celda
from celda import CeldaError
from celda.cells import CELLS
from celda.language import cell, gate, layer_norm, linear, parameter, sigmoid, tanh
from celda.language.roles import memories, shift
from celda.layers import structure
from tests.contract.odd import ODD
from tests.contract.options import OPTIONS
from tests.layers.test_recurrent import own

EVERY = {name: one for name, one in (CELLS | ODD).items() if one.linear}  # a matrix is drawn always
GATED = [name for name, one in EVERY.items() if memories(one)]
F64 = torch.float64


def sizes(one, width=6):
    return {name: width + k for k, name in enumerate(one.inputs)} if one.inputs[1:] else width


def make(name, init, hidden=12, seed=0, **options):
    torch.manual_seed(seed)
    one = EVERY.get(name, name)
    return celda.Recurrent(one, sizes(one), hidden, init=init, **options)


def blocks(layer):
    """(weight of the cell, its blocks) of every array of a layer."""
    for names in layer._names:
        for weight in layer.cell.weights:
            if weight.name in names:
                yield weight, getattr(layer, names[weight.name]).detach().split(layer.hidden_size)


def bias_of(layer, node, place=0):
    """The bias that a gate has in all."""
    where, arrays = shift(layer.cell, node), layer._weights(place)
    parts = [h.factor * arrays[h.name].split(layer.hidden_size)[h.block] for h in where.homes if h.name in arrays]
    return where.constant + sum(parts).detach()


def gates(layer):
    """The forget gate of a cell that has one, and its input gate."""
    (memory,) = memories(layer.cell)
    return memory.forget.node, *(g.node for g in memory.inputs)


@pytest.mark.parametrize("init", ["torch", "glorot_orthogonal", "identity", "chrono:50"])
@pytest.mark.parametrize("name", EVERY)
def test_every_cell_starts_stacked_in_both_directions_and_from_the_seed(name, init):
    options = {"num_layers": 2, "bidirectional": not EVERY[name].below}
    if init.startswith("chrono") and name not in GATED:
        with pytest.raises(CeldaError, match="has none"):
            make(name, init, **options)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # cells that say their biases themselves
        layer, again, other = (make(name, init, seed=seed, **options) for seed in (3, 3, 4))
    assert all(p.isfinite().all() for p in layer.parameters())
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(p, q) for p, q in zip(layer.parameters(), other.parameters(), strict=True))
    for weight, parts in blocks(layer):
        for value, part in zip(weight.initial, parts, strict=True):
            assert value is None or torch.equal(part, torch.full_like(part, value))
    one, two = (getattr(layer, next(iter(names.values()))) for names in layer._names[2:] or layer._names)
    assert not torch.equal(one, two)  # each direction draws its own


@pytest.mark.parametrize("name", EVERY)
def test_glorot_orthogonal(name):
    layer = make(name, "glorot_orthogonal", hidden=40, dtype=F64, num_layers=2)
    for weight, parts in blocks(layer):
        whole = torch.cat(parts)
        if weight.is_bias or any(value is not None for value in weight.initial):
            continue
        if weight.columns == "hidden":
            torch.testing.assert_close(whole.T @ whole, torch.eye(40, dtype=F64))
        else:
            limit = math.sqrt(6 / (whole.shape[0] + whole.shape[-1]))
            assert 0.8 * limit < whole.abs().max() <= limit
            assert abs(whole.mean()) < 4 * limit / math.sqrt(3 * whole.numel())
    for weight, parts in blocks(make(name, "glorot_orthogonal", bias=True)):
        if weight.is_bias and all(value is None for value in weight.initial) and name in ("gru", "gru_2014", "rnn"):
            assert not any(part.any() for part in parts)


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_keras_has_a_forget_bias_of_one_and_no_other(name):
    layer = make(name, "glorot_orthogonal", bidirectional=True)
    for end in ("", "_reverse"):
        total = getattr(layer, f"bias_ih_l0{end}") + getattr(layer, f"bias_hh_l0{end}")
        assert torch.equal(total.detach(), torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(12))


@pytest.mark.parametrize("name", EVERY)
def test_identity(name):
    layer = make(name, "identity", num_layers=2)
    for weight, parts in blocks(layer):
        for value, part in zip(weight.initial, parts, strict=True):
            if value is not None:
                continue
            if weight.is_bias:
                assert not part.any()
            elif weight.columns == "hidden":
                assert torch.equal(part, torch.eye(12))
            elif weight.name.startswith("diagonal_"):
                assert torch.equal(part, torch.ones(12))
            else:
                assert part.any()
                assert part.abs().max() < 6e-3


def test_the_input_of_an_irnn_has_a_standard_deviation_of_a_thousandth():
    layer = make("rnn_relu", "identity", hidden=500)
    assert layer.weight_ih_l0.std().item() == pytest.approx(1e-3, rel=0.1)
    x = torch.zeros(30, 1, 6)
    start = torch.rand(1, 1, 500)
    assert torch.equal(layer(x, start)[1], start)  # what is remembered stays as it is


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_head_has_an_orthogonal_matrix_of_its_own(count):
    layer = celda.Recurrent("lstm", 3, 40, heads=count, init="glorot_orthogonal", dtype=F64)
    whole = structure.whole(layer.cell, layer._weights(0), 40)["weight_hh"]
    torch.testing.assert_close(torch.linalg.svdvals(whole), torch.ones(40, dtype=F64))


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru", "gru_2014", "deaf"])
def test_chrono_draws_the_times_that_a_gate_remembers(name):
    layer = make(name, "chrono:100", hidden=2000, dtype=F64, num_layers=2, bidirectional=name != "deaf")
    biases = []
    for place in range(len(layer._names)):
        forget, *enter = gates(layer)
        b = bias_of(layer, forget, place)
        times = b.exp()
        assert times.min() >= 1
        assert times.max() <= 99
        assert times.mean().item() == pytest.approx(50, abs=4 * 98 / math.sqrt(12 * 2000))  # uniform
        assert times.std().item() == pytest.approx(98 / math.sqrt(12), rel=0.05)
        for one in enter:
            torch.testing.assert_close(bias_of(layer, one, place), -b)
        biases.append(b)
    assert len({tuple(b.tolist()) for b in biases}) == len(layer._names)


SAME_ARRAYS = [option for option in OPTIONS if not {"heads", "layer_norm", "projection"} & {*option.split(", ")}]


@pytest.mark.parametrize("option", SAME_ARRAYS)
@pytest.mark.parametrize("init", ["torch", "glorot_orthogonal", "identity", "chrono:50"])
def test_a_cell_with_an_option_starts_as_without(init, option):
    for name in ("lstm", "peephole_lstm", "gru"):
        layer, plain = make(OPTIONS[option](CELLS[name]), init), make(name, init)
        for (key, found), wanted in zip(layer.named_parameters(), plain.parameters(), strict=True):
            assert torch.equal(found, wanted), key


def test_chrono_leaves_all_else_as_torch_draws_it():
    layer, plain = make("lstm", "chrono:100"), make("lstm", "torch")
    assert torch.equal(layer.weight_ih_l0, plain.weight_ih_l0)
    assert torch.equal(layer.weight_hh_l0, plain.weight_hh_l0)
    for name in ("bias_ih_l0", "bias_hh_l0"):
        _, _, *mine = getattr(layer, name).chunk(4)
        _, _, *wanted = getattr(plain, name).chunk(4)
        assert all(torch.equal(a, b) for a, b in zip(mine, wanted, strict=True))


def test_chrono_finds_a_gate_that_forgets_by_opening_and_a_bias_in_any_form():
    @cell
    def leaky(x, h):
        z = gate("update", sigmoid, 1.0 - 2.0 * linear(x, h))
        return h + z * (gate("n", tanh, linear(x, h)) - h)

    layer = make(leaky, "chrono:9", dtype=F64)
    b = bias_of(layer, *gates(layer))
    assert (-b).exp().min() >= 1
    assert (-b).exp().max() <= 8

    @cell
    def with_a_parameter(x, h):
        f = gate("f", sigmoid, linear(x, h, bias=False) + parameter("start"))
        return f * h + (1 - f) * gate("n", tanh, linear(x, h))

    for bias in (True, False):  # a parameter of the cell's own is there without biases too
        start = make(with_a_parameter, "chrono:9", bias=bias).start_l0
        assert start.exp().min() >= 1 - 1e-6
        assert start.exp().max() <= 8 + 1e-5


def test_what_the_cell_says_itself_goes_before_chrono():
    with pytest.warns(UserWarning, match="leaves the forget gate alone"):
        layer = make(own, "chrono:100")
    i, f, _ = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().split(12)
    assert torch.equal(i, torch.full((12,), -1.0))
    assert torch.equal(f, torch.full((12,), 1.0))


@pytest.mark.parametrize("init", ["torch", "glorot_orthogonal", "identity"])
@pytest.mark.parametrize("name", CELLS)
def test_without_biases(name, init):
    layer = make(name, init, bias=False)
    assert all(p.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, F64])
@pytest.mark.parametrize("init", ["glorot_orthogonal", "identity", "chrono:50"])
def test_in_every_dtype(init, dtype):
    assert all(p.isfinite().all() and p.dtype == dtype for p in make("lstm", init, dtype=dtype).parameters())


@pytest.mark.parametrize("init", ["glorot_orthogonal", "identity", "chrono:50"])
def test_on_the_meta_device_nothing_is_drawn(init):
    assert all(p.is_meta for p in make("lstm", init, device="meta").parameters())


@pytest.mark.parametrize("init", ["glorot_orthogonal", "identity", "chrono:50"])
def test_drop_in_layers_take_it_and_draw_anew(init):
    torch.manual_seed(0)
    layer = celda.GRU(6, 12, init=init)
    before = layer.weight_ih_l0.detach().clone()
    layer.reset_parameters()
    assert not torch.equal(before, layer.weight_ih_l0)


MISTAKES = {
    "no time": ("lstm", "chrono", {}, "'chrono:784'"),
    "an empty time": ("lstm", "chrono:", {}, "'chrono:784'"),
    "a fraction": ("lstm", "chrono:3.5", {}, "'chrono:784'"),
    "one step": ("lstm", "chrono:1", {}, "at least 2"),
    "a pair": ("lstm", ("chrono", 784), {}, "'chrono:784'"),
    "unknown": ("lstm", "orthogonal", {}, "'glorot_orthogonal'"),
    "a time for another": ("lstm", "identity:4", {}, "'identity:4'"),
    "no gate": ("rnn", "chrono:9", {}, "cell rnn has none"),
    "no biases": ("lstm", "chrono:9", {"bias": False}, "leave out bias=False"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    one, init, options, told = MISTAKES[name]
    with pytest.raises(CeldaError) as caught:
        make(one, init, **options)
    assert told in str(caught.value)


def test_a_forget_gate_without_a_bias_is_answered():
    @cell
    def bare(x, h):
        f = gate("f", sigmoid, linear(x, h, bias=False))
        return f * h + gate("n", tanh, linear(x, h))

    with pytest.raises(CeldaError, match="gives that gate none"):
        make(bare, "chrono:9")


def test_the_biases_of_normalised_maps_start_at_what_is_asked_for_them():
    plain = make(layer_norm(CELLS["lstm"]), "torch")
    arrays = dict(plain.named_parameters())
    assert all((array == 0).all() for name, array in arrays.items() if name.startswith("norm_bias"))
    assert all((array == 1).all() for name, array in arrays.items() if name.startswith("norm_weight"))
    chrono = make(layer_norm(CELLS["lstm"]), "chrono:50")
    assert chrono.norm_bias_f_l0.exp().min() >= 1
    assert torch.equal(chrono.norm_bias_i_l0, -chrono.norm_bias_f_l0)
    assert (make(layer_norm(CELLS["lstm"]), "glorot_orthogonal").norm_bias_f_l0 == 1).all()
