"""What is made of measured times: medians, ratios and their spread, means over shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from statistics import median, quantiles


@dataclass(frozen=True)
class Value:
    """A measured number, and the quartiles of the same number taken round by round."""

    middle: float
    low: float
    high: float


def geometric_mean(values: Sequence[float]) -> float:
    """The number whose logarithm is the mean of the logarithms."""
    return exp(fsum(map(log, values)) / len(values))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """A quarter of the values lies below the first, a quarter above the second."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def repeated(values: Sequence[float]) -> Value:
    """One number measured several times: its median."""
    return Value(median(values), *quartiles(values))


def ratio(above: Sequence[float], below: Sequence[float], factor: float = 1.0) -> Value:
    """`factor` times the ratio of two medians; the spread is that of the ratios within each round.

    What disturbs a whole round disturbs both of its times, so it widens neither.
    """
    rounds = [factor * a / b for a, b in zip(above, below, strict=True)]
    return Value(factor * median(above) / median(below), *quartiles(rounds))


def mean_value(values: Sequence[Value]) -> Value:
    """The geometric mean over shapes; the spread is as wide as if all were low, or high, together."""
    return Value(*(geometric_mean([getattr(v, part) for v in values]) for part in ("middle", "low", "high")))


def worst_value(values: Sequence[Value], more_is_better: bool) -> Value:
    """The value that is furthest from good."""
    return (min if more_is_better else max)(values, key=lambda v: v.middle)
