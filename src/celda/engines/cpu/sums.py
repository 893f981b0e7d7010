"""What is summed up over all rows around the sweep: the gradients of matrices and biases, and with them of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from celda.engines.cpu import products
from celda.engines.cpu.kernels import backward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.products import Matrix
from celda.engines.cpu.script import Script, Tensors
from celda.engines.program import ForwardProgram
from celda.language import Groups, Narrow
from celda.language.expression import Node
from celda.language.schedule import Product

Weights = Mapping[str, Tensor]
TURNED = 64  # columns up to which turning a gradient back is less than what a vector that is not full costs


def _put(found: dict[str, Tensor], name: str, like: Tensor, first: int, part: Tensor) -> None:
    """Add rows, whole or their first columns, to the gradient of an array; a part that is all of it becomes it."""
    if part.shape == like.shape and name not in found:
        found[name] = part
        return
    if name not in found:
        found[name] = torch.zeros_like(like)
    found[name][first : first + part.shape[0], : part.shape[1]].add_(part)


@dataclass(frozen=True)
class _Total:
    """The gradient of a matrix (M, K), or turned, to which rows are added."""

    sum: Matrix
    turned: bool
    parts: Sequence[tuple[int, int, int, int]]  # of it, besides which it is 0; none: it is whole

    @staticmethod
    def of(
        name: str, m: int, operand: Matrix, dtype: torch.dtype, parts: Sequence[tuple[int, int, int, int]]
    ) -> _Total:
        """For m adjoints a row, and an operand (rows, K)."""
        k = operand.columns
        # its rows would be no whole vectors, and its columns more likely are
        turned = not (parts or operand.table) and k < TURNED and not shape_of(dtype, k).whole
        return _Total(Matrix(name, 0, k, m, m, 1) if turned else Matrix(name, 0, m, k, k, 1), turned, parts)

    def with_rows(self, g: Matrix, operand: Matrix, adds: bool) -> products.Product:
        """What is to be done for the adjoints `g` (some rows, M) and an operand (as many, K)."""
        a, b = (operand, g) if self.turned else (g, operand)
        return products.Product(a.turned(), b, self.sum, adds, self.parts)

    def memory(self, like: Tensor) -> Tensor:
        """Memory for it."""
        size = self.sum.rows, self.sum.columns
        return like.new_zeros(size) if self.parts else like.new_empty(size)

    def found(self, tensors: Tensors) -> Tensor:
        """The gradient (M, K)."""
        total = tensors[self.sum.name]
        return total.t().contiguous() if self.turned else total


@dataclass(frozen=True)
class _Share:
    """One run of blocks of a product: what it multiplied, where its gradients are summed up."""

    product: Product
    block: int  # of the product's matrix, the first
    operand: Matrix  # (rows, K), or (B, K): constant over time
    columns: tuple[int, int]  # of the adjoints, from the first to the second
    matrix: Matrix | None  # its rows of the weight, where the gradient of the operand is wanted
    d_operand: Matrix | None
    constant: Matrix | None  # the sum over time of the adjoints, where the operand is constant
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


class _Lines:
    """The gradients of biases and learned vectors: of lines (slots, lines, padded) that a sweep sums up, the sums over
    the slots."""

    def __init__(
        self,
        program: ForwardProgram,
        layout: Layout,
        dtype: torch.dtype,
        slots: int,
        weights: Weights,
        wanted: frozenset[str],
    ) -> None:
        h, p, maps, vectors = layout.hidden, layout.padded, len(program.maps), backward_program(program.cell).vectors
        size = (maps + len(vectors)) * p
        ones, lines = Matrix("ones", 0, 1, slots, slots, 1), Matrix("lines", 0, slots, size, size, 1)
        self.ones = torch.ones(slots, dtype=dtype)
        self.sizes: dict[str, torch.Size] = {}
        self.zeros: set[str] = set()  # those of which a part has no line, or two
        self.products: list[products.Product] = []
        runs = [*program.bias_runs, *((name, 0, maps + k, 1) for k, name in enumerate(vectors))]
        for name in {name: None for name, *_ in runs if name in wanted}:
            self.sizes[name] = weights[name].shape
            found = [(block, m, count) for n, block, m, count in runs if n == name]
            blocks = [block + k for block, _, count in found for k in range(count)]
            if sorted(blocks) != list(range(weights[name].shape[0] // h)):
                self.zeros.add(name)
            if h < p or name in self.zeros:  # line by line
                found = [(block + k, m + k, 1) for block, m, count in found for k in range(count)]
            for block, m, count in found:
                line = lines.columns_from(m * p, m * p + count * h)
                out = Matrix(f"d {name}", block * h, 1, count * h, 0, 1)
                self.products.append(products.Product(ones, line, out, name in self.zeros))

    def memory(self, like: Tensor) -> dict[str, Tensor]:
        """Memory for them."""
        make = {True: like.new_zeros, False: like.new_empty}
        return {f"d {name}": make[name in self.zeros](size) for name, size in self.sizes.items()}


class Sums:
    """The gradients of matrices and of what is given, summed up while the sweep goes on, for layouts of one kind.

    It is made from what the first of these calls multiplied: `tensors`, called `given k` and `operand k`, and for the
    old values of a state by `old`, with the table of their rows if there is one. `wanted` names the arrays whose
    gradient is, and `into` gives the places of what is given that want one, and the table that says where its rows go,
    if there is one. With `pairs` the factors are rounded to bfloat16. Later calls bring tensors of the same strides, as
    all that a pass makes has those of its sizes.
    """

    def __init__(
        self,
        program: ForwardProgram,
        layout: Layout,
        dtype: torch.dtype,
        slots: int,
        weights: Weights,
        wanted: frozenset[str],
        into: Mapping[int, str],
        tensors: Tensors,
        old: Callable[[Node], tuple[Tensor, str]],
        pairs: bool,
    ) -> None:
        self._batch, self._hidden, self._dtype, self._pairs = layout.batch, layout.hidden, dtype, pairs
        self._lines = _Lines(program, layout, dtype, slots, weights, wanted)
        self.old: dict[str, Node] = {}  # states whose old values a call brings, by the name of these
        self.matrices: set[str] = set()  # weights that it brings
        h, self._shares = layout.hidden, list[_Share]()
        for number, (product, block, m, count) in enumerate(program.products):
            node = product.operand
            place = program.given.index(node) if node in program.given else None
            if product.weight not in wanted and place not in into:
                continue
            if place is not None:
                operand = Matrix.of(f"given {place}", tensors[f"given {place}"])
            elif node in program.operands:
                name = f"operand {program.operands.index(node)}"
                operand = Matrix.of(name, tensors[name]).columns_from(0, h)
            else:
                self.old[f"old {node.name}"] = node
                values, table = old(node)
                operand = Matrix.of(f"old {node.name}", values)._replace(rows=layout.rows, table=table)
            columns, parts = (m * h, (m + count) * h), list[tuple[int, int, int, int]]()
            pattern = program.pattern(product)
            if isinstance(pattern, Narrow):  # what is 0 in the matrix has no gradient
                rows, seen = pattern.block(h)
                operand, columns = operand.columns_from(0, seen), (m * h, (m + count - 1) * h + rows)
            elif isinstance(pattern, Groups):
                parts = _parts(pattern, count, h, shape_of(dtype, h).lanes)
            width, matrix, d_operand, total = columns[1] - columns[0], None, None, None
            if place is not None and place in into:
                k = weights[product.weight].shape[1]
                matrix = Matrix(f"weight {product.weight}", block * h * k, count * h, k, k, 1)
                d_operand = operand._replace(name=f"d given {place}", table=into[place])
                self.matrices.add(product.weight)
            if product.weight in wanted:
                total = _Total.of(f"sum {number}", width, operand, dtype, parts)
            constant = None
            if operand.rows != layout.rows:  # of a dense batch
                constant = Matrix(f"constant {number}", 0, layout.batch, width, width, 1)
            self._shares.append(_Share(product, block, operand, columns, matrix, d_operand, constant, total))

    def add(self, script: Script, adjoint: Matrix, begin: int, end: int, fresh: bool) -> None:
        """Have a script take in the adjoints (end - begin, maps * H) of these rows; `fresh`: they are the first."""
        touched: set[str] = set()
        work: list[products.Product] = []
        for share in self._shares:
            g = adjoint.columns_from(*share.columns)
            if share.constant is None:
                work += self._with_rows(share, g, begin, end, fresh, touched)
            else:
                script.python(partial(self._over_time, share.constant.name, g))
        products.multiply(script, work, self._dtype, self._pairs)

    def end(self, script: Script) -> None:
        """Have a script do what is left when all adjoints were taken in."""
        touched: set[str] = set()
        work: list[products.Product] = []
        for share in self._shares:
            if share.constant is not None:
                work += self._with_rows(share, share.constant, 0, self._batch, True, touched)
        products.multiply(script, work, self._dtype, self._pairs)
        products.multiply(script, self._lines.products, self._dtype)

    def _over_time(self, name: str, adjoint: Matrix, tensors: Tensors) -> None:
        tensors[name].add_(adjoint.view(tensors).unflatten(0, (-1, self._batch)).sum(0))

    def _with_rows(
        self, share: _Share, g: Matrix, begin: int, end: int, fresh: bool, touched: set[str]
    ) -> list[products.Product]:
        work = []
        if share.total is not None:
            work.append(share.total.with_rows(g, share.operand.cut(begin, end), not fresh))
        if share.d_operand is not None and share.matrix is not None:
            name = share.d_operand.name
            work.append(products.Product(g, share.matrix, share.d_operand.cut(begin, end), name in touched))
            touched.add(name)
        return work

    def memory(self, like: Tensor) -> dict[str, Tensor]:
        """Memory for the sums of a call."""
        found = {share.total.sum.name: share.total.memory(like) for share in self._shares if share.total is not None}
        constants = [share.constant for share in self._shares if share.constant is not None]
        found |= {c.name: like.new_zeros(c.rows, c.columns) for c in constants}
        return found | self._lines.memory(like) | {"ones": self._lines.ones}

    def found(self, tensors: Tensors, weights: Weights) -> dict[str, Tensor]:
        """The gradients of all weights, when the script has run."""
        found = {name: tensors[f"d {name}"] for name in self._lines.sizes}
        for share in self._shares:
            if share.total is not None:
                name = share.product.weight
                _put(found, name, weights[name], share.block * self._hidden, share.total.found(tensors))
        return found
