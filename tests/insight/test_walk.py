"""One step by hand: the numbers that are written are those that were computed."""

import math
import re

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from celda.insight import record, walk
from tests.insight.test_recording import made

FUNCTIONS = {"σ": lambda a: 1 / (1 + math.exp(-a)), "tanh": math.tanh, "exp": math.exp, "relu": lambda a: max(a, 0.0)}
FUNCTIONS |= {"softplus": lambda a: math.log1p(math.exp(a)), "max": max, "min": min}


def computed(written):
    """What a line of numbers comes to, as somebody with a pocket calculator finds it."""
    text = written.replace("·", "*").replace("≥", ">=").replace(" mod ", " % ").replace(" = ", " == ")
    return eval(text, {"__builtins__": {}}, FUNCTIONS)


@pytest.mark.parametrize("name", CELLS)
def test_the_numbers_of_every_cell_come_to_what_was_computed(name):
    layer, x, further = made(CELLS[name])
    (one,) = record(layer, lambda: layer(x, **further))
    for step, unit in ((0, 1), (3, 4)):
        walked = walk(one, step, unit=unit, sequence=0)
        assert [line.equation for line in walked.lines] == one.cell.equations().splitlines()
        for line in walked.lines:
            assert line.value == pytest.approx(float(one.traced[line.role.name][0, step, 0, unit]))
            for written in line.numbers:
                assert computed(written) == pytest.approx(line.value, abs=0.02), (line.equation, written)


def test_a_step_of_the_lstm_as_it_is_written():
    layer = celda.Recurrent("lstm", 1, 1, dtype=torch.float64)
    with torch.no_grad():
        for array in layer.parameters():
            array.fill_(0.5)
        layer.weight_hh_l0.fill_(-1.0)
    (one,) = record(layer, lambda: layer(torch.ones(2, 1, 1, dtype=torch.float64)))
    first, second = walk(one, 0), walk(one)
    assert first.lines[0].numbers == ("σ(0.500 + 0.000 + 1.000)", "σ(1.500)")
    assert first.lines[4].numbers == ("0.818 · 0.000 + 0.818 · 0.905",)
    assert second.step == 1
    h, c = (float(one.traced[name][0, 0, 0, 0]) for name in "hc")
    assert second.lines[0].numbers[0] == f"σ(0.500 - {h:.3f} + 1.000)"
    assert second.lines[4].before == pytest.approx(c)
    assert re.fullmatch(r"0\.\d{3} · tanh\(\d\.\d{3}\)", second.lines[5].numbers[0])


def test_the_unit_is_the_one_whose_memory_changes_most():
    layer = celda.LSTM(3, 8)
    (one,) = record(layer, lambda: layer(torch.randn(5, 2, 3)))
    c = one.traced["c"][0, :, 1]
    assert walk(one, 3).unit == int((c[3] - c[2]).abs().argmax())


def test_what_is_not_there_is_told():
    layer = celda.LSTM(3, 8)
    (one,) = record(layer, lambda: layer(torch.randn(5, 2, 3), lengths=torch.tensor([5, 2])))
    assert walk(one).step == 1  # the last of the second sequence
    for wrong in ({"step": 2}, {"unit": 8, "step": 0}, {"sequence": 2}, {"place": 1}):
        with pytest.raises(CeldaError, match=f"{next(iter(wrong))}="):
            walk(one, **wrong)
