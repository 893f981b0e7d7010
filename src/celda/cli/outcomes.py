"""How the outcome of a run is shown."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from celda.cli.console import show, table
from celda.cli.words import spoken

if TYPE_CHECKING:
    from celda.tasks.run_folder import Outcome


_BY_SIGNAL = 128  # and its number, as shells expect it: 130 or 143; a script that goes on with `&&` must not


@contextmanager
def interruptible(run: Path | None, again: str = ".") -> Iterator[None]:
    """Ctrl-C or SIGTERM inside the block ends the program well, with a word on stderr on how to go on.

    `run`: the folder of the run that can be resumed; None: there is none, and `again` says what to do.
    """
    former = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        how = again
        if run and (run / "config.json").is_file() and any((run / "checkpoints").glob("*.safetensors")):
            how = f"; the checkpoint is written. Go on with:  celda resume {shlex.quote(str(run))}"
        elif run and (run / "config.json").is_file():
            how = f" before the first checkpoint. Begin again with:  celda resume {shlex.quote(str(run))}"
        typer.echo(f"Interrupted{how}", err=True)
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        raise typer.Exit(_BY_SIGNAL + number) from None
    finally:
        signal.signal(signal.SIGTERM, former)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def show_outcome(outcome: Outcome, data: str | None = None) -> None:
    """The scores of the model beside its baselines, what was noticed, and what was written where.

    `data`: what the user named to be scored; the model may have learned from it.
    """
    columns = list(outcome.scores.columns)
    rows = [(name, *(_number(v) for v in values)) for name, *values in outcome.scores.itertuples()]
    what = outcome.what.removesuffix("s") if outcome.windows == 1 else outcome.what
    held_out = f"Test: {outcome.windows:,} {what} that the model had not seen"
    title = held_out if data is None else f"{data}: {outcome.windows:,} {what}"
    show(table(title, ("model", *columns), rows, numbers=columns), "")
    show(*map(spoken, outcome.notes))
    if outcome.files:
        show("", table("Written", ("what", "where"), outcome.files.items()))
    minutes, seconds = round(outcome.seconds / 60), max(1, round(outcome.seconds))
    show("", f"Took {minutes} minutes." if minutes > 2 else f"Took {seconds} second{'s' * (seconds > 1)}.")


def _number(value: float) -> str:
    if value != value:  # a baseline has no intervals, say
        return "-"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
