"""`celda explain`: a trained model opened, as a page to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from celda.cli.console import show, table
from celda.cli.runs import Data
from celda.errors import CeldaError


def explain(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or of a model.")],
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the report. [default: `explained` in that of the run]")
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="The step that is walked through the cell, from 1. [default: the last]")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Write a report on what happens inside a trained model of any task: its gates, its memory, one step by hand."""
    from celda import insight
    from celda.tasks import explained

    if step is not None and step < 1:
        raise CeldaError(f"step={step} is no step: they are counted from 1.")
    tell: Callable[[str], object] = (lambda line: None) if quiet else (lambda line: show(f"{line} ..."))
    tell("reading the model and the data")
    subject = explained.subject(run, data)
    count = len(subject.parts[0].labels)
    if step is not None and step > count:
        raise CeldaError(f"step={step} is none: the network reads {count} steps, so write 1 to {count}.")
    folder = out or _folder(run)
    written = insight.explain(subject, folder, step=-1 if step is None else step - 1, tell=tell)
    if not quiet:
        pictures = ", ".join(path.name for name, path in written.items() if name != "report")
        rows = [("report", written["report"]), ("the same as pictures", pictures)]
        show(table("Written", ("what", "where"), rows), "", "Open the report in a browser; it needs no network.")


def _folder(run: Path) -> Path:
    """Within a run; beside a model, which holds nothing but itself."""
    if not (run / "model.safetensors").is_file():
        return run / "explained"
    whole = run if run.name.strip(".") else run.resolve()  # `.` has no name of its own
    return whole.with_name(f"{whole.name}-explained")
