"""Layers of different cells with equally many weights."""

from __future__ import annotations

from collections.abc import Callable


def matching_size(weights: Callable[[int], int], wanted: int) -> int:
    """The hidden size at which `weights`, which grow with it, are nearest to `wanted`; of two, the smaller."""
    low, high = 0, 1  # weights(low) < wanted <= weights(high) in the end
    while weights(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if weights(middle) < wanted else (low, middle)
    if low == 0:
        return high
    return low if wanted - weights(low) <= weights(high) - wanted else high
