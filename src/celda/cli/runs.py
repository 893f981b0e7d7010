"""`celda resume`, `evaluate`, `predict`: what is done with a run that was begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from celda.cli.console import show
from celda.cli.outcomes import interruptible, show_outcome
from celda.errors import CeldaError

Folder = Annotated[Path, typer.Argument(help="The folder of the run.")]
Data = Annotated[str | None, typer.Argument(help="A table, text, file or folder; without one, the run's own.")]
Table = Annotated[str | None, typer.Argument(help="A table, file or folder; without one, the run's own.")]
FutureData = Annotated[str | None, typer.Option(help="A table of the future covariates of the next h steps.")]


def resume(
    run: Folder,
    data: Data = None,
    future_data: FutureData = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing while training.")] = False,
) -> None:
    """Go on with a run that was interrupted; it ends as it would have without."""
    from celda.tasks import runs
    from celda.tasks.run_folder import RunFolder

    further = _future(run, future_data)
    ended = RunFolder.find(run).has_ended
    with interruptible(run):
        show_outcome(runs.of(run).resume(run, data, quiet=quiet, **further))
    if ended:
        show("", "The run had ended already: nothing was left to train.")


def evaluate(run: Folder, data: Data = None) -> None:
    """Show the scores of a run's test or, with other data, of that: a longer table, another text, other sequences."""
    from celda.tasks import runs

    show_outcome(runs.of(run).evaluate(run, data), None if data is None else Path(data).name)


def predict(
    run: Folder,
    data: Table = None,
    future_data: FutureData = None,
    out: Annotated[Path | None, typer.Option(help="Write the table to this CSV file.")] = None,
) -> None:
    """Forecast the steps after the end of a table, or tell the labels of sequences, as CSV."""
    from celda.files import written_aside
    from celda.tasks import runs
    from celda.tasks.forecast_run import to_csv

    text = to_csv(runs.of(run).predict(run, data, **_future(run, future_data)))
    if out is None:
        typer.echo(text, nl=False)
        return
    with written_aside(out) as aside:
        aside.write_text(text, encoding="utf-8")
    show(f"written: {out}")


def _future(run: Path, table: str | None) -> dict[str, str]:
    """The covariates of the future, which only a forecast takes."""
    from celda.tasks import runs

    if table is not None and runs.task_of(run) != "forecast":
        raise CeldaError("future_df is for forecasts, and this run is of another task: leave it out.")
    return {} if table is None else {"future": table}
