"""Random cells and shapes for minutes: the results stay right and the memory flat. `python -m benchmarks.soak`."""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import replace

import psutil
import torch
from hypothesis import Phase, given, seed, settings

from celda.cells import CELLS
from celda.engines.cpu import pool
from celda.language import Cell
from tests.contract.cases import Case, exact, make, same, values
from tests.strategies import random_cells

GROWTH = 1.05  # of the resident memory besides the pool, which has a limit, from the first minute's end on
EVERY = 10.0  # seconds between two lines
SLACK = {torch.float32: 100.0, torch.float64: 1e6}  # a random cell may make much of a rounding; an error is larger
HIDDEN = (1, 7, 16, 17, 33, 64, 96, 130)


def drawn_cells(count: int, number: int) -> list[Cell]:
    """Some cells of no paper."""
    found: list[Cell] = []

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate])
    @given(random_cells())
    def collect(cell: Cell) -> None:
        found.append(cell)

    collect()
    return found[:count]


def drawn_kernel(rng: random.Random, cell: Cell) -> Case:
    """What a kernel is compiled for; float64 where a cell may jump, so that a rounding is no error."""
    dtypes = (torch.float32, torch.float64) if cell in CELLS.values() else (torch.float64,)
    few = rng.random() < 0.5
    return Case(rng.choice(HIDDEN), rng.choice(dtypes), rng.random() < 0.5, 1 if few else 20)


def drawn_case(rng: random.Random, kernel: Case) -> Case:
    """Sizes and options that run on a kernel that is there already: few sizes, so that a minute sees most buffers."""
    flags = {name: rng.random() < 0.5 for name in ("lengths", "given", "bias", "reverse", "constant")}
    batch = rng.choice((1, 3)) if kernel.batch < 4 else rng.choice((7, 20, 33))
    sizes = {"batch": batch, "steps": rng.choice((1, 12, 64)), "width": rng.choice((1, 40))}
    return replace(kernel, **sizes, **flags, threads=rng.randint(1, 3), loss=rng.choice(("both", "y", "states", "")))


def once(cell: Cell, case: Case, number: int, compare: bool) -> None:
    """One call, its gradients too where the case has any; AssertionError where it is not the reference."""
    torch.set_num_threads(case.threads)
    call = make(cell, case, number)
    found = values(call, "cpu", case.loss)
    if compare:
        same(found, values(exact(call), "reference", case.loss), "cpu", SLACK[case.dtype])


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """0 where all went well, 1 where memory grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long, after all is compiled (default: 10)")
    parser.add_argument("--cells", type=int, default=10, help="random cells besides the shipped ones (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, me = random.Random(chosen.seed), psutil.Process()
    cells = [*CELLS.values(), *drawn_cells(chosen.cells, chosen.seed)]
    kernels = [(cell, drawn_kernel(rng, cell)) for cell in cells for _ in range(2)]
    for cell, case in kernels:
        for loss in ("both", ""):
            once(cell, replace(case, loss=loss), 0, compare=True)
    begun = said = time.monotonic()
    calls = compared = 0
    after_a_minute: float | None = None
    most = 0.0
    while (now := time.monotonic()) < begun + 60 * chosen.minutes:
        cell, kernel = rng.choice(kernels)
        compare = calls % 25 == 0
        case = drawn_case(rng, kernel)
        once(cell, replace(case, steps=case.steps % 10 + 1) if compare else case, calls % 3, compare)
        calls, compared = calls + 1, compared + compare
        if now > said + EVERY:
            said, spare = now, pool.unused() / 2**20
            resident = me.memory_info().rss / 2**20 - spare
            if now > begun + 60:
                after_a_minute = after_a_minute or resident
                most = max(most, resident)
            say(
                f"{now - begun:6.0f} s  {calls:7} calls  {compared:5} compared  "
                f"{resident:7.1f} MiB resident besides {spare:6.1f} MiB in the pool"
            )
    if after_a_minute is None:
        say("too short to say anything about memory: write --minutes 2 or more")
        return 0
    say(f"after a minute {after_a_minute:.1f} MiB, at most {most:.1f} MiB later: {most / after_a_minute - 1:+.1%}")
    return int(most > GROWTH * after_a_minute)


if __name__ == "__main__":
    sys.exit(main())
