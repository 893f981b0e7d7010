"""Layers of cells with options: what is drawn, by hand from the papers, and on every engine from one seed."""

import copy
import pickle

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import celda
from celda.cells import CELLS
from celda.language import (
    candidate_dropout,
    cell,
    clip_state,
    couple,
    gate,
    linear,
    mask,
    recurrent_dropout,
    tanh,
    weight_drop,
    where,
    zoneout,
)
from celda.layers.masks import bernoulli
from tests.layers.test_compile import compiled, operators

T, B, I, H = 6, 3, 4, 5  # noqa: E741
F64 = torch.float64
LSTM = CELLS["lstm"]
OPTIONS = {
    "zoneout": zoneout(LSTM, 0.3),
    "recurrent_dropout": recurrent_dropout(LSTM, 0.25),
    "candidate_dropout": candidate_dropout(LSTM, 0.4),
    "clip_state": clip_state(LSTM, 0.2),
    "couple": couple(LSTM),
    "weight_drop": weight_drop(LSTM, 0.5),
    "all": weight_drop(zoneout(candidate_dropout(recurrent_dropout(couple(LSTM), 0.2), 0.3), 0.1), 0.2),
}
DRAWING = [name for name in OPTIONS if name not in ("clip_state", "couple")]


def make(name, width=I, hidden=H, **options):
    torch.manual_seed(0)
    return celda.Recurrent(OPTIONS.get(name, name), width, hidden, **{"dtype": F64, **options})


def numbers(*size, dtype=F64):
    return torch.randn(size or (T, B, I), generator=torch.Generator().manual_seed(1), dtype=dtype)


def seeded(layer, *args, seed=7, **options):
    torch.manual_seed(seed)
    return layer(*args, **options)


