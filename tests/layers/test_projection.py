"""Layers whose output is projected to fewer units: torch.nn.LSTM's proj_size, and the same for other cells."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import celda
from celda.cells import CELLS
from celda.language import layer_norm, projection, recurrent_dropout, zoneout
from tests.layers.test_compile import compiled, operators
from tests.layers.test_dropin import assert_same
from tests.tolerances import TOLERANCES

T, B, I, H, P = 6, 3, 4, 7, 3  # noqa: E741
F64 = torch.float64
EXACT = TOLERANCES["reference", F64]
ENGINES = ("cpu", "reference")


def pair(*args, seed=0, engine="auto", **kwargs):
    torch.manual_seed(seed)
    ours = celda.LSTM(*args, engine=engine, dtype=F64, **kwargs)
    torch.manual_seed(seed)
    return ours, nn.LSTM(*args, dtype=F64, **kwargs)


def numbers(*size):
    return torch.randn(size or (T, B, I), generator=torch.Generator().manual_seed(1), dtype=F64)


@settings(max_examples=15)
@given(data=st.data())
def test_it_is_torch_s_for_drawn_arguments(data):
    """Values and all gradients from the same seed; padded, packed, unbatched, with states and without."""
    steps, batch = data.draw(st.integers(1, 5), "steps"), data.draw(st.integers(1, 5), "batch")
    inputs, hidden = data.draw(st.integers(1, 9), "inputs"), data.draw(st.integers(2, 40), "hidden")
    size = data.draw(st.integers(1, hidden - 1), "proj_size")
    layers, both = data.draw(st.integers(1, 3), "layers"), data.draw(st.booleans(), "bidirectional")
    options = {name: data.draw(st.booleans(), name) for name in ("bias", "batch_first")}
    engine = data.draw(st.sampled_from(ENGINES), "engine")
    ours, theirs = pair(inputs, hidden, layers, bidirectional=both, proj_size=size, engine=engine, **options)
    form = data.draw(st.sampled_from(["padded", "packed", "unbatched"]), "form")
    axes = (batch, steps) if options["batch_first"] else (steps, batch)
    x = torch.randn((steps, inputs) if form == "unbatched" else (*axes, inputs), dtype=F64, requires_grad=True)
    state, leaves = None, [x]
    if data.draw(st.booleans(), "initial state"):
        leading = (layers * (1 + both), *([] if form == "unbatched" else [batch]))
        state = tuple(torch.randn(*leading, n, dtype=F64, requires_grad=True) for n in (size, hidden))
        leaves += state
    if form == "packed":
        lengths = torch.tensor(data.draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch), "lengths"))
        packed = pack_padded_sequence(x, lengths, options["batch_first"], enforce_sorted=False)
        assert_same("LSTM", [ours, theirs], packed, state, leaves)
    else:
        assert_same("LSTM", [ours, theirs], x, state, leaves)


def test_seeds_shapes_and_state_dicts_are_torch_s():
    ours, theirs = pair(I, H, 2, bidirectional=True, proj_size=P, seed=3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert ours.proj_size == theirs.proj_size == P
    assert ours.output_size == 2 * P
    assert celda.LSTM(I, H, bidirectional=True).output_size == 2 * H


def test_float32_with_dropout_is_torch_s():
    torch.manual_seed(0)
    ours, theirs = (of(I, 33, 2, dropout=0.5, proj_size=17) for of in (celda.LSTM, nn.LSTM))
    theirs.load_state_dict(ours.state_dict())
    x, outputs = numbers().float(), []
    for layer in (ours, theirs):
        torch.manual_seed(0)
        outputs.append(layer(x)[0])
    torch.testing.assert_close(*outputs, **TOLERANCES["reference", torch.float32])


def by_hand(layer, x, state):
    """A network of tanh units and a layer-normed peephole LSTM, projected: two cells that torch does not have."""
    h, *rest = (s[0] for s in state)
    outputs = []
    for row in x:
        before = row @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T
        if layer.cell.states == ("h",):
            new = torch.tanh(before + layer.bias_ih_l0 + layer.bias_hh_l0)
        else:
            (c,) = rest
            i, f, g, o = (
                torch.nn.functional.layer_norm(part, (H,)) * getattr(layer, f"norm_weight_{gate}_l0")
                + getattr(layer, f"norm_bias_{gate}_l0")
                for gate, part in zip("ifgo", before.chunk(4, -1), strict=True)
            )
            i, f = i + layer.diagonal_i_l0 * c, f + layer.diagonal_f_l0 * c
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            o = torch.sigmoid(o + layer.diagonal_o_l0 * c)
            normal = torch.nn.functional.layer_norm(c, (H,)) * layer.norm_weight_c_l0 + layer.norm_bias_c_l0
            new, rest = o * torch.tanh(normal), [c]
        h = new @ layer.weight_hr_l0.T
        outputs.append(h)
    return torch.stack(outputs), h, *rest


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["rnn", "peephole_lstm"])
def test_other_cells_step_by_step(name, engine):
    cell = projection(CELLS[name], P)
    layer = celda.Recurrent(cell if name == "rnn" else layer_norm(cell), I, H, engine=engine, dtype=F64)
    x, state = numbers().requires_grad_(), [numbers(1, B, P), numbers(1, B, H)][: len(cell.states)]
    y, final = layer(x, state)
    found = y, *(s[0] for s in (final if isinstance(final, tuple) else (final,)))
    wanted = by_hand(layer, x, state)
    torch.testing.assert_close(found, wanted, **EXACT)
    leaves, losses = [x, *layer.parameters()], [sum(v.square().sum() for v in values) for values in (found, wanted)]
    gradients = (torch.autograd.grad(loss, leaves) for loss in losses)
    torch.testing.assert_close(*gradients, **EXACT)


@pytest.mark.parametrize("engine", ENGINES)
def test_with_every_other_option_and_lengths_resets_and_a_trace(engine):
    cell = zoneout(recurrent_dropout(layer_norm(projection(CELLS["lstm"], P)), 0.3), 0.2)
    layer = celda.Recurrent(cell, I, H, 2, bidirectional=True, engine=engine, dtype=F64)
    same = celda.Recurrent(
        "lstm", I, H, 2, bidirectional=True, proj_size=P, layer_norm=True, recurrent_dropout=0.3, zoneout=0.2, dtype=F64
    )
    same.load_state_dict(layer.state_dict())
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[2, 1] = True
    given = {"lengths": torch.tensor([T, 4, 0]), "resets": resets}
    found = []
    for each in (layer, same):
        torch.manual_seed(0)
        with celda.trace(each) as t:
            found.append((*each(numbers(), **given), t["h"], t["c"], t["o"]))
    torch.testing.assert_close(*found, **EXACT)
    y, (h, c), traced, memory, _ = found[0]
    assert (y.shape, h.shape, c.shape) == ((T, B, 2 * P), (4, B, P), (4, B, H))
    assert torch.equal(torch.cat([*traced[2:]], -1), y)
    assert memory.shape == (4, T, B, H)
    assert not y[4:, 1].any()
    assert not y[:, 2].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stepper_is_the_layer(engine, tmp_path):
    layer = celda.LSTM(I, H, 2, proj_size=P, engine=engine, dtype=F64)
    x, state = numbers(), (numbers(2, B, P), numbers(2, B, H))
    stepper = layer.stepper(B)
    assert [s.shape for s in stepper.state] == [(2, B, P), (2, B, H)]
    stepper.state = state
    outputs = [stepper(x[t]) for t in range(3)]
    stepper.save(tmp_path / "state")
    other = layer.stepper(B)
    other.restore(tmp_path / "state")
    outputs += [other(x[t]) for t in range(3, T)]
    y, final = layer(x, state)
    torch.testing.assert_close((torch.stack(outputs), other.state), (y, final), **EXACT)
    if engine == "cpu":
        assert "called directly" in stepper.plan().reason
    with pytest.raises(celda.CeldaError, match=r"state h has shape \(2, 3, 7\): it must be \(2, 3, 3\)"):
        stepper.state = (numbers(2, B, H), numbers(2, B, H))


def test_the_fused_engine_runs_it_and_a_compiler_sees_one_operator():
    layer = celda.LSTM(I, H, 2, proj_size=P, dtype=F64)
    assert layer.plan().engine == "cpu"
    run, graphs = compiled(layer)
    torch._dynamo.reset()
    torch.testing.assert_close(run(numbers()), layer(numbers()), **EXACT)
    assert [operators(g.graph) for g in graphs] == [2]
    program = torch.export.export(layer, (numbers(),))
    torch.testing.assert_close(program.module()(numbers()), layer(numbers()), **EXACT)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_those_of_finite_differences(engine):
    layer = celda.LSTM(2, 4, proj_size=2, engine=engine, dtype=F64)
    x, state = numbers(3, 2, 2).requires_grad_(), (numbers(1, 2, 2).requires_grad_(), numbers(1, 2, 4).requires_grad_())
    run = lambda x, h, c, *_: layer(x, (h, c), lengths=torch.tensor([3, 2]))[0]  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, *state, *layer.parameters()))
    assert torch.autograd.gradgradcheck(run, (x, *state, *layer.parameters()), fast_mode=True)


def test_copies_pickles_connections_and_initial_weights():
    layer = celda.LSTM(I, H, 2, proj_size=P, connections="highway", dtype=F64)
    assert layer.highway_weight_l1.shape == (P, P)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(again(numbers())[0], layer(numbers())[0])
    identity = celda.LSTM(I, H, proj_size=P, init="identity", dtype=F64)
    assert torch.equal(identity.weight_hr_l0, torch.eye(P, H, dtype=F64))
    assert torch.equal(identity.weight_hh_l0, torch.eye(H, P, dtype=F64).repeat(4, 1))
    orthogonal = celda.LSTM(I, H, proj_size=P, init="glorot_orthogonal", dtype=F64).weight_hr_l0
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(P, dtype=F64))
    chrono = celda.LSTM(I, H, proj_size=P, init="chrono:100")
    assert (chrono.bias_ih_l0 + chrono.bias_hh_l0)[H : 2 * H].min() >= 0


@pytest.mark.parametrize("grad", [True, False])
def test_what_it_gives_may_be_changed_in_place(grad):
    with torch.set_grad_enabled(grad):
        y, state = celda.LSTM(I, H, proj_size=P, dtype=F64)(numbers())
        for tensor in (y, *state):
            tensor.add_(1).detach_()
