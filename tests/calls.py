"""Calls of a cell with random numbers in them, for the tests of engines."""

from collections.abc import Mapping

import torch
from torch import Tensor

from celda.engines import Call
from celda.language import Cell

WIDTHS = {"x": 3, "image": 2, "static": 4}  # of the inputs that test cells have


def proper(cell: Cell, state: str, value: Tensor) -> Tensor:
    """A state as the cell can come to have it: an sLSTM's normaliser is 1 or more, a narrow state ends with zeros."""
    if state in cell.narrow:
        return value * (torch.arange(value.shape[-1]) < cell.narrow[state])
    return 1 + value.abs() if "slstm" in cell.name and state == "n" else value


def random_weights(
    cell: Cell, hidden: int, generator: torch.Generator, widths: Mapping[str, int] = WIDTHS, bias: bool = True
) -> dict[str, Tensor]:
    """Weights of one layer of `cell`, float64, normal with a standard deviation of 0.5, and its constants."""
    columns = {"hidden": hidden, **widths}
    found = {
        w.name: 0.5
        * torch.randn(
            (w.blocks * hidden, *([columns[w.columns]] if w.columns else [])), dtype=torch.float64, generator=generator
        )
        for w in cell.weights
        if bias or not w.is_bias
    }
    constants = {n: (torch.arange(hidden) * count // hidden).double() for n, count in cell.constants.items()}
    return found | constants


def random_call(
    cell: Cell, *, steps: int = 4, batch: int = 3, hidden: int = 5, seed: int = 0, bias: bool = True, **options: object
) -> Call:
    """A call over normal float64 numbers; further inputs are one a step. `options` are those of `Call`."""
    g = torch.Generator().manual_seed(seed)
    normal = lambda *size: torch.randn(size, dtype=torch.float64, generator=g)  # noqa: E731
    inputs = {name: normal(steps, batch, WIDTHS[name]) for name in cell.inputs}
    inputs |= {name: normal(steps, batch, hidden) for name in cell.below}
    states = tuple(proper(cell, name, normal(batch, hidden)) for name in cell.states)
    return Call(cell, inputs, states, random_weights(cell, hidden, g, bias=bias), **options)  # type: ignore[arg-type]
