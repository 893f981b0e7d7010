"""`celda cells`: what cells there are, and one cell's equations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from celda.cli.console import show, table
from celda.language import Cell


def cells(
    name: Annotated[str | None, typer.Argument(help="A cell; without one, all are listed.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations as LaTeX and nothing else.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write a drawing of the cell to this file.")] = None,
) -> None:
    """List the cells, or print one cell's equations and what it costs."""
    from celda.cells import CELLS, find

    if name is None:
        columns = ("cell", "year", "source", "gates", "states", "weights")
        rows = [_row(c) for c in CELLS.values()]
        show(table("Cells (weights of one layer, 64 inputs, 64 units)", columns, rows, numbers=["year", "weights"]))
        return
    cell = find(name)
    if svg is not None:
        from celda.files import written_aside

        with written_aside(svg) as aside:
            aside.write_text(cell.diagram(), encoding="utf-8")
    if latex:
        show(cell.latex())
        return
    import torch

    from celda.engines import choose
    from celda.language.schedule import schedule

    stages = sum(bool(stage.products) for stage in schedule(cell))
    weights = cell.count(_sizes(cell, 64), 64)
    show(cell.doc, "", *("  " + line for line in cell.equations().splitlines()), "")
    show(f"inputs: {', '.join(cell.inputs)}; states: {', '.join(cell.states)}; gates: {', '.join(cell.gates)}")
    show(f"one layer of 64 inputs and 64 units has {weights:,} weights")
    show(f"products in a row within a step: {stages}", str(choose("auto", torch.zeros(1))))
    if svg is not None:
        show(f"drawing: {svg}")


def _row(cell: Cell) -> tuple[str, ...]:
    from celda.cells import source

    found = source(cell)
    authors, year = (found.authors, str(found.year)) if found else ("", "")
    weights = f"{cell.count(_sizes(cell, 64), 64):,}"
    return cell.name, year, authors, ", ".join(cell.gates), ", ".join(cell.states), weights


def _sizes(cell: Cell, width: int) -> dict[str, int]:
    return dict.fromkeys(cell.inputs, width)
