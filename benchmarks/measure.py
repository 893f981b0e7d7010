"""The times of the contenders that rows ask for, and the rows' values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.arithmetic import Value, mean_value, ratio, worst_value
from benchmarks.contenders import TASKS, Ready
from benchmarks.rows import Demand, Key, Row
from benchmarks.shapes import Shape
from benchmarks.timing import interleave


@dataclass
class Times:
    """Seconds of every round, and the operations of a call, by shape and contender; who could not take part."""

    seconds: dict[tuple[Shape, Key], list[float]] = field(default_factory=dict)
    flops: dict[tuple[Shape, Key], float] = field(default_factory=dict)
    missing: dict[Key, tuple[str, ...]] = field(default_factory=dict)

    def middle(self, shape: Shape, key: Key) -> float:
        """The median, in seconds."""
        return median(self.seconds[shape, key])

    def rate(self, shape: Shape, key: Key) -> float:
        """Operations a second, in thousands of millions (GFLOP/s)."""
        return self.flops[shape, key] / self.middle(shape, key) / 1e9

    def fastest(self, shape: Shape, keys: Iterable[Key]) -> Key | None:
        """Who took the least time there, or None where nobody took part."""
        return min((k for k in keys if (shape, k) in self.seconds), key=lambda k: self.middle(shape, k), default=None)


def measure(rows: Sequence[Row], shapes: Sequence[Shape], repeats: int, say: Callable[[str], None]) -> Times:
    """Time everything that the rows compare, shape after shape; training and inference in turns of their own."""
    times = Times()
    for shape in shapes:
        wanted = [k for row in rows if shape in row.shapes for k in (row.subject, *row.base, *row.beside)]
        for training in (True, False):
            keys = [k for k in dict.fromkeys(wanted) if TASKS[k.task].training is training]
            present = [k for k in keys if not _missing(k, times)]
            if present:
                say(f"T, B, I, H = {shape}: {'training' if training else 'inference'}, {len(present)} contenders")
                _at(shape, present, training, repeats, times)
    return times


def _missing(key: Key, times: Times) -> bool:
    missing = TASKS[key.task].contenders[key.name].missing
    if missing:
        times.missing[key] = missing
    return bool(missing)


def _at(shape: Shape, keys: list[Key], training: bool, repeats: int, times: Times) -> None:
    ready = {key: TASKS[key.task].contenders[key.name].build(shape) for key in keys}
    with torch.inference_mode(not training):
        check_same(ready)
        found = interleave({key: r.call for key, r in ready.items()}, repeats)
    for key in keys:
        times.seconds[shape, key], times.flops[shape, key] = found[key], ready[key].flops


def check_same(ready: dict[Key, Ready]) -> None:
    """Stop where contenders for one task give different numbers: their times could not be compared."""
    first: dict[str, tuple[Key, list[Any]]] = {}
    for key, contender in ready.items():
        results = [a.detach().float() if isinstance(a, torch.Tensor) else a for a in contender.call()]  # no bfloat16
        arrays = [np.array(a).ravel() for a in results]
        other, expected = first.setdefault(key.task, (key, arrays))
        off = max(_distance(a, b) for a, b in zip(arrays, expected, strict=True))
        if not off <= (limit := TASKS[key.task].contenders[key.name].tolerance):
            raise SystemExit(f"{key} is {off:.1e} away from {other.name}, more than {limit:.0e}: nothing is timed.")


def _distance(array: Any, expected: Any) -> float:
    """The largest difference, of the largest value expected; infinite where one of them is no number."""
    apart, largest = float(np.abs(array - expected).max()), float(np.abs(expected).max())
    if not np.isfinite(apart):
        return np.inf
    return apart / largest if largest else apart


def by_shape(row: Row, times: Times) -> dict[Shape, Value]:
    """The row's value at every shape that was measured."""
    found = {}
    for shape in row.shapes:
        base = times.fastest(shape, row.base)
        if base is None or (shape, row.subject) not in times.seconds:
            continue
        above, below = (base, row.subject) if row.more_is_better else (row.subject, base)
        flops = times.flops[shape, below] / times.flops[shape, above] if row.per_flop else 1.0
        found[shape] = ratio(times.seconds[shape, above], times.seconds[shape, below], flops)
    return found


def over_shapes(demand: Demand, row: Row, values: Sequence[Value]) -> Value:
    """What a demand speaks of."""
    return mean_value(values) if demand.over == "geometric mean" else worst_value(values, row.more_is_better)
