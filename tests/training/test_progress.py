"""What is shown on stderr."""

import io
import re

from rich.console import Console

from celda.training import fit
from celda.training.history import Epoch, History
from celda.training.progress import Bar, Lines
from tests.training.toy import CONFIG, data, mse, toy


def history(epochs, valid=True, **state):
    result = History(seconds=2.0 * epochs, **state)
    for n in range(1, epochs + 1):
        result.add(Epoch(n, n, 0.5, abs(n - 3) + 1.0 if valid else None, 1e-3, 1.0, 2.0))
    return result


def test_quiet_shows_nothing(capfd):
    fit(toy(), mse, data(), config=CONFIG, quiet=True)
    assert capfd.readouterr() == ("", "")


def test_off_a_terminal_there_are_plain_lines_on_stderr(capfd):
    fit(toy(), mse, data(), data(13, 3), CONFIG)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == CONFIG.epochs
    assert lines[0].startswith("fit: epoch 1/4, train ")
    assert lines[-1].endswith("0:00:00 left")


def shown(epochs, ends):
    stream = io.StringIO()
    with Lines(Console(file=stream), "fit", epochs) as lines:
        for n in range(1, ends + 1):
            lines.step(n, 0.5)
            lines.epoch(history(n, stopped_early=n == ends < epochs))
    return stream.getvalue().splitlines()


def test_lines_are_sparse_and_tell_the_time_left():
    lines = shown(1000, 1000)
    assert len(lines) == 11
    assert lines[1] == "fit: epoch 100/1000, train 0.5, valid 98, best 1 (3), 0:30:00 left"


def test_an_early_stop_is_told():
    assert shown(1000, 7)[-1] == "fit: epoch 7/1000, train 0.5, valid 5, best 1 (3), stopped early"


def test_on_a_terminal_there_is_a_bar():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=90)
    with Bar(console, "fit", epochs=2, steps=5, done=5) as bar:
        bar.step(2, 0.25)
        bar.epoch(history(2))
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).rstrip().splitlines()[-1]
    assert re.search(r"fit 2/2 ━+[╸╺]?━+ train 0.5, valid 2, best 2 \(2\) .* left", last)
