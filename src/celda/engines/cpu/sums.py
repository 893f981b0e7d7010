"""What torch's large products do around the kernels: hoisted products, and the gradients of matrices and inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from celda.engines.cpu.layout import Layout
from celda.engines.program import ForwardProgram
from celda.language import Narrow
from celda.language.expression import Node
from celda.language.schedule import Product

Weights = Mapping[str, Tensor]
# With fewer sequences than this, the products with the input are done for all steps at once: the first where they have
# at most so many weights, in bytes, and the second where they have more than a cache holds.
HOIST = 4, 24
LARGE = 2**19
TURNED, MANY = 2**17, 1024  # elements of a gradient that is summed up the other way round, and rows from which on


def bias_gradients(program: ForwardProgram, weights: Weights, total: Tensor) -> dict[str, Tensor]:
    """The gradients of the biases, from the sums (maps or more, H) of the adjoints of the linear maps."""
    h = total.shape[1]
    found: dict[str, Tensor] = {}
    for name, block, m, count in program.bias_runs:
        if name in weights:
            _put(found, name, weights[name], block * h, total[m : m + count].flatten().clone())
    return found


def _put(found: dict[str, Tensor], name: str, like: Tensor, first: int, part: Tensor) -> None:
    """Add rows, whole or their first columns, to the gradient of an array; a part that is all of it becomes it."""
    if part.shape == like.shape and name not in found:
        found[name] = part
        return
    if name not in found:
        found[name] = torch.zeros_like(like)
    there = found[name][first : first + part.shape[0]]
    (there if part.dim() == 1 else there[:, : part.shape[1]]).add_(part)


def hoists(program: ForwardProgram, batch: int, hidden: int, widths: tuple[int, ...], dtype: torch.dtype) -> bool:
    """Whether the products with what is given, of these widths, are worth doing for all steps at once."""
    large = program.ahead * hidden * max(widths, default=0) * dtype.itemsize > LARGE
    return program.ahead > 0 and batch < HOIST[large]


def hoisted(program: ForwardProgram, given: Sequence[Tensor], weights: Weights, layout: Layout) -> Tensor:
    """The products with what is given, for all steps at once: (rows, maps, H), of any shape."""
    n, h, maps, total = layout.rows, layout.hidden, len(program.maps), None
    for q, block, m, count in program.products:
        if not program.is_hoisted(q):
            continue
        operand, matrix = given[program.given.index(q.operand)], weights[q.weight]
        rows = matrix if count * h == matrix.shape[0] else matrix[block * h : (block + count) * h]
        part = linear(operand, rows)
        if total is None and (operand.shape[0], count) == (n, maps):
            total = part
            continue
        part = part.view(-1, count, h)
        if operand.shape[0] != n:
            part = part.repeat(layout.steps, 1, 1)
        total = given[0].new_zeros(n, maps, h) if total is None else total
        total.view(n, maps, h)[:, m : m + count] += part
    assert total is not None  # the program has a product that can be hoisted
    return total


@dataclass
class _Share:
    """One run of blocks of a product: what it multiplied, where its gradients are summed up."""

    operand: Tensor  # (rows, K), or (B, K): constant over time
    columns: slice  # of the adjoints
    matrix: Tensor | None  # its rows of the weight, where the gradient of the operand is wanted
    wanted: bool  # whether the gradient of the matrix is
    d_operand: Tensor | None
    constant: Tensor | None  # the sum over time of the adjoints, where the operand is constant
    d_matrix: Tensor | None = None  # (maps * H, K), or turned

    @property
    def turned(self) -> bool:
        """Whether the gradient is summed up as (K, maps * H): a small one of many rows is faster so."""
        rows, k = self.operand.shape
        return rows >= MANY and (self.columns.stop - self.columns.start) * k <= TURNED


class WeightGradients:
    """The gradients of matrices and of what is given, summed up while the sweep goes on.

    `before` gives the old values of a state for all rows; `wanted` names the arrays whose gradient is, and `into` the
    places of what is given that want one.
    """

    def __init__(
        self,
        program: ForwardProgram,
        layout: Layout,
        weights: Weights,
        given: Sequence[Tensor],
        operands: Sequence[Tensor],
        before: Callable[[Node], Tensor],
        wanted: frozenset[str],
        into: frozenset[int],
    ) -> None:
        self.layout, self.program, self.weights = layout, program, weights
        h, n = layout.hidden, layout.rows
        self.given: list[Tensor | None] = [self._like(g) if k in into else None for k, g in enumerate(given)]
        self._shares: list[tuple[Product, int, _Share]] = []
        for product, block, m, count in program.products:
            node = product.operand
            place = program.given.index(node) if node in program.given else None
            d_operand = None if place is None else self.given[place]
            if product.weight not in wanted and d_operand is None:
                continue
            if place is not None:
                operand = given[place]
            elif node in program.operands:
                operand = operands[program.operands.index(node)][:, :h]
            else:
                operand = before(node)
            columns = slice(m * h, (m + count) * h)
            if isinstance(pattern := program.pattern(product), Narrow):  # what is 0 in the matrix has no gradient
                rows, k = pattern.block(h)
                operand, columns = operand[:, :k], slice(m * h, (m + count - 1) * h + rows)
            share = _Share(
                operand,
                columns,
                None if d_operand is None else weights[product.weight][block * h : (block + count) * h],
                product.weight in wanted,
                d_operand,
                None if operand.shape[0] == n else operand.new_zeros(layout.batch, count * h),
            )
            self._shares.append((product, block, share))

    def _like(self, given: Tensor) -> Tensor:
        moves = given.shape[0] == self.layout.rows
        return self.layout.buffer(given, given.shape[1]) if moves else torch.empty_like(given)

    def add(self, adjoint: Tensor, rows: slice) -> None:
        """Take in the adjoints (some rows, maps * H) of these rows."""
        touched: set[int] = set()
        for *_, share in self._shares:
            g = adjoint[:, share.columns]
            if share.constant is not None:
                share.constant += g.view(-1, self.layout.batch, g.shape[1]).sum(0)
                continue
            self._accumulate(share, g, rows, touched)

    def _accumulate(self, share: _Share, g: Tensor, rows: slice, touched: set[int]) -> None:
        if share.wanted:
            operand = share.operand[rows]
            a, b = (operand.t(), g) if share.turned else (g.t(), operand)
            share.d_matrix = a @ b if share.d_matrix is None else share.d_matrix.addmm_(a, b)
        if share.d_operand is not None and share.matrix is not None:
            there = share.d_operand[rows]
            if id(share.d_operand) in touched:
                there.addmm_(g, share.matrix)
            else:
                torch.mm(g, share.matrix, out=there)
                touched.add(id(share.d_operand))

    def result(self) -> tuple[list[Tensor | None], dict[str, Tensor]]:
        """The gradients of what is given and of the matrices."""
        h, touched = self.layout.hidden, set[int]()
        found: dict[str, Tensor] = {}
        for product, block, share in self._shares:
            if share.constant is not None:
                self._accumulate(share, share.constant, slice(None), touched)
            if share.d_matrix is not None:
                d_matrix = share.d_matrix.t().contiguous() if share.turned else share.d_matrix
                _put(found, product.weight, self.weights[product.weight], block * h, d_matrix)
        return self.given, found
