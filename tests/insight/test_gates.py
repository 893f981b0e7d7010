"""What each gate is for, how open it stands, and what it keeps."""

import math

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from celda.insight import kept, memory_state, openness, record, roles
from celda.insight.gates import opening
from celda.language.roles import carried
from tests.insight.test_recording import made

WANTED = {
    "lstm": {"i": "input gate", "f": "forget gate", "g": "candidate", "c": "memory", "o": "output gate", "h": "output"},
    "gru": {"r": "gate", "z": "update gate", "n": "candidate", "h": "memory and output"},
    "rnn": {"h": "memory and output"},
    "janet": {"s": "forget gate", "g": "candidate", "h": "memory and output"},
    "coupled_lstm": {"i": "update gate", "g": "candidate", "c": "memory", "o": "output gate", "h": "output"},
    "lstm_nfg": {"i": "input gate", "g": "candidate", "c": "memory", "o": "output gate", "h": "output"},
    "lstm_1997": {"i": "input gate", "g": "candidate", "o": "output gate", "c": "memory", "h": "output"},
}


@pytest.mark.parametrize("name", WANTED)
def test_the_roles_of_shipped_cells(name):
    assert {role.name: role.kind for role in roles(CELLS[name]).values()} == WANTED[name]


def test_every_cell_has_one_memory():
    for cell in CELLS.values():
        kinds = [role.kind for role in roles(cell).values()]
        assert sum("memory" in kind for kind in kinds) == 1, cell
        assert memory_state(cell) in cell.states


@pytest.mark.parametrize("name", CELLS)
def test_the_gates_of_every_cell_lie_between_closed_and_open(name):
    layer, x, further = made(CELLS[name])
    (one,) = record(layer, lambda: layer(50 * x, **further))
    for role in roles(CELLS[name]).values():
        values = opening(role, one.traced[role.name])
        if role.is_gate and CELLS[name].named[role.name].op != "exp":  # an exponential gate opens without end
            assert values.min() >= 0
            assert values.max() <= 1


def test_a_gate_that_is_named_before_its_sigmoid_is_looked_at_behind_it():
    layer = constant("janet", "s", [-3.0, 0.0, 3.0])
    (found,) = openness(record(layer, lambda: layer(torch.zeros(4, 2, 2, dtype=torch.float64))))
    torch.testing.assert_close(found.mean, torch.tensor([-3.0, 0.0, 3.0], dtype=torch.float64).sigmoid())
    assert found.closed.tolist() == [1, 0, 0]
    assert found.open.tolist() == [0, 0, 1]


def test_layers_and_directions_are_named():
    layer = celda.Recurrent("gru", 2, 3, 2, bidirectional=True)
    one = record(layer, lambda: layer(torch.zeros(4, 2, 2)))
    assert [gate.where for gate in openness(one)][::2] == [
        "layer 1, forwards",
        "layer 1, backwards",
        "layer 2, forwards",
        "layer 2, backwards",
    ]
    single = celda.GRU(2, 3)
    assert {gate.where for gate in openness(record(single, lambda: single(torch.zeros(4, 2, 2))))} == {""}


def test_recordings_without_a_step_or_of_two_layers_are_told():
    one, other = celda.LSTM(2, 3), celda.GRU(2, 3)
    x = torch.zeros(4, 2, 2)
    for given, told in (
        ([], "no recording"),
        ([*record(one, lambda: one(x)), *record(other, lambda: other(x))], "several layers"),
        (record(one, lambda: one(x[:, :0])), "no step"),
    ):
        with pytest.raises(CeldaError, match=told):
            openness(given)


def test_what_a_state_is_multiplied_with_on_its_way():
    one = {name: [*carried(CELLS[name]).values()] for name in ("lstm_1997", "lstm_nfg")}
    assert one["lstm_1997"] == one["lstm_nfg"] == [{(): 1.0}]
    assert carried(CELLS["rnn"]) == carried(CELLS["indrnn"]) == {}
    z = CELLS["gru"].gates["z"]
    assert carried(CELLS["gru"]) == {"h": {(z,): 1.0}}
    f = CELLS["mgu"].gates["f"]
    assert carried(CELLS["mgu"]) == {"h": {(): 1.0, (f,): -1.0}}


