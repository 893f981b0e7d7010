"""`celda cells`: what cells there are, and one cell's equations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from celda.cli.console import show, table
from celda.errors import CeldaError
from celda.language import Cell

WIDTH = 64  # of the inputs and of the layer whose cost is told


def cells(
    name: Annotated[str | None, typer.Argument(help="A cell; without one, all are listed.")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print the equations as LaTeX and nothing else.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write a drawing of the cell to this file.")] = None,
) -> None:
    """List the cells, or print one cell's equations, the order of its products, which engine runs it and its cost."""
    from celda.cells import CELLS, find

    if name is None and (svg is not None or latex):
        raise CeldaError("A drawing or LaTeX is of one cell: name it, celda cells lstm --svg lstm.svg.")
    if name is None:
        columns = ("cell", "year", "source", "gates", "states", "weights")
        rows = [_row(c) for c in CELLS.values()]
        show(
            table(
                f"Cells (weights of one layer, {WIDTH} inputs, {WIDTH} units)",
                columns,
                rows,
                numbers=["year", "weights"],
            )
        )
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
    from celda.language.cost import cost

    show(cell.doc, "", *("  " + line for line in cell.equations().splitlines()), "")
    inputs = ", ".join((*cell.inputs, *cell.below))
    show(f"inputs: {inputs}; states: {', '.join(cell.states)}; gates: {', '.join(cell.gates)}", "")
    show("In a step:", *_stages(cell), "")
    found = cost(cell, _sizes(cell, WIDTH), WIDTH)
    show(f"One layer, {WIDTH} inputs and {WIDTH} units, float32:")
    show(f"  weights: {found.weights:,} ({_kilobytes(found.weights)})")
    show(f"  a step of a sequence: {found.flops:,} FLOPs in products, three times that in training")
    show(f"  state: {found.state:,} numbers a sequence ({_kilobytes(found.state)})")
    show(f"  kept for the gradients: {found.kept:,} numbers a step of a sequence ({_kilobytes(found.kept)})", "")
    show(str(choose("auto", torch.zeros(1))))
    show(f"drawing: {svg}" if svg is not None else f"drawing: celda cells {cell.name} --svg {cell.name}.svg")


def _kilobytes(numbers: int) -> str:
    return f"{4 * numbers / 1000:,.1f} kB"


def _stages(cell: Cell) -> list[str]:
    """The stages of a step, one a line: the matrices and what they multiply, then the values that are named."""
    from celda.language.equations import shown
    from celda.language.schedule import schedule

    lines, names = list[str](), {node: name for name, node in cell.named.items()}
    for stage in schedule(cell):
        operands = [shown(cell, product.operand) for product in stage.products]
        operands = [f"({operand})" if " " in operand else operand for operand in operands]
        multiplied = [f"{p.weight} {operand}" for p, operand in zip(stage.products, operands, strict=True)]
        made = [names[node] for node in stage.pointwise if node in names]
        parts = [f"products {', '.join(multiplied)}"] if multiplied else []
        parts += [f"unit by unit {', '.join(made)}"] if made else []
        lines += [f"  {len(lines) + 1}. {'; '.join(parts)}"] if parts else []
    return lines


def _row(cell: Cell) -> tuple[str, ...]:
    from celda.cells import source

    found = source(cell)
    authors, year = (found.authors, str(found.year)) if found else ("", "")
    weights = f"{cell.count(_sizes(cell, WIDTH), WIDTH):,}"
    return cell.name, year, authors, ", ".join(cell.gates), ", ".join(cell.states), weights


def _sizes(cell: Cell, width: int) -> dict[str, int]:
    return dict.fromkeys(cell.inputs, width)
