"""The compiled kernels of each cell, made when they are first needed, and how one is launched."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from celda.engines.cpu import jit, machine, threads
from celda.engines.cpu.backward import BackwardKernel
from celda.engines.cpu.forward import ForwardKernel
from celda.engines.cpu.kernel import Arguments, Shape
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.program import BackwardProgram, ForwardProgram
from celda.language import Cell
from celda.language.expression import Node

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
ALONE = 2**18  # multiply-adds a step below which one thread is faster than two that meet


def shape_of(dtype: torch.dtype) -> Shape:
    """This machine's vectors of a dtype."""
    host = machine.host()
    return Shape(DTYPES[dtype], host.lanes(DTYPES[dtype]), host.registers)


@cache
def backward_program(cell: Cell) -> BackwardProgram:
    """The reverse sweep of a cell, worked out once."""
    return BackwardProgram(cell)


@cache
def forward_program(cell: Cell, record: tuple[Node, ...]) -> ForwardProgram:
    """The forward step of a cell that keeps `record`, worked out once."""
    return ForwardProgram(cell, record)


@dataclass(frozen=True)
class Compiled:
    """A kernel in memory and the order of its arguments."""

    arguments: Arguments
    code: jit.Compiled

    def launch(self, values: dict[str, int], layout: Layout, work: int) -> int:
        """Run on as many threads as torch may use, or on one where a step is too little work; how many at most."""
        parts = torch.get_num_threads() if work * layout.batch > ALONE else 1
        by_rows = layout.batch >= 4 * parts
        bounds = layout.bounds(parts if by_rows else 1)
        values |= {"by_rows": int(by_rows), "chunks": parts if by_rows else 1, "bounds": bounds.data_ptr()}
        block = self.arguments.pack(values)
        threads.run(self.code.address("kernel"), ctypes.addressof(block), parts)
        return parts


@cache
def forward_kernel(
    cell: Cell, shape: Shape, record: tuple[Node, ...], in_place: int, hoist: bool, resets: bool
) -> Compiled:
    """The forward kernel of a cell, compiled."""
    program = forward_program(cell, record)
    kernel = ForwardKernel(program, shape, hoist=hoist, resets=resets, in_place=in_place)
    return Compiled(kernel.arguments, jit.compile(kernel.module(), ["kernel"]))


@cache
def backward_kernel(cell: Cell, shape: Shape, record: tuple[Node, ...], in_place: int, resets: bool) -> Compiled:
    """The backward kernel of a cell whose forward kernel kept `record`, compiled."""
    kernel = BackwardKernel(backward_program(cell), shape, record=record, resets=resets, in_place=in_place)
    return Compiled(kernel.arguments, jit.compile(kernel.module(), ["kernel"]))


class Memory:
    """The buffers of one launch, by the names of the kernel's arguments; it keeps them alive."""

    def __init__(self, layout: Layout) -> None:
        self.values = layout.numbers()
        self._held: list[Tensor] = []

    def give(self, name: str, tensor: Tensor | None) -> None:
        """Hand a buffer to the kernel; None where it will not look."""
        self.values[name] = 0 if tensor is None else tensor.data_ptr()
        if tensor is not None:
            self._held.append(tensor)
