"""`celda data`: the data sets that come with Celda."""

from __future__ import annotations

from typing import Annotated

import typer

from celda.cli.console import show, table


def data(
    name: Annotated[str | None, typer.Argument(help="A data set; without one, all are listed.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole data set as CSV and nothing else.")] = False,
) -> None:
    """List the data sets that come with Celda, or show one."""
    from celda.data import datasets, load_dataset

    if name is None:
        rows = [(d.name, d.title, f"{d.rows:,}", d.freq, d.unit) for d in datasets().values()]
        show(table("Data sets (use the name where a file is wanted)", ("name", "title", "rows", "freq", "unit"), rows))
        return
    frame = load_dataset(name)
    if csv:
        typer.echo(frame.to_csv(index=False), nl=False)
        return
    about = datasets()[name]
    show(about.title, about.description, "", frame.head(5).to_string(index=False), "...", "")
    y = frame["y"]
    show(f"{len(y):,} rows, {about.unit}: least {y.min():,.0f}, mean {y.mean():,.0f}, most {y.max():,.0f}", "")
    show(about.about().strip())
