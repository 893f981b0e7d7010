"""Forward passes without gradients, over batches of the same sizes: what the sizes decide is worked out once.

Around a call of a small layer the way through `passes.forward`, which serves every call, takes longer than the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from celda.engines.cpu import pool
from celda.engines.cpu.given import multiplied
from celda.engines.cpu.kernels import forward_program, hoists, shape_for
from celda.engines.cpu.launches import forward_launches
from celda.engines.cpu.layout import plain
from celda.engines.cpu.shield import shielded
from celda.language import Cell

SIZES = 256  # that are remembered


class Planes(Mapping[str, Tensor]):
    """What a kernel wrote side by side, (T, B, values, padded), as arrays (T, B, H), each when it is asked for."""

    def __init__(self, whole: Tensor, hidden: int, places: Mapping[str, int]) -> None:
        self._whole, self._hidden, self._places = whole, hidden, places

    def __getitem__(self, name: str) -> Tensor:
        return self._whole[:, :, self._places[name], : self._hidden]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Bound:
    """One layer and direction over (T, B, width); `arrays` are the names of its weights. See `bound`."""

    def __init__(
        self,
        cell: Cell,
        sizes: tuple[int, int, int],
        hidden: int,
        dtype: torch.dtype,
        arrays: tuple[str, ...],
        reverse: bool,
        keep: tuple[str, ...],
        bfloat16: bool,
    ) -> None:
        steps, batch, width = sizes
        self._program = forward_program(cell, tuple(cell.named[n] for n in keep), False)
        self._shape = shape = shape_for(cell, dtype, hidden, bfloat16)
        self._kept = {name: self._program.record.index(cell.named[name]) for name in keep}
        self._layout = layout = plain(steps, batch, hidden, shape.lanes, reverse)
        self._hoist = hoists(self._program, batch)
        self._ahead = layout.rows * len(self._program.maps) * layout.padded
        self._sizes = self._program, layout.kind, shape, (width,), (True,), self._hoist, arrays, False
        self._initial = tuple(f"{state} at 0" for state in cell.states)
        self._zeros: dict[str, Tensor | None] = dict.fromkeys(self._initial)
        self._operands = tuple(f"operand_{k}" for k in range(len(self._program.operands)))

    @staticmethod
    def serves(cell: Cell) -> bool:
        """Whether a cell is given its input alone, as it is."""
        given, inputs = forward_program(cell, (), False).given, cell.inputs
        plainly = all(node.op == "input" for node in given) and len(given) == len(inputs) == 1
        return plainly and not (cell.masks or cell.below or cell.is_structured)

    @shielded
    def run(
        self, x: Tensor, states: Sequence[Tensor] | None, weights: Mapping[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...], Mapping[str, Tensor]]:
        """The outputs (T, B, H), last states, (1, B, H) each, from initial ones (B, H) or zeros, and what is kept."""
        layout, ready = self._layout, forward_launches(*self._sizes)  # its memory is not held here
        launch = ready.take()
        rows = x.resolve_neg().contiguous().view(layout.rows, -1)
        output = pool.empty(x, layout.steps, layout.batch, layout.hidden)
        ahead = pool.lease((self._ahead,), x.dtype) if self._hoist else None
        (factors,) = multiplied([rows], self._shape)
        values = {"given_0": factors.data_ptr(), "output": output.data_ptr(), "record": 0, "time": 0}
        values["hoisted"] = 0 if ahead is None else ahead.tensor.data_ptr()
        if self._operands:
            operands = x.new_empty(len(self._operands), layout.batch, layout.padded)
            values |= {name: operand.data_ptr() for name, operand in zip(self._operands, operands, strict=True)}
        kept: Mapping[str, Tensor] = {}
        if self._kept:  # where the kernel writes them: a trace is not copied
            count, padded = len(self._program.record), layout.padded
            record = pool.lasting((layout.steps, layout.batch, count, padded), x.dtype)
            values["record"] = record.data_ptr()
            kept = Planes(record, layout.hidden, self._kept)
        initial = self._zeros if states is None else dict(zip(self._initial, states, strict=True))
        held = launch.tell(layout, values, {**weights, **initial})
        launch.run(layout)
        del held  # not before
        final = tuple(state.clone() for state in launch.stacked[layout.steps % 2])
        ready.give_back(launch)
        return output, final, kept


@lru_cache(maxsize=SIZES)
def bound(
    cell: Cell,
    sizes: tuple[int, int, int],
    hidden: int,
    dtype: torch.dtype,
    arrays: tuple[str, ...],
    reverse: bool,
    keep: tuple[str, ...],
    bfloat16: bool,
) -> Bound | None:
    """Passes of a cell with `hidden` units over (T, B, width) = `sizes`; None where it needs more than its input."""
    if not Bound.serves(cell):
        return None
    return Bound(cell, sizes, hidden, dtype, arrays, reverse, keep, bfloat16)
