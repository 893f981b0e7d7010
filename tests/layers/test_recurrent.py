"""Recurrent: any cell, every option of the reference engine."""

import copy
import pickle

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.language import cell, diagonal, gate, linear, parameter, sigmoid, tanh, time, where
from tests.tolerances import TOLERANCES

EXACT = TOLERANCES["reference", torch.float64]
F64 = torch.float64


def make(name, hidden=5, **options):
    torch.manual_seed(0)
    size = {"x": 3, "image": 2} if CELLS[name].inputs[1:] else 3
    return celda.Recurrent(name, size, hidden, dtype=F64, **options)


def further(layer, batch):
    return {name: torch.randn(batch, size, dtype=F64) for name, size in list(layer.input_sizes.items())[1:]}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def same(a, b):
    torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_equal_each_sequence_alone(name, bidirectional):
    layer = make(name, num_layers=2, bidirectional=bidirectional and not CELLS[name].below)
    x, lengths = torch.randn(6, 3, 3, dtype=F64), [6, 2, 4]
    inputs = further(layer, 3)
    y, state = layer(x, lengths=torch.tensor(lengths), **inputs)
    for b, n in enumerate(lengths):
        alone, last = layer(x[:n, b : b + 1], **{k: v[b : b + 1] for k, v in inputs.items()})
        same(y[:n, b : b + 1], alone)
        assert not y[n:, b].any()
        for s, wanted in zip(as_tuple(state), as_tuple(last), strict=True):
            same(s[:, b : b + 1], wanted)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_resets_part_a_sequence_in_both_directions(name, bidirectional):
    layer = make(name, num_layers=2, bidirectional=bidirectional and not CELLS[name].below)
    x, inputs = torch.randn(7, 2, 3, dtype=F64), further(layer, 2)
    resets = torch.zeros(7, 2, dtype=torch.bool)
    resets[3, 1] = True
    y, _ = layer(x, resets=resets, **inputs)
    whole, _ = layer(x, **inputs)
    first, _ = layer(x[:3], **inputs)
    second, _ = layer(x[3:], start=3, **inputs)
    same(y[:, 0], whole[:, 0])
    same(y[:3, 1], first[:, 1])
    same(y[3:, 1], second[:, 1])


