"""Where the time of one training step goes, part by part: `python -m benchmarks.profile`; see docs/profile.md."""

from __future__ import annotations

import argparse
import ctypes
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from statistics import median
from time import perf_counter
from typing import Any
from unittest import mock

from benchmarks.cells import NAMES
from benchmarks.command import confine, say
from benchmarks.contenders.any_cell import train
from benchmarks.contenders.contender import Ready
from benchmarks.contenders.gemm import onednn
from benchmarks.custom import OPTED
from benchmarks.shapes import Shape
from benchmarks.timing import settle
from celda.cells import CELLS
from celda.engines.cpu import passes, products, threads
from celda.engines.cpu.kernels import DTYPES

SHAPES = Shape(100, 1, 64, 64), Shape(200, 64, 16, 128), Shape(100, 64, 512, 512)
FORWARD, BACKWARD, PRODUCTS = "forward kernel", "backward kernel", "gradients of weights and inputs"
AROUND, LAYER = "around the kernels", "layer and autograd"
PARTS = FORWARD, BACKWARD, PRODUCTS, AROUND, LAYER
ROUNDS, WARM = 25, 3


class Clock:
    """Seconds by part, of the parts that are running the innermost."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What runs inside is of this part."""
        self._turn()
        self._running.append(name)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def watched(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, whose time is this part's."""

        @wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*given, **named)

        return run


def apart(clock: Clock, words: int, count: int) -> None:
    """In the place of `threads.script`: its kernels one by one, each in its part."""
    word, place = ctypes.cast(words, ctypes.POINTER(ctypes.c_int64)), 0
    multiplying = {products._code(dtype, False).address("products") for dtype in DTYPES}
    run = threads.run.__wrapped__  # type: ignore[attr-defined]  # without its clock
    for _ in range(count):
        kernel, arguments, slots, told = (word[place + k] for k in range(4))
        place += 4
        for k in range(place, place + told, 2):
            ctypes.c_int64.from_address(arguments + word[k]).value = word[k + 1]
        place += told
        with clock.part(PRODUCTS if kernel in multiplying else BACKWARD):
            run(kernel, arguments, slots)


def profile(ready: Ready) -> dict[str, list[float]]:
    """Seconds of each part, and of the whole, in each of several steps."""
    found: dict[str, list[float]] = {name: [] for name in (*PARTS, "whole")}
    for _ in range(ROUNDS):
        settle()
        for _ in range(WARM):
            ready.call()  # wakes the threads and fills the caches
        clock = Clock()
        with (
            mock.patch.object(threads, "run", clock.watched(threads.run, FORWARD)),
            mock.patch.object(threads, "script", partial(apart, clock)),
            mock.patch("celda.engines.cpu.function.forward", clock.watched(passes.forward, "forward pass")),
            mock.patch("celda.engines.cpu.function.sweep", clock.watched(passes.sweep, "backward pass")),
            clock.part(LAYER),
        ):
            ready.call()
        clock.seconds[AROUND] = clock.seconds.pop("forward pass") + clock.seconds.pop("backward pass")
        for name in PARTS:
            found[name].append(clock.seconds[name])
        found["whole"].append(sum(clock.seconds.values()))
    return found


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    made.add_argument(
        "--cell",
        default="lstm",
        choices=NAMES,
        metavar="CELL",
        help=f"lstm by default, or one of {', '.join(map(repr, NAMES))}",
    )
    made.add_argument(
        "--shape",
        type=int,
        nargs=4,
        action="append",
        metavar=("T", "B", "I", "H"),
        help="a shape, instead of three that are typical; may be given again",
    )
    chosen = made.parse_args(given)
    for sizes in chosen.shape or ():
        if min(sizes) < 1:
            made.error(f"--shape {' '.join(map(str, sizes))} has nothing to compute: write four numbers of at least 1")
    return chosen


def main() -> None:
    """Print a table for each shape."""
    chosen = arguments()
    shapes = [Shape(*sizes) for sizes in chosen.shape or SHAPES]
    confine(2)
    peak = onednn(SHAPES[0])
    rates = []
    for shape in shapes:
        ready = train(CELLS.get(chosen.cell) or OPTED[chosen.cell])(shape)
        times = profile(ready)
        start = perf_counter()
        peak.call()
        rates.append(peak.flops / (perf_counter() - start))
        whole, least = median(times["whole"]), ready.flops / max(rates)
        say(f"\n## {chosen.cell}; T, B, I, H = {shape}\n\n| part | ms | share |\n| --- | ---: | ---: |")
        for name in PARTS:
            say(f"| {name} | {1e3 * median(times[name]):.3f} | {100 * median(times[name]) / whole:.0f} % |")
        say(f"| whole step | {1e3 * whole:.3f} | |")
        say(
            f"| its products at the machine's GEMM rate ({max(rates) / 1e9:.0f} GFLOP/s) | {1e3 * least:.3f} | "
            f"{100 * least / whole:.0f} % |"
        )


if __name__ == "__main__":
    main()
