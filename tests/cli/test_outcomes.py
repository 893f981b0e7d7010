import re

import pandas as pd
import pytest
from rich.console import Console

from celda.cli import console
from celda.cli.console import show, table
from celda.cli.outcomes import show_outcome
from celda.tasks.run_folder import Outcome


@pytest.mark.parametrize(("windows", "said"), [(1, "Test: 1 forecast that"), (1200, "Test: 1,200 forecasts that")])
def test_what_was_tested_is_counted(windows, said, capsys):
    show_outcome(Outcome(pd.DataFrame({"MAE": [1.0]}, index=["lstm"]), windows, (), {}, 3.0))
    assert said in " ".join(capsys.readouterr().out.split())


def test_notes_name_the_options_of_the_command_line(capsys):
    notes = ("Give them in a table of the future (future_df).",)
    show_outcome(Outcome(pd.DataFrame({"MAE": [1.0]}, index=["lstm"]), 1, notes, {}, 3.0))
    assert "a table of the future (--future-data)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "Took 1 second."), (1.4, "Took 1 second."), (119.6, "Took 120 seconds."), (200, "Took 3 minutes.")],
)
def test_how_long_it_took(seconds, said, capsys):
    show_outcome(Outcome(pd.DataFrame({"MAE": [1.0]}, index=["lstm"]), 1, (), {}, seconds))
    assert capsys.readouterr().out.endswith(said + "\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_title_may_be_wider_than_its_table(terminal, capsys, monkeypatch):
    monkeypatch.setattr(console, "console", Console(width=100, force_terminal=terminal, no_color=True))
    title = "A title of more words than the narrow table below it has room for"
    show(table(title, ("a", "b"), [(1, 2)]))
    assert title in capsys.readouterr().out


@pytest.mark.parametrize("width", [30, 80, 160])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_number_is_cropped(terminal, width, capsys, monkeypatch):
    monkeypatch.setattr(console, "console", Console(width=width, force_terminal=terminal, no_color=True))
    names = [f"measure-{k}" for k in range(12)]
    numbers = [f"0.49{k}" for k in range(12)]
    show(
        table(
            "Scores", ("model", *names, "why"), [("lstm", *numbers, "for a reason of many words " * 3)], numbers=names
        )
    )
    said = re.sub("\x1b\\[[0-9]*m", "", capsys.readouterr().out).split()
    assert set(said) >= {"lstm", *names, *numbers}
    assert console.console.width == width