def test_a_length_of_zero_leaves_the_state_alone():
    layer = make("lstm")
    state = tuple(torch.randn(1, 2, 5, dtype=F64) for _ in range(2))
    y, new = layer(torch.randn(4, 2, 3, dtype=F64), state, lengths=torch.tensor([0, 4]))
    assert not y[:, 0].any()
    for before, after in zip(state, new, strict=True):
        assert torch.equal(before[:, 0], after[:, 0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_reset_past_the_end_leaves_the_state_alone(bidirectional):
    layer = make("lstm", bidirectional=bidirectional)
    x, lengths, resets = torch.randn(5, 2, 3, dtype=F64), torch.tensor([3, 5]), torch.zeros(5, 2, dtype=torch.bool)
    first = tuple(torch.randn(1 + bidirectional, 2, 5, dtype=F64) for _ in range(2))
    y, state = layer(x, first, lengths=lengths)
    resets[3:, 0] = True
    again, same_state = layer(x, first, lengths=lengths, resets=resets)
    same(again, y)
    for a, b in zip(same_state, state, strict=True):
        same(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_a_state_carried_over_two_calls_equals_one_call(name):
    layer = make(name, num_layers=2)
    x, inputs = torch.randn(8, 2, 3, dtype=F64), further(layer, 2)
    y, state = layer(x, **inputs)
    first, between = layer(x[:3], **inputs)
    second, last = layer(x[3:], between, start=3, **inputs)
    same(y, torch.cat([first, second]))
    for a, b in zip(as_tuple(state), as_tuple(last), strict=True):
        same(a, b)


@pytest.mark.parametrize("name", CELLS)
def test_batch_first_and_unbatched_are_the_same_numbers(name):
    layer = make(name)
    flipped = copy.deepcopy(layer)
    flipped.batch_first = True
    x, inputs = torch.randn(4, 2, 3, dtype=F64), further(layer, 2)
    resets = torch.tensor([[False, False], [False, True], [True, False], [False, False]])
    y, _ = layer(x, resets=resets, **inputs)
    same(flipped(x.transpose(0, 1), resets=resets.T, **inputs)[0], y.transpose(0, 1))
    one, state = layer(x[:, 1], resets=resets[:, 1], **{k: v[1] for k, v in inputs.items()})
    same(one, y[:, 1])
    assert as_tuple(state)[0].shape == (1, 5)


def test_further_inputs_may_change_with_every_step():
    layer = make("image_rnn")
    x, image = torch.randn(4, 2, 3, dtype=F64), torch.randn(2, 2, dtype=F64)
    constant, _ = layer(x, image=image)
    same(layer(x, image=image.expand(4, 2, 2))[0], constant)
    changed = image.repeat(4, 1, 1)
    changed[2] += 1
    other, _ = layer(x, image=changed)
    same(other[:2], constant[:2])
    assert (other[2:] != constant[2:]).all()


@pytest.mark.parametrize("name", CELLS)
def test_stepping_equals_the_whole_and_a_saved_state_goes_on(name, tmp_path):
    layer = make(name, num_layers=2)
    x, inputs = torch.randn(6, 2, 3, dtype=F64), further(layer, 2)
    wanted, _ = layer(x, **inputs)
    stepper = layer.stepper(2)
    for t in range(3):
        same(stepper(x[t], **inputs), wanted[t])
    stepper.save(tmp_path / "state")
    again = layer.stepper(2)
    again.restore(tmp_path / "state")
    assert again.steps == 3
    for t in range(3, 6):
        same(again(x[t], **inputs), wanted[t])
    again.reset()
    same(again(x[0], **inputs), wanted[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state"]


@cell
def counting(x, h):
    """Knows the time."""
    n = gate("n", tanh, linear(x, h))
    return where(time() < 2, 0.5 * n, n) + 0.01 * time()


def test_a_stepper_keeps_the_time():
    layer = celda.Recurrent(counting, 3, 4, dtype=F64)
    x = torch.randn(5, 1, 3, dtype=F64)
    stepper = layer.stepper()
    same(torch.stack([stepper(row) for row in x]), layer(x)[0])


@cell
def own(x, h, c, n):
    """Three states, two stages, vectors of its own: in no paper."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c), bias=-1.0)
    f = gate("f", sigmoid, linear(x, h), bias=1.0)
    g = gate("g", tanh, linear(x, i * h))
    c = f * c + i * g
    n = 0.5 * n + parameter("pace", init=0.1) * g
    return tanh(c) + n, c, n


def test_a_cell_of_ones_own_has_its_weights_by_name_and_its_initial_biases():
    layer = celda.Recurrent(own, 3, 4)
    assert [n for n, _ in layer.named_parameters()] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "diagonal_i_l0", "pace_l0",
    ]  # fmt: skip
    i, f, _ = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().split(4)
    assert torch.equal(i, torch.full((4,), -1.0))
    assert torch.equal(f, torch.full((4,), 1.0))
    assert torch.equal(layer.pace_l0.detach(), torch.full((4,), 0.1))
    assert sum(p.numel() for p in layer.parameters()) == own.count(3, 4)
    y, state = layer(torch.randn(6, 2, 3))
    assert y.shape == (6, 2, 4)
    assert len(state) == 3


def test_numbers_of_weights_are_those_of_the_papers():
    # Zaremba, Sutskever & Vinyals 2014: LSTMs of 2 layers with 200, 650 and 1,500 units over 10,000 words
    for hidden, millions in ((200, 4.65), (650, 19.8), (1500, 66.0)):
        lstm = CELLS["lstm"].count(hidden, hidden) - 4 * hidden  # the papers keep one bias, torch two
        assert 2 * lstm + 2 * 10_000 * hidden + 10_000 == pytest.approx(millions * 1e6, rel=0.005)


def test_without_biases_there_are_none():
    with pytest.warns(UserWarning, match="initial biases"):
        layer = celda.Recurrent(own, 3, 4, bias=False)
    assert not any("bias" in name for name, _ in layer.named_parameters())
    layer(torch.randn(2, 1, 3))


def test_gradients_are_right_and_can_be_taken_twice():
    torch.manual_seed(0)
    layer = celda.Recurrent(own, 2, 3, dtype=F64)
    x = torch.randn(3, 2, 2, dtype=F64, requires_grad=True)
    lengths = torch.tensor([3, 2])
    run = lambda x, *_: layer(x, lengths=lengths)[0]  # noqa: E731
    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))
    assert torch.autograd.gradgradcheck(run, (x,))


def test_torch_func_goes_through_a_layer():
    layer = make("gru_2014")
    parameters = {name: p.detach() for name, p in layer.named_parameters()}
    x = torch.randn(4, 3, 3, dtype=F64)

    def loss(parameters, sample):
        return torch.func.functional_call(layer, parameters, (sample.unsqueeze(1),))[0].square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 1))(parameters, x)
    layer(x)[0].square().sum().backward()
    for name, p in layer.named_parameters():
        torch.testing.assert_close(each[name].sum(0), p.grad, **EXACT)


def test_trace_holds_every_gate_and_state_aligned_in_time():
    layer = make("lstm", num_layers=2, bidirectional=True)
    x = torch.randn(6, 2, 3, dtype=F64)
    with celda.trace(layer) as t:
        y, (_, c) = layer(x)
    assert list(t) == ["i", "f", "g", "o", "c", "h"]
    assert t["f"].shape == (4, 6, 2, 5)
    same(torch.cat([t["h"][2], t["h"][3]], -1), y)
    same(t["c"][:, [-1, 0, -1, 0], :][torch.arange(4), torch.arange(4)], c)
    same(t["h"], t["o"] * torch.tanh(t["c"]))
    same(t["c"][0, 1:], t["f"][0, 1:] * t["c"][0, :-1] + t["i"][0, 1:] * t["g"][0, 1:])
    same(t["c"][1, :-1], t["f"][1, :-1] * t["c"][1, 1:] + t["i"][1, :-1] * t["g"][1, :-1])
    assert not t["f"].requires_grad


@pytest.mark.parametrize("options", [{}, {"lengths": [6, 3]}, {"resets": True}], ids=["plain", "lengths", "resets"])
@pytest.mark.parametrize("name", ["lstm", "gru_2014", "slstm"])
def test_states_at_every_step_may_have_a_part_in_a_loss(name, options):
    found = []
    if "resets" in options:
        options = {"resets": torch.arange(6).unsqueeze(1).expand(6, 2) == 3}
    for engine in ("cpu", "reference"):
        torch.manual_seed(1)
        layer = celda.Recurrent(name, 3, 5, num_layers=2, bidirectional=True, engine=engine, dtype=F64)
        x = torch.randn(6, 2, 3, dtype=F64, requires_grad=True)
        with celda.trace(layer, gradients=True) as t:
            y, _ = layer(x, **options)
        last = layer.cell.states[-1]
        assert t[last].requires_grad
        assert not any(t[gate].requires_grad for gate in layer.cell.gates if gate not in layer.cell.states)
        loss = y.sum() + t[last].square().sum() + t["h"][0, 2].sum()
        found.append(torch.autograd.grad(loss, [x, *layer.parameters()]))
    for ours, wanted in zip(*found, strict=True):
        same(ours, wanted)


def test_trace_finds_the_layer_inside_a_model_and_stops_after_the_block():
    layer = celda.GRU(3, 4)
    model = torch.nn.Sequential(layer)
    with celda.trace(model) as t:
        model(torch.randn(2, 1, 3))
    kept = t["z"]
    model(torch.randn(5, 1, 3))
    assert t["z"] is kept


def test_plan_says_which_engine_runs_and_why():
    plan = str(make("lstm").plan())
    assert "engine: cpu" in plan
    assert "why: " in plan
    assert "asked for" in str(make("lstm", engine="reference").plan())


def test_layers_can_be_copied_and_sent_to_another_process():
    layer = make("gru_2014")
    x = torch.randn(3, 2, 3, dtype=F64)
    assert copy.deepcopy(layer).cell is layer.cell
    same(pickle.loads(pickle.dumps(layer))(x)[0], layer(x)[0])
