"""What tracing costs: `with celda.trace(layer)` beside an inference pass that keeps nothing.

python -m benchmarks.tracing

A trace keeps every gate and state of every step, six arrays as long as the output for an LSTM. The third contender
does no more than write so much memory anew, which is what a trace spends at the least.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch

import celda
from benchmarks.timing import interleave

SHAPES = ((100, 32, 64, 64), (200, 64, 16, 128), (100, 1, 64, 64), (100, 64, 256, 256))
REPEATS = 30


def contenders(cell: str, shape: tuple[int, int, int, int]) -> dict[str, Callable[[], object]]:
    """A pass that keeps nothing, one that is traced, and the writing of what a trace holds."""
    steps, batch, inputs, hidden = shape
    torch.manual_seed(0)
    layer, x = celda.Recurrent(cell, inputs, hidden).eval(), torch.randn(steps, batch, inputs)
    kept = torch.ones(len(layer.cell.named), steps, batch, hidden)

    def traced() -> object:
        with celda.trace(layer):
            return layer(x)

    calls = {"keeps nothing": lambda: layer(x), "traced": traced, "writes as much": lambda: kept.clone()}
    for call in calls.values():  # compile
        call()
    return calls


@torch.inference_mode()
def main() -> None:
    """Print a line a cell and shape: medians in milliseconds, and the ratio of traced to keeping nothing."""
    print(f"{torch.get_num_threads()} threads, medians of {REPEATS} interleaved rounds, in ms")  # noqa: T201
    print("cell   (T, B, I, H)           keeps nothing   traced   ratio   writes as much")  # noqa: T201
    for cell in ("lstm", "gru"):
        for shape in SHAPES:
            times = interleave(contenders(cell, shape), REPEATS)
            bare, traced, copy = (1e3 * median(times[name]) for name in ("keeps nothing", "traced", "writes as much"))
            print(f"{cell:6} {shape!s:22} {bare:13.3f} {traced:8.3f} {traced / bare:7.2f} {copy:16.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
