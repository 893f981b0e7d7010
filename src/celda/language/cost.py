"""What a step of a cell costs: numbers learned, operations, and numbers kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from celda.language.calculus import gradient
from celda.language.cell import Cell


@dataclass(frozen=True)
class Cost:
    """Of one layer, and where it says so of one step of one sequence.

    `flops` are two for each number of a matrix, forward; the gradients take twice as many besides. Point-wise work is
    left out. `state` is how many numbers go on to the next step, `kept` how many training keeps of each step.
    """

    weights: int
    flops: int
    state: int
    kept: int


def cost(cell: Cell, input_size: int | Mapping[str, int], hidden_size: int) -> Cost:
    """The cost of a cell; see `Cell.count` for the sizes. Biases are counted."""
    matrices = sum(n for weight, n in cell.counts(input_size, hidden_size).items() if weight.columns is not None)
    state = sum(cell.units(name, hidden_size) for name in cell.states)
    return Cost(cell.count(input_size, hidden_size), 2 * matrices, state, len(gradient(cell).saved) * hidden_size)
