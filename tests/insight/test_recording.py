"""What is recorded is what the layer computed; all else follows from it."""

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from celda.insight import record, walk
from celda.language.expression import topological


def made(cell, layers=1, **options):
    """A layer of any shipped cell, an input, and further inputs that are constant over time."""
    torch.manual_seed(0)
    further = [name for name in cell.inputs[1:] if name not in cell.below]
    sizes = dict.fromkeys((cell.inputs[0], *further), 3)
    options = {"dtype": torch.float64, "engine": "reference", **options}  # not 27 cells to compile
    layer = celda.Recurrent(cell, sizes if further else 3, 6, layers, **options)
    return (
        layer,
        torch.randn(5, 2, 3, dtype=torch.float64),
        {n: torch.randn(2, 3, dtype=torch.float64) for n in further},
    )


@pytest.mark.parametrize("name", CELLS)
def test_every_named_value_follows_from_the_states_and_the_weights(name):
    layer, x, further = made(CELLS[name], 2)
    (one,) = record(layer, lambda: layer(x, **further))
    values = one.values(1)
    for named, node in one.cell.named.items():
        if node.op not in ("state", "input"):
            torch.testing.assert_close(values._value(node), one.traced[named][1].expand_as(values._value(node)))


def check(layer, one):
    for place in range(one.places):
        values = one.values(place)
        for named, node in one.cell.named.items():
            found, wanted = values._value(node), one.traced[named][place]
            torch.testing.assert_close(found[one.mask], wanted[one.mask])


def test_of_both_directions_with_lengths_resets_and_states():
    layer, x, _ = made(CELLS["lstm"], 2, bidirectional=True, batch_first=True, engine="auto")
    resets = torch.zeros(5, 2, dtype=torch.bool)
    resets[2, 0] = resets[1, 1] = True
    state = tuple(torch.randn(4, 2, 6, dtype=torch.float64) for _ in range(2))
    call = {"lengths": torch.tensor([5, 3]), "resets": resets.T}
    (one,) = record(layer, lambda: layer(x.transpose(0, 1), state, **call))
    assert one.x.shape == (5, 2, 3)
    assert one.mask.sum() == 8
    check(layer, one)


@pytest.mark.parametrize("connections", ["residual", "highway"])
def test_of_connected_layers(connections):
    layer, x, _ = made(CELLS["gru"], 3, connections=connections, zoneout=0.2, engine="auto")
    (one,) = record(layer, lambda: layer(x))
    check(layer, one)


def test_every_call_of_a_module_is_recorded_in_evaluation_and_nothing_changes():
    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = celda.LSTM(3, 4), celda.GRU(4, 5)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x):
            return self.second(self.drop(self.first(x)[0]))[0]

    pair, x = Pair().train(), torch.randn(6, 2, 3)
    found = record(pair, lambda: [pair(x), pair.second(hx=torch.ones(1, 2, 5), input=torch.ones(2, 2, 4))])
    assert [one.name for one in found] == ["first", "second", "second"]
    torch.testing.assert_close(found[1].x, found[0].traced["h"][0])
    assert found[2].first["h"].eq(1).all()
    assert pair.training
    assert pair.drop.training
    assert not pair.first._forward_hooks
    assert pair.first._trace is None


def test_of_one_sequence_without_a_batch():
    layer = celda.LSTM(3, 4)
    (one,) = record(layer, lambda: layer(torch.randn(6, 3)))
    assert one.x.shape == (6, 1, 3)


def test_of_a_projected_output():
    layer, x, _ = made(CELLS["lstm"], 2, bidirectional=True, proj_size=2, engine="auto")
    (one,) = record(layer, lambda: layer(x))
    assert one.first["h"].shape == (4, 2, 2)
    for place in range(4):
        for name, node in one.cell.named.items():
            found = one.values(place)._value(node)
            wanted = one.traced[name][place]
            torch.testing.assert_close(found[..., : wanted.shape[-1]], wanted)
    assert walk(one).lines[-1].role.name == "h"
    assert walk(one, unit=5).lines[-1].role.name != "h"


def test_what_is_not_finite_is_told():
    layer = celda.LSTM(3, 4)
    with pytest.raises(CeldaError, match="input of the layer LSTM holds NaN"):
        record(layer, lambda: layer(torch.full((5, 2, 3), torch.nan)))
    with torch.no_grad():
        layer.weight_hh_l0.fill_(torch.nan)
    with pytest.raises(CeldaError, match="went astray"):
        record(layer, lambda: layer(torch.zeros(5, 2, 3)))


def test_what_holds_no_layer_or_calls_none_is_told():
    with pytest.raises(CeldaError, match=r"Linear has no recurrent layer"):
        record(torch.nn.Linear(2, 2), lambda: None)
    with pytest.raises(CeldaError, match="was called"):
        record(celda.LSTM(2, 2), lambda: None)
    packed = torch.nn.utils.rnn.pack_sequence([torch.randn(3, 2)])
    layer = celda.LSTM(2, 2)
    with pytest.raises(CeldaError, match="lengths="):
        record(layer, lambda: layer(packed))
    assert layer._trace is None


def test_the_graph_of_every_cell_needs_no_more_than_a_recording_has():
    ops = {node.op for cell in CELLS.values() for node in topological(cell.evaluation.outputs.values())}
    assert "mask" not in ops
