"""How the outcome of a run is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from celda.cli.console import show, table

if TYPE_CHECKING:
    from celda.tasks.run_folder import Outcome


INTERRUPTED = 130  # 128 + SIGINT, as shells expect it: a script that goes on with `&&` must not


@contextmanager
def interruptible(run: Path) -> Iterator[None]:
    """Ctrl-C inside the block ends the program well, with a word on how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        begun = (run / "config.json").is_file() and any((run / "checkpoints").glob("*.safetensors"))
        show(f"Interrupted; the checkpoint is written. Go on with:  celda resume {run}" if begun else "Interrupted.")
        raise typer.Exit(INTERRUPTED) from None


def show_outcome(outcome: Outcome) -> None:
    """The scores of the model beside its baselines, what was noticed, and what was written where."""
    columns = list(outcome.scores.columns)
    rows = [(name, *(_number(v) for v in values)) for name, *values in outcome.scores.itertuples()]
    title = f"Test: {outcome.windows} forecasts that the model had not seen"
    show(table(title, ("model", *columns), rows, numbers=columns), "")
    show(*outcome.notes)
    if outcome.files:
        show("", table("Written", ("what", "where"), outcome.files.items()))
    show("", f"{outcome.seconds:.0f} seconds")


def _number(value: float) -> str:
    if value != value:  # a baseline has no intervals, say
        return "-"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
