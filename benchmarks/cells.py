"""The speed of every cell, and of the LSTM with every option: `python -m benchmarks.cells`; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks import machine
from benchmarks.arithmetic import Value, mean_value
from benchmarks.command import RED, check, confine, contract_holds, parser, remarks, say
from benchmarks.custom import OPTED
from benchmarks.machine import QUIET, Watch
from benchmarks.measure import Times, by_shape, measure
from benchmarks.report import spread, table, write
from benchmarks.rows import Key, Row
from benchmarks.shapes import QUICK, Shape
from celda.cells import CELLS

NAMES = (*CELLS, *OPTED)
SHAPES = (Shape(100, 32, 64, 64), Shape(200, 64, 16, 128), Shape(48, 256, 8, 32))  # of the grid, up to 128 units
HOW = """\
Training, that is a forward pass and the gradients of the input and of all weights; float32. **Over the LSTM's** is the
time of a cell per operation (FLOP) over that of the plain LSTM: 1 is as good as the LSTM, less is better. **Against a
loop** is how many times as fast Celda is as a loop over the steps in PyTorch, as one writes it. A column is a shape:
steps, sequences, width of the input, units; the mean is geometric, and its spread is as wide as if all shapes were low,
or high, together. A time is the median of its rounds, in which all contenders take turns.
Operations are two for each element of a weight matrix, step and sequence, three times that in training; point-wise work
is left out, masks too, so a cell with much of it and few matrices takes longer per operation. Rounds: {repeats}. Others
took {others} of the machine meanwhile."""


def rows(names: Sequence[str], shapes: Sequence[Shape]) -> list[tuple[Row, Row]]:
    """For each cell: its time over the LSTM's, and against the loop."""
    lstm = Key("cell lstm", "celda")

    def both(name: str) -> tuple[Row, Row]:
        ours, loop = Key(f"cell {name}", "celda"), Key(f"cell {name}", "PyTorch loop")
        over = Row(name, name, ours, (lstm,), tuple(shapes), (), more_is_better=False, per_flop=True)
        return over, Row(name, name, ours, (loop,), tuple(shapes), ())

    return [both(name) for name in names]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    made = parser("cells", __doc__, "cells.md")
    made.add_argument("--only", nargs="+", default=NAMES, help=f"some of {', '.join(map(repr, NAMES))}")
    chosen = made.parse_args(given)
    if unknown := [name for name in chosen.only if name not in NAMES]:
        made.error(f"there is no {', '.join(unknown)}: write some of {', '.join(map(repr, NAMES))}")
    check(made, chosen)
    return chosen


def columns(row: Row, times: Times) -> list[str]:
    """The row's value at each shape, the mean and its spread."""
    found = by_shape(row, times)
    if not found:
        return [""] * (len(row.shapes) + 2)
    mean: Value = mean_value(list(found.values()))
    shown = [write(found[s].middle, "x") if s in found else "" for s in row.shapes]
    return [*shown, f"**{write(mean.middle, 'x')}**", spread(mean, "x")]


def whole(title: str, chosen: argparse.Namespace, repeats: int, others: float | None, times: Times) -> str:
    """The report."""
    shapes = [shape for shape in SHAPES if any(shape == there for there, _ in times.seconds)]
    head = [[*(f"{what}: {shape}" for shape in shapes), "mean", "spread"] for what in ("over the LSTM's", "a loop")]
    lines = [
        [name, *columns(over, times), *columns(loop, times)]
        for name, (over, loop) in zip(chosen.only, rows(chosen.only, shapes), strict=True)
    ]
    taken = "an unknown share" if others is None else write(others, "%")
    parts = [
        f"# {title}",
        machine.describe(chosen.threads),
        HOW.format(repeats=repeats, others=taken),
        table(["cell", *head[0], *head[1]], lines),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run, print, and write the report where a folder was named."""
    chosen = arguments()
    if not chosen.without_contract and not contract_holds():
        say(RED)
        return 1
    confine(chosen.threads)
    shapes = [s for s in SHAPES if s in QUICK or not chosen.quick]
    repeats = min(chosen.repeats, 3) if chosen.quick else chosen.repeats
    watch = Watch()
    times = measure([row for pair in rows(chosen.only, shapes) for row in pair], shapes, repeats, say)
    others = watch.others()
    title = "Every cell on the CPU" + remarks(chosen, others is not None and others > QUIET)
    text = whole(title, chosen, repeats, others, times)
    sys.stdout.write(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "cells.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
