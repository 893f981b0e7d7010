import re
from pathlib import Path

import torch
from torch import nn

from benchmarks import custom
from benchmarks.contenders import TASKS
from benchmarks.rows import FIRST_CALLS, NAMES, ROWS
from benchmarks.shapes import BATCHES, GRID, LARGE, SMALL, STREAMS, Shape, flops

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_contender_of_every_row_exists():
    for row in ROWS:
        for key in (row.subject, *row.base, *row.beside):
            assert key.name in TASKS[key.task].contenders, key


def test_a_row_compares_training_with_training():
    for row in ROWS:
        kinds = {TASKS[key.task].training for key in (row.subject, *row.base, *row.beside)}
        assert len(kinds) == 1, row.what


def test_an_aim_is_beyond_what_is_demanded():
    for row in ROWS:
        for demand in row.demands:
            assert demand.aim is None or (demand.aim > demand.least) == row.more_is_better


def test_the_shapes_of_the_rows():
    assert len(GRID) == len(set(GRID)) == 11
    assert Shape(100, 1, 64, 64) not in BATCHES
    assert {s.hidden for s in SMALL} == {32, 64, 96, 128}
    assert set(LARGE) == {Shape(100, 32, 256, 256), Shape(100, 64, 512, 512)}
    assert {s.hidden for s in STREAMS} == {64, 128, 256}
    assert set(NAMES) == {row.key for row in (*ROWS, *FIRST_CALLS)}


def test_operations_are_two_for_each_element_of_a_matrix_and_three_times_that_in_training():
    layer, shape = nn.LSTM(5, 7), Shape(11, 3, 5, 7)
    assert flops(layer, shape, training=False) == 2 * 11 * 3 * (4 * 7 * 5 + 4 * 7 * 7)
    assert flops(layer, shape, training=True) == 3 * flops(layer, shape, training=False)
    assert flops(nn.Identity(), shape, training=True) == 0


def test_the_cell_of_the_readme_is_the_one_that_is_measured():
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "def two_speed" in b)
    names = {"torch": torch}
    exec(compile(block.split("print(")[0], "README.md", "exec"), names)
    assert names["two_speed"].equations() == custom.two_speed.equations()
    assert names["two_speed"].weights == custom.two_speed.weights
