import pytest

from benchmarks import profile
from benchmarks.contenders import any_cell
from benchmarks.shapes import Shape
from celda.cells import CELLS


def test_every_part_of_a_step_is_found():
    times = profile.profile(any_cell.train(CELLS["rnn"])(Shape(3, 2, 4, 5)))
    assert set(times) == {*profile.PARTS, "whole"}
    parts = [sum(times[name][k] for name in profile.PARTS) for k in range(profile.ROUNDS)]
    assert parts == pytest.approx(times["whole"])
    assert min(times["forward kernel"]) > 0
    assert min(times["backward kernel"]) > 0
    assert min(times["gradients of weights and inputs"]) > 0


def test_a_cell_and_shapes_can_be_asked_for():
    chosen = profile.arguments(["--cell", "gru", "--shape", "1", "2", "3", "4", "--shape", "5", "6", "7", "8"])
    assert (chosen.cell, chosen.shape) == ("gru", [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert profile.arguments([]).cell == "lstm"


def test_a_shape_without_anything_in_it_is_refused(capsys):
    with pytest.raises(SystemExit):
        profile.arguments(["--shape", "0", "1", "2", "3"])
    assert "--shape 0 1 2 3 has nothing to compute: write four numbers of at least 1" in capsys.readouterr().err
