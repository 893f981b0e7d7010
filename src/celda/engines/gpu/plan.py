"""What the kernels of a cell store, multiply and hand on, for a GPU: the programs of `celda.engines.program` laid out.

Torch does what is given ahead of the loop, the products with inputs; the rest is in the kernels. A kernel holds all
the units of its sequences, so a mean over the units is point-wise work to it, and only a product parts one segment of a
step from the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache

from celda.engines.program import BackwardProgram, ForwardProgram
from celda.language import Cell
from celda.language.cell import Term
from celda.language.expression import Node
from celda.language.schedule import Product

CELLS = 256  # whose plans are kept


class ForwardPlan:
    """One step forward. `stored`: the values kept at every step, besides the output."""

    def __init__(self, cell: Cell, wanted: Iterable[Node]) -> None:
        self.cell = cell
        self.output = cell.outputs[cell.states[0]]
        self.stored = tuple(node for node in dict.fromkeys(wanted) if node is not self.output)
        self.program = ForwardProgram(cell, self.stored)
        self.read = self.program.read
        self.maps = self.program.maps
        self.told = tuple(m for m in self.maps if any(map(self.is_given, cell.linear[m].terms)))  # inputs are told them
        self.rest = tuple(m for m in self.maps if m not in self.told)  # a bias at most is ahead of these
        self.segment: list[int] = []  # of each stage
        self.segments: list[tuple[Product, ...]] = []  # the products that each begins with
        for stage in self.program.stages:
            inside = tuple(p for p in stage.products if not self.program.is_given(p.operand))
            if inside or not self.segments:
                self.segments.append(inside)
            self.segment.append(len(self.segments) - 1)

    def is_given(self, term: Term) -> bool:
        """Whether a term's operand is known before the first step."""
        return self.program.is_given(term.operand)

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The products within the step."""
        return tuple(product for segment in self.segments for product in segment)

    @cached_property
    def matrices(self) -> tuple[str, ...]:
        """The matrices of these products."""
        return tuple(dict.fromkeys(product.weight for product in self.products))

    @cached_property
    def operands(self) -> tuple[Node, ...]:
        """What these products multiply."""
        return tuple(dict.fromkeys(product.operand for product in self.products))

    @cached_property
    def crossing(self) -> tuple[Node, ...]:
        """Values of one segment that a later one may read."""
        return tuple(node for node in self.program.crossing if self.segment_of(node) < len(self.segments) - 1)

    def segment_of(self, node: Node) -> int:
        """The segment in which a value is computed."""
        return self.segment[self.program.stage_of(node)]


class BackwardPlan:
    """One step of the sweep. `reads`: the values of the forward step that it reads."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.program = cell, BackwardProgram(cell)
        gradient = self.program.gradient
        old = [node for node in self.program.nodes if node.op == "state"]
        self.reads = tuple(dict.fromkeys((*gradient.saved, *old)))
        self.read, self.maps, self.vectors = self.program.read, self.program.maps, self.program.vectors
        self.constants = tuple(cell.constants)
        self.whole = len(gradient.maps) == len(self.maps)  # whether every map has an adjoint
        self.segment: list[int] = []  # of each level
        self.segments: list[tuple[Node, ...]] = []
        for level, products in enumerate(self.program.products):
            if level == 0 or products:
                self.segments.append(products)
            self.segment.append(len(self.segments) - 1)

    @cached_property
    def products(self) -> tuple[Node, ...]:
        """All transposed products, those first that are put off to the next step."""
        return tuple(product for segment in self.segments for product in segment)

    @cached_property
    def matrices(self) -> tuple[str, ...]:
        """The matrices of the products."""
        return tuple(dict.fromkeys(self.program.terms(product)[0].weight for product in self.products))

    @cached_property
    def crossing(self) -> tuple[Node, ...]:
        """Adjoints of one segment that a later one may read."""
        return tuple(node for node in self.program.crossing if self.segment_of(node) < len(self.segments) - 1)

    def segment_of(self, node: Node) -> int:
        """The segment in which an adjoint is computed."""
        return self.segment[self.program.level.get(node, 0)]


@lru_cache(CELLS)
def backward_plan(cell: Cell) -> BackwardPlan:
    """The sweep of a cell, worked out once."""
    return BackwardPlan(cell)


@lru_cache(2 * CELLS)
def forward_plan(cell: Cell, traced: tuple[Node, ...], training: bool) -> ForwardPlan:
    """The step of a cell that keeps what is traced and, when training, what the sweep and large products read."""
    if not training:
        return ForwardPlan(cell, traced)
    operands = ForwardPlan(cell, ()).operands
    return ForwardPlan(cell, (*backward_plan(cell).reads, *operands, *traced))
