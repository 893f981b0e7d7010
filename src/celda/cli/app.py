"""The program: its commands, and how it ends."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

import celda
from celda.cli.cache import cache
from celda.cli.cells import cells
from celda.cli.classify import classify
from celda.cli.compare import compare
from celda.cli.data import data
from celda.cli.doctor import doctor
from celda.cli.explain import explain
from celda.cli.forecast import forecast
from celda.cli.language import language, sample
from celda.cli.runs import evaluate, predict, resume
from celda.cli.tag import tag
from celda.cli.words import in_its_words
from celda.errors import CeldaError

app = typer.Typer(
    name="celda",
    help="Recurrent networks of the LSTM family: from your file to a working, explained model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train = typer.Typer(help="Train a model on your data: celda train TASK DATA --run DIR.", no_args_is_help=True)
app.add_typer(train, name="train")
app.add_typer(cache, name="cache")
for task in (forecast, language, classify, tag):
    train.command()(in_its_words(task))
for command in (resume, evaluate, predict, explain, compare, sample, cells, data, doctor):
    app.command()(in_its_words(command))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"celda {celda.__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _show_what_can_be() -> None:
    r"""Have letters that the terminal has not written as \xf1: none ends the program. Who said otherwise has it so."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run `celda`; exit status 0, 1 (bad input, told in one line), 2 (usage), 130 or 143 (interrupted)."""
    _show_what_can_be()
    try:
        app()
    except CeldaError as error:
        told = str(error)
    except OSError as error:  # what the machine refuses: a full disk, a folder without permission
        told = f"{error.filename or 'this machine'}: {error.strerror or error}."
    else:
        return
    line = " ".join(told.split())  # an error of a cell's definition has three lines
    print(f"celda: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