def drawn(steps, probability):
    """A mask as a layer draws it, at the place of torch's generator."""
    return (
        bernoulli(celda.engines.Plan("reference", ""), (steps, B, H), probability, torch.device("cpu"))
        .double()
        .expand(T, B, H)
    )


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def by_hand(name: str, layer: celda.Recurrent, x: Tensor, training: bool) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM with an option, step by step; outputs, last h, last c.

    The masks are drawn here, so torch's generator must stand where it stood for the layer.
    """
    w_x, w_h = layer.weight_ih_l0, layer.weight_hh_l0
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    one = torch.ones(T, B, H, dtype=F64)
    heard, written, kept_h, kept_c = one, one, 0 * one, 0 * one
    if name == "zoneout":  # Krueger et al. 2016: d_h * h' + (1 - d_h) * h; the mean in evaluation
        kept_h, kept_c = (drawn(T, 0.3) if training else 0.3 * one for _ in range(2))
    if training and name == "recurrent_dropout":  # Gal & Ghahramani 2016: one mask a sequence, on h
        heard = drawn(1, 0.75) / 0.75
    if training and name == "candidate_dropout":  # Semeniuta et al. 2016: f * c' + i * d(g)
        written = drawn(T, 0.6) / 0.6
    if training and name == "weight_drop":  # Merity et al. 2018: of the recurrent weights, once a pass
        w_h = w_h * torch.empty_like(w_h).bernoulli_(0.5) / 0.5
    h = c = torch.zeros(B, H, dtype=F64)
    outputs = []
    for t in range(T):
        parts = x[t] @ w_x.T + (h * heard[t]) @ w_h.T + bias
        if name == "couple":  # Greff et al. 2015, with the forget gate kept
            f, g, o = parts.chunk(3, -1)
            i = 1 - torch.sigmoid(f)
        else:
            i, f, g, o = parts.chunk(4, -1)
            i = torch.sigmoid(i)
        new_c = torch.sigmoid(f) * c + i * torch.tanh(g) * written[t]
        if name == "clip_state":  # Sak et al. 2014
            new_c = new_c.clamp(-0.2, 0.2)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        h = kept_h[t] * h + (1 - kept_h[t]) * new_h
        c = kept_c[t] * c + (1 - kept_c[t]) * new_c
        outputs.append(h)
    return torch.stack(outputs), h, c


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "all"])
def test_it_is_the_paper(name, training, engine):
    layer, x = make(name, engine=engine).train(training), numbers()
    with torch.no_grad():  # weights that make a difference
        for p in layer.parameters():
            p.mul_(3)
    y, (h, c) = seeded(layer, x)
    torch.manual_seed(7)
    wanted = by_hand(name, layer, x, training)
    close((y, h[0], c[0]), wanted)
    gradients = torch.autograd.grad(y.square().sum() + c.sum(), layer.parameters())
    close(gradients, torch.autograd.grad(wanted[0].square().sum() + wanted[2].sum(), layer.parameters()))


@pytest.mark.parametrize("name", OPTIONS)
def test_one_seed_gives_the_same_numbers_on_every_engine(name):
    fast, slow = (make(name, engine=engine, num_layers=2, bidirectional=True) for engine in ("cpu", "reference"))
    x, lengths = numbers(), torch.tensor([T, 2, 0])
    for run in (lambda m, s: seeded(m, x, seed=s), lambda m, s: seeded(m, x, seed=s, lengths=lengths)):
        close(run(fast, 3), run(slow, 3))
        assert torch.equal(run(fast, 3)[0], run(fast, 3)[0])
        if name in DRAWING:
            assert not torch.equal(run(fast, 3)[0], run(fast, 4)[0])
    fast.eval()
    assert torch.equal(seeded(fast, x, seed=3)[0], seeded(fast, x, seed=4)[0])


@pytest.mark.parametrize("name", OPTIONS)
def test_evaluation_draws_nothing(name):
    layer = make(name).eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    layer(numbers())
    assert torch.equal(torch.get_rng_state(), before)


@cell
def shown(x, h, a, b):
    """Its states are its masks."""
    g = gate("g", tanh, linear(x, h))
    return g, mask("step", 0.5) + 0 * a, mask("sequence", 0.5, every="sequence") + 0 * b


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_masks_are_drawn_once_a_step_or_once_a_sequence_anew_for_each_layer_and_direction(engine):
    layer = celda.Recurrent(shown, 4, 64, num_layers=2, bidirectional=True, engine=engine)
    x = numbers(T, B, 4, dtype=torch.float32)
    with celda.trace(layer) as t:
        layer(x)
        step, sequence = t["a"], t["b"]
        layer(x)
        assert not torch.equal(t["a"], step)
        assert not torch.equal(t["b"], sequence)
    for values in (step, sequence):
        assert set(values.unique().tolist()) == {0.0, 1.0}
        assert values.mean().item() == pytest.approx(0.5, abs=0.1)
        places = values.flatten(1)
        assert len({tuple(place.tolist()) for place in places}) == 4  # two layers, two directions
        assert len({tuple(row.tolist()) for row in values[0, 0]}) == B  # each sequence its own
    assert (sequence == sequence[:, :1]).all()  # the same at every step
    assert len({tuple(row.flatten().tolist()) for row in step[0]}) == T


@cell
def noisy(x, h, c):
    """A matrix multiplies a mask, and a mask chooses."""
    g = gate("g", tanh, linear(x, h * mask("heard", 0.9, every="sequence"), mask("pattern", 0.5)))
    c = where(mask("written", 0.25) > 0.5, g, c)
    return tanh(c), c


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_a_cell_of_ones_own_on_every_engine(training):
    fast, slow = (make(noisy, engine=engine).train(training) for engine in ("cpu", "reference"))
    (y, state), wanted = seeded(fast, numbers()), seeded(slow, numbers())
    close((y, state), wanted)
    gradients = (torch.autograd.grad(v.square().sum(), m.parameters()) for v, m in ((y, fast), (wanted[0], slow)))
    close(*gradients)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_the_order_of_options_does_not_decide_what_is_drawn(engine):
    one = recurrent_dropout(zoneout(LSTM, 0.3), 0.2)  # the same step: its kernels are one in the cache
    other = zoneout(recurrent_dropout(LSTM, 0.2), 0.3)
    assert list(one.masks) == list(other.masks)
    found, wanted = (seeded(make(each, engine=engine), numbers()) for each in (one, other))
    close(found, wanted)


def test_units_keep_their_value_with_the_probability_of_zoneout():
    layer, x = make("lstm", hidden=200, zoneout=0.3), numbers(40, 2, I)
    with celda.trace(layer) as t:
        layer(x)
    for state in ("h", "c"):
        values = t[state][0]
        kept = (values[1:] == values[:-1]).double().mean().item()
        assert kept == pytest.approx(0.3, abs=0.02)


def test_the_keywords_are_the_options():
    x = numbers()
    for keywords, own in (
        ({"zoneout": 0.3}, zoneout(LSTM, 0.3)),
        ({"recurrent_dropout": 0.25}, recurrent_dropout(LSTM, 0.25)),
        ({"zoneout": 0.3, "recurrent_dropout": 0.25}, zoneout(recurrent_dropout(LSTM, 0.25), 0.3)),
    ):
        layer, other = make("lstm", **keywords), make(own)
        assert layer.cell.fingerprint == other.cell.fingerprint
        assert torch.equal(seeded(layer, x)[0], seeded(other, x)[0])
        torch.manual_seed(0)
        assert torch.equal(seeded(celda.LSTM(I, H, dtype=F64, **keywords), x)[0], seeded(layer, x)[0])
    assert make("lstm", zoneout=0.0).cell is LSTM


@pytest.mark.parametrize("name", [*OPTIONS])
def test_the_state_dict_is_the_cells(name):
    layer, plain = make(name, num_layers=2, bidirectional=True), make("lstm", num_layers=2, bidirectional=True)
    assert list(layer.state_dict()) == list(plain.state_dict())
    if name not in ("couple", "all"):
        layer.load_state_dict(plain.state_dict())
        torch.nn.LSTM(I, H, 2, bidirectional=True, dtype=F64).load_state_dict(layer.state_dict())


@pytest.mark.parametrize("name", OPTIONS)
def test_copies_and_pickles(name):
    layer, x = make(name), numbers()
    again, thawed = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    assert again.cell is layer.cell
    for each in (again, thawed):
        assert torch.equal(seeded(each, x)[0], seeded(layer, x)[0])
        assert torch.equal(each.eval()(x)[0], layer.eval()(x)[0])
        layer.train()


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_stepper_is_the_evaluation(name, engine, tmp_path):
    layer, x = make(name, num_layers=2, engine=engine), numbers()
    stepper = layer.stepper(B)  # the layer trains meanwhile
    found = torch.stack([stepper(x[t]) for t in range(3)])
    if engine == "cpu":
        assert "called directly" in stepper.plan().reason
    stepper.save(tmp_path / "state")
    other = layer.stepper(B)
    other.restore(tmp_path / "state")
    found = torch.cat([found, torch.stack([other(x[t]) for t in range(3, T)])])
    assert layer.training
    close(found, layer.eval()(x)[0])


@pytest.mark.parametrize("name", OPTIONS)
def test_gates_are_traced(name):
    layer, x = make(name, num_layers=2), numbers()
    with celda.trace(layer) as t:
        for training in (True, False):
            y, (_, c) = layer.train(training)(x)
            assert set(t) == {"i", "f", "g", "o", "h", "c"}
            assert torch.equal(t["h"][1], y)
            assert torch.equal(t["c"][:, -1], c)
    if name == "couple":
        close(t["i"], 1 - t["f"])


def test_what_a_gate_was_before_zoneout_is_traced():
    layer, x = make("rnn", zoneout=0.3), numbers()
    with celda.trace(layer) as t:
        y, _ = layer(x)
        assert set(t) == {"h", "h_new"}
        assert torch.equal(t["h"][0], y)
        kept = t["h"] != t["h_new"]
        assert torch.equal(t["h"][:, 1:][kept[:, 1:]], t["h"][:, :-1][kept[:, 1:]])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_lengths_and_resets(name, bidirectional):
    layer, x = make(name, bidirectional=bidirectional), numbers()
    lengths, resets = torch.tensor([T, 0, 4]), torch.zeros(T, B, dtype=torch.bool)
    y, (h, _) = seeded(layer, x, lengths=lengths)
    assert not y[:, 1].any()
    assert not y[4:, 2].any()
    assert not h[:, 1].any()
    whole, _ = seeded(layer, x)
    close(y[:, 0], whole[:, 0])  # masks are drawn for the padded batch
    padded = x.clone()
    padded[4:, 2], padded[:, 1] = float("nan"), float("nan")
    close(seeded(layer, padded, lengths=lengths)[0], y)
    resets[3, 0] = True
    parted, _ = seeded(layer, x, resets=resets)
    close(parted[:, 1:], whole[:, 1:])
    if not bidirectional:
        close(parted[:3], whole[:3])
        assert not torch.equal(parted[3:, 0], whole[3:, 0])
    layer.eval()
    first, second = (layer(part)[0] for part in (x[:3], x[3:]))
    close(layer(x, resets=resets)[0][:, 0], torch.cat([first, second])[:, 0])


@pytest.mark.parametrize("name", OPTIONS)
def test_packed_sequences(name):
    layer, x, lengths = make(name, num_layers=2), numbers(), torch.tensor([T, 4, 1])
    packed = pack_padded_sequence(x, lengths)
    torch.manual_seed(7)
    y, (_, c) = layer(packed)
    wanted, (_, c_wanted) = seeded(layer, x, lengths=lengths)
    assert torch.equal(pad_packed_sequence(y)[0], wanted)
    assert torch.equal(c, c_wanted)


@pytest.mark.parametrize("name", OPTIONS)
def test_batch_first_and_one_sequence(name):
    layer, x = make(name), numbers()
    flipped = copy.deepcopy(layer)
    flipped.batch_first = True
    assert torch.equal(seeded(flipped, x.transpose(0, 1))[0].transpose(0, 1), seeded(layer, x)[0])
    assert torch.equal(seeded(layer, x[:, 0])[0], seeded(layer, x[:, :1])[0][:, 0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["zoneout", "all"])
def test_a_layer_is_compiled_in_one_graph(name, training):
    layer, x = make(name, num_layers=2, bidirectional=True).train(training), numbers()
    run, graphs = compiled(layer)
    lengths = torch.tensor([T, 2, 4])
    for options in ({}, {"lengths": lengths}):
        torch._dynamo.reset()
        found, wanted = seeded(run, x, **options), seeded(layer, x, **options)
        close(found, wanted)
        close(*(torch.autograd.grad(y.square().sum(), layer.parameters()) for y in (found[0], wanted[0])))
    assert [operators(g.graph) for g in graphs] == [4, 4]
    if training:
        assert not torch.equal(seeded(run, x, seed=1, lengths=lengths)[0], seeded(run, x, seed=2, lengths=lengths)[0])


def test_a_layer_is_exported_as_it_is_evaluated():
    layer, x = make("all").eval(), numbers()
    program = torch.export.export(layer, (x,))
    close(program.module()(x), layer(x))


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_with_the_masks_that_were_drawn(name, engine):
    layer = make(name, width=2, hidden=2, engine=engine)
    x, lengths = numbers(3, 2, 2).requires_grad_(), torch.tensor([3, 2])
    run = lambda x, *_: seeded(layer, x, lengths=lengths)[0]  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_weights_are_dropped_for_a_whole_call_and_never_for_good():
    layer, x = make("weight_drop", hidden=64), numbers()
    before = layer.weight_hh_l0.detach().clone()
    seeded(layer, x)[0].sum().backward()
    assert torch.equal(layer.weight_hh_l0.detach(), before)
    share = (layer.weight_hh_l0.grad == 0).double().mean().item()  # what was dropped learns nothing from this call
    assert share == pytest.approx(0.5, abs=0.02)
    assert not (layer.weight_ih_l0.grad == 0).any()
    assert not (layer.bias_hh_l0.grad == 0).any()


def test_a_layer_says_what_it_is():
    assert repr(make("lstm", zoneout=0.1)) == "Recurrent(zoneout(lstm, 0.1), 4, 5)"
    assert "engine: cpu" in str(make("all").plan())


def test_autocast_and_bfloat16():
    x = numbers(dtype=torch.float32)
    layer = make("all", dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = seeded(layer, x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), seeded(layer, x)[0], rtol=0.05, atol=0.05)
    assert seeded(layer.bfloat16(), x.bfloat16())[0].isfinite().all()


def test_each_sample_of_vmap_draws_its_own():
    layer, x = make("zoneout"), numbers()
    torch.manual_seed(0)
    y = torch.func.vmap(lambda x: layer(x)[0], randomness="different")(torch.stack([x, x]))
    assert not torch.equal(y[0], y[1])
