"""What is summed up over all rows around the sweep: the gradients of matrices and biases, and with them of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celda.engines.cpu import products
from celda.engines.cpu.kernels import shape_of
from celda.engines.cpu.layout import Layout, plainly
from celda.engines.cpu.products import Matrix
from celda.engines.cpu.threads import Script
from celda.engines.program import ForwardProgram
from celda.language import Groups, Narrow
from celda.language.expression import Node
from celda.language.schedule import Product

Weights = Mapping[str, Tensor]
TURNED = 64  # columns up to which turning a gradient back is less than what a vector that is not full costs


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


@dataclass
class _Total:
    """The gradient of a matrix (M, K), or turned, to which rows are added."""

    sum: Tensor
    turned: bool
    parts: Sequence[tuple[int, int, int, int]]  # of it, besides which it is 0; none: it is whole
    adds: bool = False  # to what is there already

    @staticmethod
    def of(m: int, operand: Tensor, parts: Sequence[tuple[int, int, int, int]]) -> _Total:
        """For m adjoints a row, and an operand (rows, K)."""
        k = operand.shape[1]
        if parts:
            return _Total(operand.new_zeros(m, k), False, parts)
        # its rows would be no whole vectors, and its columns more likely are
        turned = k < TURNED and not shape_of(operand.dtype, k).whole
        return _Total(operand.new_empty((k, m) if turned else (m, k)), turned, ())

    def with_rows(self, g: Matrix, operand: Matrix) -> products.Product:
        """What is to be done for the adjoints `g` (some rows, M) and an operand (as many, K)."""
        adds, self.adds = self.adds, True
        a, b = (operand, g) if self.turned else (g, operand)
        return products.Product(a.turned(), b, Matrix.of(self.sum), adds, self.parts)

    def found(self) -> Tensor | None:
        """The gradient (M, K), if there was a row."""
        if not self.adds:
            return None
        return self.sum.t().contiguous() if self.turned else self.sum


@dataclass
class _Share:
    """One run of blocks of a product: what it multiplied, where its gradients are summed up."""

    operand: Matrix  # (rows, K), or (B, K): constant over time
    columns: tuple[int, int]  # of the adjoints, from the first to the second
    matrix: Matrix | None  # its rows of the weight, where the gradient of the operand is wanted
    d_operand: Matrix | None
    constant: Tensor | None  # the sum over time of the adjoints, where the operand is constant
    total: _Total | None  # where the gradient of the matrix is wanted


def _parts(groups: Groups, count: int, hidden: int, lanes: int) -> list[tuple[int, int, int, int]]:
    """What there is of `count` blocks (H, H) of a matrix: rows and columns, whole vectors of either if possible."""
    seen: dict[tuple[int, int], tuple[int, int]] = {}  # columns -> the rows that see them
    for first in range(0, hidden, lanes):
        end = min(first + lanes, hidden)
        columns = groups.sees(first, end - 1, hidden)
        seen[columns] = seen.get(columns, (first, end))[0], end
    return [
        (block * hidden + first, block * hidden + end, *columns)
        for block in range(count)
        for columns, (first, end) in seen.items()
    ]


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
            columns, parts = (m * h, (m + count) * h), list[tuple[int, int, int, int]]()
            pattern = program.pattern(product)  # what is 0 in the matrix has no gradient
            if isinstance(pattern, Narrow):
                rows, k = pattern.block(h)
                operand, columns = operand[:, :k], (m * h, (m + count - 1) * h + rows)
            elif isinstance(pattern, Groups):
                parts = _parts(pattern, count, h, shape_of(operand.dtype, h).lanes)
            matrix = None
            if d_operand is not None:
                matrix = Matrix.of(plainly(weights[product.weight])).cut(block * h, (block + count) * h)
            share = _Share(
                Matrix.of(operand),
                columns,
                matrix,
                None if d_operand is None else Matrix.of(d_operand),
                None if operand.shape[0] == n else operand.new_zeros(layout.batch, count * h),
                _Total.of(columns[1] - columns[0], operand, parts) if product.weight in wanted else None,
            )
            self._shares.append((product, block, share))

    def _like(self, given: Tensor) -> Tensor:
        moves = given.shape[0] == self.layout.rows
        return self.layout.buffer(given, given.shape[1]) if moves else torch.empty_like(given)

    def add(self, script: Script, adjoint: Matrix, begin: int, end: int) -> None:
        """Have a script take in the adjoints (end - begin, maps * H) of these rows."""
        touched: set[int] = set()
        work: list[products.Product] = []
        for *_, share in self._shares:
            g = adjoint.columns_of(*share.columns)
            if share.constant is None:
                work += self._with_rows(share, g, begin, end, touched)
            else:
                script.run()  # the adjoints are not there before
                share.constant += g.view().view(-1, self.layout.batch, g.columns).sum(0)
        products.add(script, work)

    def _with_rows(self, share: _Share, g: Matrix, begin: int, end: int, touched: set[int]) -> list[products.Product]:
        work = [] if share.total is None else [share.total.with_rows(g, share.operand.cut(begin, end))]
        if share.d_operand is not None and share.matrix is not None:
            place = id(share.d_operand.tensor)
            work.append(products.Product(g, share.matrix, share.d_operand.cut(begin, end), place in touched))
            touched.add(place)
        return work

    def result(self) -> tuple[list[Tensor | None], dict[str, Tensor]]:
        """The gradients of what is given and of the matrices, when the script has run."""
        h, touched = self.layout.hidden, set[int]()
        work: list[products.Product] = []
        for *_, share in self._shares:
            if share.constant is not None:
                work += self._with_rows(share, Matrix.of(share.constant), 0, self.layout.batch, touched)
        products.multiply(work)
        found: dict[str, Tensor] = {}
        for product, block, share in self._shares:
            if share.total is not None and (d_matrix := share.total.found()) is not None:
                _put(found, product.weight, self.weights[product.weight], block * h, d_matrix)
        return self.given, found