def constant(cell, gate, bias, **options):
    """A layer with all weights 0 but one gate's bias."""
    layer = celda.Recurrent(cell, 2, 3, dtype=torch.float64, **options)
    blocks = list(layer.cell.gates)
    with torch.no_grad():
        for array in layer.parameters():
            array.zero_()
        at = blocks.index(gate) * 3
        layer.bias_ih_l0[at : at + 3] = torch.tensor(bias, dtype=torch.float64)
    return layer


def test_the_product_of_the_forget_gates_by_hand():
    layer = constant("lstm", "f", [0.0, 1.0, math.log(9)])
    (found,) = kept(record(layer, lambda: layer(torch.zeros(5, 2, 2, dtype=torch.float64)))[0])
    gate = torch.tensor([0.5, 1 / (1 + math.exp(-1)), 0.9], dtype=torch.float64)
    torch.testing.assert_close(found.left, gate ** torch.arange(6, dtype=torch.float64).unsqueeze(1))
    torch.testing.assert_close(found.half_life, math.log(0.5) / gate.log())
    assert found.quantile(0.5) == pytest.approx(math.log(0.5) / math.log(gate[1]))


def test_backwards_the_product_is_taken_at_the_first_step():
    torch.manual_seed(0)
    layer = celda.Recurrent("lstm", 3, 4, bidirectional=True, dtype=torch.float64)
    x, lengths = torch.randn(6, 2, 3, dtype=torch.float64), torch.tensor([6, 4])
    resets = torch.zeros(6, 2, dtype=torch.bool)
    resets[3, 0] = True
    (one,) = record(layer, lambda: layer(x, lengths=lengths, resets=resets))
    forward, backward = kept(one)
    f = one.traced["f"]
    cut = torch.ones(6, 2, 1, dtype=torch.float64)
    cut[2, 0] = 0  # backwards, what comes to step 2 would come from step 3
    wanted = (f[1] * cut).cumprod(0)
    torch.testing.assert_close(backward.left[1:5], wanted[:4].mean(1))
    torch.testing.assert_close(backward.left[5:], wanted[4:, 0])
    torch.testing.assert_close(forward.left[1], (f[0, 5, 0] + f[0, 3, 1]) / 2)
    # against autograd: with no recurrent weights the carousel is all that leads back
    with torch.no_grad():
        layer.weight_hh_l0_reverse.zero_()
    (one,) = record(layer, lambda: layer(x))
    c0 = torch.zeros(2, 2, 4, dtype=torch.float64, requires_grad=True)
    _, (_, c) = layer(x, (torch.zeros_like(c0), c0))
    (whole,) = torch.autograd.grad(c[1].sum(), c0)
    torch.testing.assert_close(kept(one)[1].left[-1], whole[1].mean(0))


def test_a_coupled_gate_keeps_what_it_does_not_let_in_and_1997_keeps_all():
    coupled = constant("coupled_lstm", "i", [math.log(1 / 9)] * 3)
    (found,) = kept(record(coupled, lambda: coupled(torch.zeros(2, 1, 2, dtype=torch.float64)))[0])
    torch.testing.assert_close(found.left[1], torch.full((3,), 0.9, dtype=torch.float64))
    first = celda.Recurrent("lstm_1997", 2, 3)
    (found,) = kept(record(first, lambda: first(torch.randn(4, 1, 2)))[0])
    assert found.left.eq(1).all()
    assert found.half_life.isinf().all()
    assert kept(record(plain := celda.RNN(2, 3), lambda: plain(torch.randn(4, 1, 2)))[0]) == []


def test_how_open_a_gate_stands_counts_real_steps_only():
    layer = constant("lstm", "f", [-3.0, 0.0, 3.0])
    x, lengths = torch.zeros(6, 2, 2, dtype=torch.float64), torch.tensor([6, 1])
    found = {one.role.name: one for one in openness(record(layer, lambda: layer(x, lengths=lengths)))}
    assert set(found) == {"i", "f", "o"}
    assert found["f"].closed.tolist() == [1, 0, 0]
    assert found["f"].open.tolist() == [0, 0, 1]
    assert found["f"].saturated == pytest.approx(2 / 3)
    torch.testing.assert_close(found["f"].mean[0], torch.sigmoid(torch.tensor(-3.0, dtype=torch.float64)))
    assert found["i"].mean.tolist() == [0.5] * 3
