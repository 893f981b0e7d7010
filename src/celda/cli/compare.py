"""`celda compare`: the table of cells that every course shows, measured on the reader's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from celda.cli.console import show, table
from celda.cli.forecast import Device
from celda.cli.outcomes import interruptible
from celda.cli.words import spoken
from celda.errors import CeldaError

if TYPE_CHECKING:
    from celda.insight import GradientByLag
    from celda.tasks.comparison import Comparison

Task = Literal["forecast", "classify", "tag", "language"]


def compare(
    task: Annotated[Task, typer.Argument(help="What the cells are compared by.")],
    data: Annotated[str, typer.Argument(help="The data, as `celda train TASK` takes it.")],
    cells: Annotated[
        str, typer.Option(help="Two cells or more, with commas; the others are held against the first.")
    ] = "lstm,gru,rnn",
    seeds: Annotated[int, typer.Option(help="How often each cell is trained. A test needs 5.")] = 5,
    out: Annotated[Path | None, typer.Option(help="The folder for tables and figure; what it holds is kept.")] = None,
    hidden_size: Annotated[
        int | None, typer.Option(help="Units of the first cell; the others have as many weights. [default: the task's]")
    ] = None,
    num_layers: Annotated[int | None, typer.Option(help="Recurrent layers stacked on one another.")] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs to train. [default: the task's]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="As in `celda train TASK`.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    h: Annotated[int | None, typer.Option("--h", help="forecast: the horizon, in steps.")] = None,
    input_size: Annotated[int | None, typer.Option(help="forecast: the window, in steps.")] = None,
    time_col: Annotated[str | None, typer.Option(help="forecast, classify, tag: the column of times.")] = None,
    target_col: Annotated[str | None, typer.Option(help="forecast: the column to forecast.")] = None,
    id_col: Annotated[str | None, typer.Option(help="forecast, classify, tag: the column of ids.")] = None,
    text_col: Annotated[str | None, typer.Option(help="classify: the column of texts.")] = None,
    token_col: Annotated[str | None, typer.Option(help="tag: the column of words.")] = None,
    label_col: Annotated[str | None, typer.Option(help="classify, tag: the column of labels.")] = None,
    steps: Annotated[int | None, typer.Option(help="language: characters that gradients go back through.")] = None,
    device: Annotated[Device, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but the table.")] = False,
) -> None:
    """Compare cells on DATA with equally many weights: memory, gradient, gates, time and error, over several seeds."""
    given = {name: value for name, value in locals().items() if value is not None}
    from celda import tasks
    from celda.tasks.comparison import compare as compared

    kinds: dict[str, Any] = {
        "forecast": tasks.Forecaster,
        "classify": tasks.Classifier,
        "tag": tasks.Tagger,
        "language": tasks.LanguageModel,
    }
    known = kinds[task]._get_param_names()
    ours = {"task", "data", "cells", "seeds", "out", "quiet"}
    if foreign := [name for name in given if name not in known and name not in ours]:
        raise CeldaError(f"{foreign[0]}={given[foreign[0]]!r} is no option of the task {task}: leave it out.")
    source: Any = Path(data) if task == "language" else data
    names = [name.strip() for name in cells.split(",") if name.strip()]
    options = {name: value for name, value in given.items() if name in known}
    again = "; what has ended is kept. Go on with the same command." if out else "."
    with interruptible(None, again):
        found = compared(
            task,
            source,
            names,
            options,
            measure=_measure,
            seeds=seeds,
            out=out,
            report=(lambda line: None) if quiet else (lambda line: typer.echo(line, err=True)),
        )
        _show(found)
        if out and not quiet:
            files = {"cells": "compare.csv", "each training": "runs.csv", "figure": "compare.png"}
            show("", table("Written", ("what", "where"), [(what, out / name) for what, name in files.items()]))


def _measure(network: Any, run: Callable[[], object]) -> GradientByLag:
    """Insight knows no task, and tasks no insight: they meet here."""
    from celda.insight import gradient_of, record

    return gradient_of(record(network, run)[0])


def _show(found: Comparison) -> None:
    """The table, and how to read it."""
    rows, first = [], found.cells[0]
    for _, row in found.table().iterrows():
        tested = f", p {row['p']:.2g}" if row["p"] == row["p"] else ""
        against = "" if row["cell"] == first else f"{row['difference']:+.2g}{tested}"
        rows.append(
            (
                f"{row['cell']}{' *' if row['best'] else ''}",
                row["gates"] or "none",
                row["hidden_size"],
                f"{row['weights']:,}",
                _spread(row, "error"),
                against,
                _spread(row, "memory"),
                _spread(row, "halfway"),
                _spread(row, "pace"),
            )
        )
    numbers = ("units", "weights", found.error, f"against {first}", "memory", "gradient", "seconds an epoch")
    show(table("Cells, with equally many weights", ("cell", "gates", *numbers), rows, numbers=numbers), "")
    show(*(spoken(note) for note in found.notes))


def _spread(row: Any, name: str) -> str:
    """Mean ± standard deviation; of one seed, the value."""
    spread = row[f"{name}_sd"]
    return f"{row[name]:.3g}" + (f" ± {float(f'{spread:.1g}'):g}" if spread == spread else "")
