"""The compiled kernels of each cell, made when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import torch

from celda.engines.cpu import cache as disk
from celda.engines.cpu import jit, machine
from celda.engines.cpu.backward import BackwardKernel
from celda.engines.cpu.forward import ForwardKernel
from celda.engines.cpu.kernel import Arguments, Shape
from celda.engines.cpu.layout import Layout
from celda.engines.program import BackwardProgram, ForwardProgram
from celda.language import Cell
from celda.language.expression import Node

DTYPES = {torch.float32: "float32", torch.float64: "float64"}
ALONE = 2**15  # weights read and multiplications in a step, added: with fewer one thread is faster than two
CELLS = 256  # whose programs and kernels are kept in memory
AHEAD = 2**20  # multiply-adds ahead of all steps up to which a second thread costs more than it brings
HOIST = 2  # sequences up to which the products with what is given are done for all steps at once
FEW, LARGE = 12, 2**18  # rows a thread has in a step, and weights


@cache
def shape_of(dtype: torch.dtype, hidden: int, pairs: bool = False) -> Shape:
    """This machine's vectors of a dtype, for a layer of `hidden` units; with `pairs` it multiplies bfloat16."""
    host, name = machine.host(), DTYPES[dtype]
    return Shape.of(name, host.lanes(name), host.registers, hidden, pairs)


def shape_for(cell: Cell, dtype: torch.dtype, hidden: int, bfloat16: bool) -> Shape:
    """That of a call, which may ask for products of bfloat16."""
    return shape_of(dtype, hidden, bfloat16 and dtype is torch.float32 and multiplies_bfloat16(cell))


def multiplies_bfloat16(cell: Cell) -> bool:
    """Whether the kernels of a cell can multiply in bfloat16: on a processor that can, if every unit sees all others.

    Where a unit sees some, those need not begin with the first of a pair.
    """
    return machine.host().multiplies_bfloat16 and not cell.is_structured


@lru_cache(CELLS)
def backward_program(cell: Cell) -> BackwardProgram:
    """The reverse sweep of a cell, worked out once."""
    return BackwardProgram(cell)


@lru_cache(2 * CELLS)
def forward_program(cell: Cell, traced: tuple[Node, ...], training: bool) -> ForwardProgram:
    """The forward step of a cell that keeps what is traced and, when training, what the sweep reads."""
    saved = backward_program(cell).record if training else ()
    return ForwardProgram(cell, dict.fromkeys((*saved, *traced)))


@dataclass(frozen=True)
class Compiled:
    """A kernel in memory and the order of its arguments."""

    arguments: Arguments
    code: jit.Compiled


def share(layout: Layout, blocks: int, weights: int, ahead: int, slots: int) -> tuple[int, int, bool]:
    """How many of `slots` threads run a launch, into how many ranges the rows are cut, and whether a thread takes
    ranges; or else all share the units, of which there are so many `blocks`.

    `weights` are multiplied with a row a step, and so many of them `ahead` of all steps. Where a step is little work,
    one thread does them all, when the others have helped with what is done ahead.
    """
    if (weights - ahead) * (layout.batch + 1) < ALONE:
        return (slots if layout.rows * ahead > AHEAD else 1), 1, True
    few = layout.rows < FEW * layout.steps * slots and weights > LARGE
    if layout.batch >= 4 * slots and not few:
        return slots, slots, True
    slots = min(slots, blocks)  # others would have nothing to do but to meet
    return slots, 1, slots == 1


def hoists(program: ForwardProgram, batch: int) -> bool:
    """Whether the products with what is given are done for all steps at once.

    In the time loop a tile has a row a sequence, and reads a weight for as many multiplications; ahead of it the steps
    are rows too.
    """
    return batch <= HOIST and any(program.is_hoisted(q) for stage in program.stages for q in stage.products)


@lru_cache(2 * CELLS)
def forward_kernel(cell: Cell, shape: Shape, record: tuple[Node, ...], hoist: bool, resets: bool) -> Compiled:
    """The forward kernel of a cell, compiled."""
    kernel = ForwardKernel(ForwardProgram(cell, record), shape, hoist=hoist, resets=resets)
    return _load(kernel, cell, ("forward", shape, hoist, resets), record)


@lru_cache(CELLS)
def backward_kernel(
    cell: Cell, shape: Shape, record: tuple[Node, ...], resets: bool, kept: tuple[str, ...]
) -> Compiled:
    """The backward kernel of a cell whose forward kernel kept `record`, compiled."""
    kernel = BackwardKernel(backward_program(cell), shape, record=record, resets=resets, kept=kept)
    return _load(kernel, cell, ("backward", shape, resets, kept), record)


def _load(
    kernel: ForwardKernel | BackwardKernel, cell: Cell, options: tuple[object, ...], record: tuple[Node, ...]
) -> Compiled:
    key = repr((options, *_graph(cell, record)))
    return Compiled(kernel.arguments, disk.load(key, kernel.module, ["kernel"]))


def _graph(cell: Cell, record: tuple[Node, ...]) -> tuple[object, ...]:
    """All of a cell that a kernel depends on, in words that are the same in every process."""
    number = {node: k for k, node in enumerate(cell.nodes)}
    nodes = [
        (n.op, tuple(number[a] for a in n.args), n.name, n.value if n.op == "number" else None, n.width) for n in number
    ]
    maps = [
        (number[n], [(number[t.operand], t.weight, t.block) for t in linear.terms]) for n, linear in cell.linear.items()
    ]
    named = tuple(cell.masks), cell.below, tuple(cell.constants), [w.name for w in cell.weights if w.pattern]
    outputs = [(state, number[n]) for state, n in cell.outputs.items()]
    return nodes, maps, outputs, [(number[n], v) for n, v in cell.vectors.items()], [number[n] for n in record], named
