"""Some streams of a batch start anew: as with resets in the layer, and rows that are none are told."""

import pytest
import torch

import celda
from celda.errors import CeldaError
from tests.layers.test_stepper import BATCH, STEPS, layer_of, same, sequence, streamed

ROWS = {
    "numbers": [0, 2],
    "one": 1,
    "none": [],
    "flags": torch.tensor([False, True, True]),
    "a tensor": torch.tensor([2], dtype=torch.int32),
}


@torch.no_grad()
@pytest.mark.parametrize("engine", ["reference", "cpu"])
@pytest.mark.parametrize("name", ["lstm", "gru_2014", "timed", "clockwork_rnn"])
@pytest.mark.parametrize("rows", ROWS)
def test_some_sequences_start_anew_as_with_resets(rows, name, engine):
    layer, sizes = layer_of(name, num_layers=2, engine=engine)
    layer.eval()
    x, _ = sequence(sizes)
    resets = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    resets[4, ROWS[rows]] = True

    def between(stepper):
        if stepper.steps == 4:
            stepper.reset(ROWS[rows])
            assert stepper.steps == 4

    wanted, state = layer(x, resets=resets)
    found, states = streamed(layer, x, between)
    same(found, wanted)
    same(states, state if isinstance(state, tuple) else (state,))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([3], "rows has 3, and there are 3 sequences"),
        ([-1, 0], "rows has -1"),
        ([0.5], "float32"),
        (torch.tensor([0, 1, 1], dtype=torch.uint8), "uint8"),
        ("all", "'all'"),
        ([[0, 1]], r"\(1, 2\)"),
        (torch.tensor([True]), "bool"),
        ([True, False, True, True], "bool"),
    ],
)
def test_rows_that_are_none(rows, told):
    stepper = celda.LSTM(2, 4).stepper(3)
    stepper(torch.randn(3, 2))
    before = stepper.state
    with pytest.raises(CeldaError, match=rf"{told}.*whole numbers from 0 to 2, or a torch.bool tensor \(3,\)"):
        stepper.reset(rows)
    same(stepper.state, before)
