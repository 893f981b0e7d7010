import pytest
import torch

from benchmarks import cells
from benchmarks.contenders import TASKS, any_cell, loops
from benchmarks.custom import OPTED
from benchmarks.measure import Times
from benchmarks.rows import Key
from benchmarks.shapes import GRID, QUICK, Shape
from celda.cells import CELLS
from celda.language import cell, gate, linear, maximum, sigmoid, tanh, time, where


def test_every_cell_and_the_lstm_with_every_option_is_measured_at_shapes_of_the_grid():
    assert set(cells.NAMES) == {*CELLS, *OPTED}
    assert set(cells.SHAPES) < {shape for shape in GRID if shape.hidden <= 128}
    assert set(cells.SHAPES) & QUICK
    for over, loop in cells.rows(cells.NAMES, cells.SHAPES):
        for row in (over, loop):
            assert all(key.name in TASKS[key.task].contenders for key in (row.subject, *row.base))


def test_the_loop_is_the_one_that_is_written_by_hand():
    shape = Shape(5, 3, 4, 6)
    (traced, by_hand) = (
        build(shape).call()
        for build in (
            any_cell.train_loop(CELLS["peephole_lstm"]),
            loops.train(lambda *sizes: any_cell.celda.Recurrent("peephole_lstm", *sizes), loops.Peephole),
        )
    )
    for found, wanted in zip(traced, by_hand, strict=True):
        torch.testing.assert_close(found, wanted)


def test_the_loop_takes_every_operation():
    @cell
    def odd(x, h):
        z = gate("z", sigmoid, linear(x, h) + linear(h, bias=False))
        n = gate("n", tanh, linear(x, z * h, bias=False))
        n = where(time() % 2 == 0, maximum(n, -0.5), n)
        return where(n < h, z * h, (1 - z) * n) + maximum(0.1 * time(), 0.2)

    shape = Shape(5, 3, 4, 6)
    found, wanted = (build(shape).call() for build in (any_cell.train_loop(odd), any_cell.train(odd)))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_table():
    one, two = cells.SHAPES[0], cells.SHAPES[2]
    times = Times()
    for shape in (one, two):
        for name, seconds, flops in (("lstm", 1.0, 4e9), ("gru", 1.5, 3e9)):
            for who, slower in (("celda", 1.0), ("PyTorch loop", 8.0)):
                key = Key(f"cell {name}", who)
                times.seconds[shape, key], times.flops[shape, key] = [slower * seconds] * 3, flops
    chosen = cells.arguments(["--only", "lstm", "gru", "--threads", "1"])
    text = cells.whole("A title", chosen, 3, 0.01, times)
    assert text.startswith("# A title\n")
    assert "over the LSTM's: 100, 32, 64, 64 | over the LSTM's: 48, 256, 8, 32 | mean | spread | a loop: 100" in text
    assert "| lstm | 1.00x | 1.00x | **1.00x** | 1.00x to 1.00x | 8.00x | 8.00x | **8.00x** | 8.00x to 8.00x |" in text
    assert "| gru | 2.00x | 2.00x | **2.00x** |" in text


def test_nothing_is_printed_where_the_contract_tests_are_red(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cells"])
    monkeypatch.setattr(cells, "contract_holds", lambda: False)
    monkeypatch.setattr(cells, "measure", lambda *_: pytest.fail("it measured"))
    assert cells.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "contract tests are red" in said.err


def test_a_run_that_is_not_to_be_quoted_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(
        "sys.argv", ["cells", "--quick", "--without-contract", "--threads", "1", "--out", str(tmp_path)]
    )
    monkeypatch.setattr(cells, "confine", lambda threads: None)
    monkeypatch.setattr(cells, "measure", lambda *_: Times())
    assert cells.main() == 0
    said = capsys.readouterr().out
    assert "a quick run, not to be quoted; CONTRACT TESTS NOT RUN" in said.splitlines()[0]
    assert (tmp_path / "cells.md").read_text(encoding="utf-8") == said


@pytest.mark.parametrize("given", [["--only", "elman"], ["--repeats", "0"], ["--threads", "0"]])
def test_what_cannot_be_measured_is_refused(given, capsys):
    with pytest.raises(SystemExit) as stopped:
        cells.arguments(given)
    assert stopped.value.code == 2
    assert given[1] in capsys.readouterr().err
