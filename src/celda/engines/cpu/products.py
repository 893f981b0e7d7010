"""Products of matrices for the gradients that a sweep leaves: out (m, n) = a (m, d) b (d, n), or added to it.

`a` is read number by number and so may be a matrix that is turned; rows of `b` and `out` are read and written in
vectors. torch's library is made for large square matrices: over the small and narrow ones of a layer, a few columns of
an input say, it takes up to ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from math import inf
from typing import NamedTuple

import torch
from llvmlite import ir
from torch import Tensor

from celda.engines.cpu import cache as disk
from celda.engines.cpu import jit, machine, threads
from celda.engines.cpu.emit import I64, Emit, Value
from celda.engines.cpu.kernel import Arguments, Function, Shape, tiles
from celda.engines.cpu.kernels import DTYPES
from celda.engines.cpu.script import Place, Script, Tensors, Word

FIELDS = ("a", "a_row", "a_column", "b", "b_row", "b_table", "out", "out_row", "out_table", "m", "n", "depth", "fresh")
DEPTH = 256  # terms that are summed up in one go: what is read of `b` meanwhile stays in a cache
WIDTHS = 4, 2, 1  # vectors a row of a tile
TALLEST = 8  # rows of a tile
PACKED = 48  # rows of `a` that are laid out in pairs at once, three vectors of them
SMALL = 2**18  # see `largest`
ROWS = 16  # rows that a thread must have: with fewer, the threads share the columns, if there is a vector for each
WORTH = 2**19  # multiply-adds in all up to which a second thread costs more than it brings


class Matrix(NamedTuple):
    """A matrix in the memory of a tensor that has a name: from the element `start` on, from one row to the next `row`
    elements, and from one column to the next `column`.

    Its rows need not lie one after another: `table` names one (int64) of which row of the tensor each one is, that
    has the first of them at `first`.
    """

    name: str
    start: int
    rows: int
    columns: int
    row: int
    column: int
    table: str = ""
    first: int = 0

    @staticmethod
    def of(name: str, tensor: Tensor) -> Matrix:
        """A tensor (rows, columns), or one of the same strides."""
        return Matrix(name, 0, *tensor.shape, *tensor.stride())

    def cut(self, begin: int, end: int) -> Matrix:
        """Some of its rows."""
        name, start, _, columns, row, column, table, first = self
        if table:
            return Matrix(name, start, end - begin, columns, row, column, table, first + begin)
        return Matrix(name, start + begin * row, end - begin, columns, row, column)

    def columns_from(self, begin: int, end: int) -> Matrix:
        """Some of its columns."""
        name, start, rows, _, row, column, table, first = self
        return Matrix(name, start + begin * column, rows, end - begin, row, column, table, first)

    def turned(self) -> Matrix:
        """Its columns as rows; its rows must lie one after another."""
        assert not self.table
        return Matrix(self.name, self.start, self.columns, self.rows, self.column, self.row)

    def view(self, tensors: Tensors) -> Tensor:
        """It as a tensor."""
        found = self._whole(tensors)
        return found.index_select(0, self._places(tensors)) if self.table else found

    def put(self, tensors: Tensors, value: Tensor, adds: bool) -> None:
        """Have it be `value`, or with `adds` grow by it; for one with a table."""
        whole = self._whole(tensors)
        (whole.index_add_ if adds else whole.index_copy_)(0, self._places(tensors), value)

    def _whole(self, tensors: Tensors) -> Tensor:
        whole = tensors[self.name]
        size = whole.shape[0] if self.table else self.rows, self.columns
        return whole.as_strided(size, (self.row, self.column), whole.storage_offset() + self.start)

    def _places(self, tensors: Tensors) -> Tensor:
        return tensors[self.table][self.first : self.first + self.rows]

    def entry(self, r: int = 0) -> Word:
        """Where the table says which row the `r`-th one is; 0 if there is none."""
        return Place(self.table, 8 * (self.first + r)) if self.table else 0


class Product(NamedTuple):
    """`out` (m, n) becomes the product of `a` (m, d) and `b` (d, n), or with `adds` grows by it.

    The numbers of a row of `b`, and of `out`, must lie side by side. With `parts` only those of `out` are computed:
    rows from the first to the second number, and columns from the third to the fourth. `a` has no table of rows.
    """

    a: Matrix
    b: Matrix
    out: Matrix
    adds: bool
    parts: Sequence[tuple[int, int, int, int]] = ()


def multiply(script: Script, products: Sequence[Product], dtype: torch.dtype, pairs: bool = False) -> None:
    """Have a script do the products, all of one dtype; with `pairs` of factors rounded to bfloat16, see `Shape`.

    Those that go to the same place come in their order, and must be of the same sizes; none may read what another
    writes. (No thread waits for the others in between.)
    """
    table, work, most, size = list[Word](), 0, inf if pairs else largest(), dtype.itemsize
    for product in products:
        a, b, out, adds, parts = product
        assert not a.table
        assert not pairs or 1 in (a.row, a.column)  # see `_pack`
        m, depth, n = a.rows, a.columns, b.columns
        if (m * n * depth > most * max(m, n, depth) and not parts) or not (depth or adds):
            _add(script, table, work, dtype, pairs)  # what goes to the same place before
            table, work = [], 0
            script.python(partial(_by_torch, product))
            continue
        for r0, r1, c0, c1 in parts or ((0, m, 0, n),):
            table += (Place(a.name, size * (a.start + r0 * a.row)), a.row, a.column)
            table += (Place(b.name, size * (b.start + c0)), b.row, b.entry())
            skipped = 0 if out.table else r0 * out.row
            table += (Place(out.name, size * (out.start + skipped + c0)), out.row, out.entry(r0))
            table += (r1 - r0, c1 - c0, depth, not adds)
            work += (r1 - r0) * (c1 - c0) * depth
    _add(script, table, work, dtype, pairs)


def _by_torch(product: Product, tensors: Tensors) -> None:
    a, b = product.a.view(tensors), product.b.view(tensors)
    if product.out.table:
        product.out.put(tensors, a @ b, product.adds)
    else:
        product.out.view(tensors).addmm_(a, b, beta=int(product.adds))


def _add(script: Script, table: Sequence[Word], work: int, dtype: torch.dtype, pairs: bool) -> None:
    """Have done what is in the table, the FIELDS of each product; `work` is how many multiply-adds that is."""
    if table:
        arguments = script.table([len(table) // len(FIELDS), *table])
        slots = torch.get_num_threads() if work > WORTH else 1
        code = _code(dtype, pairs)  # held: of two threads that compile it at once, one has it alone
        script.kernel(code.address("products"), arguments, slots, held=code)


@cache
def largest() -> float:
    """How many numbers the smallest of `a`, `b` and `out` may have; above, torch's library does the product.

    On x86 torch has Intel's library. On a processor of AMD's our code was faster at any size; on others the library is
    as fast or faster with large matrices (of ARM's no figures are known).
    """
    return inf if machine.host().cpu.startswith("znver") else SMALL


@cache
def _code(dtype: torch.dtype, pairs: bool) -> jit.Compiled:
    host, name = machine.host(), DTYPES[dtype]
    shape = Shape(name, host.lanes(name), host.registers, pairs=pairs)
    return disk.load(f"products {shape}", lambda: module(shape), ["products"])


def module(shape: Shape) -> ir.Module:
    """`products(slot, slots, arguments, counters)`: a number of products, and the FIELDS of each."""
    m = ir.Module("products")
    one = _product(m, shape)
    f = ir.Function(m, threads.KERNEL, "products")
    slot, slots, arguments, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, m, "float64", 1)

    def product(k: Value, _: object) -> None:
        block = e.at(arguments, 1, b.mul(k, I64(len(FIELDS))))
        b.call(one, [slot, slots, b.bitcast(block, ir.PointerType())])

    e.loop(b.load(arguments), product)
    b.ret_void()
    return m


def _product(m: ir.Module, shape: Shape) -> ir.Function:
    """One product, of which a slot does some rows or some columns."""
    f = Function(m, shape, Arguments(FIELDS), "product", ("slot", "slots"))
    e, b, lanes, slot, slots = f.e, f.e.b, shape.lanes, f.at["slot"], f.at["slots"]
    rows, columns, depth = f.number("m"), f.number("n"), f.number("depth")
    whole, left = b.udiv(columns, I64(lanes)), b.urem(columns, I64(lanes))
    by_rows = b.or_(b.icmp_signed(">=", rows, b.mul(slots, I64(ROWS))), b.icmp_signed("<", whole, slots))
    after = b.add(slot, I64(1))

    def share(count: Value, shared: Value) -> tuple[Value, Value]:
        cut = [b.udiv(b.mul(k, count), slots) for k in (slot, after)]
        return b.select(shared, cut[0], I64(0)), b.select(shared, cut[1], count)

    r0, r1 = share(rows, by_rows)
    j0, j1 = share(whole, b.not_(by_rows))
    has_end = b.or_(by_rows, b.icmp_signed("==", after, slots))

    gathered = b.alloca(e.scalar, size=DEPTH * WIDTHS[0] * lanes)  # at most 64 KiB, much less than a stack has
    gathered.align = 64
    packed = b.alloca(e.scalar, size=PACKED * DEPTH // 2) if shape.pairs else None

    def terms(d: Value, _: object) -> None:
        rest = b.sub(depth, d)
        count = b.select(b.icmp_signed("<", rest, I64(DEPTH)), rest, I64(DEPTH))
        elements = f.terms(count)
        fresh = b.and_(b.icmp_signed("!=", f.number("fresh"), I64(0)), b.icmp_signed("==", d, I64(0)))

        def a_from(r: Value) -> Value:
            return e.at(f.address("a"), b.mul(d, f.number("a_column")), b.mul(r, f.number("a_row")))

        def strip(j: Value, width: int, height: int, mask: Value | None = None) -> None:
            lane = b.mul(j, I64(lanes))

            # rows that lie apart are copied side by side once, as every tile of the strip reads them
            scattered, side = b.icmp_signed("!=", f.number("b_table"), I64(0)), I64(width * lanes)

            def b_row(k: Value) -> list[Value]:
                there = b.mul(_place(f, "b_table", b.add(d, k)), f.number("b_row"))
                return [f.masked_load(e.at(f.address("b"), there, lane, v * lanes), mask) for v in range(width)]

            def gather(k: Value, _: object) -> None:
                for v, vector in enumerate(b_row(k)):
                    e.store(vector, e.at(gathered, b.mul(k, side), v * lanes))

            def gather_pair(k: Value, _: object) -> None:
                first, (after, there) = b.add(k, k), _after(e, b.add(k, k), count)
                for v, two in enumerate(zip(b_row(first), b_row(after), strict=True)):
                    pair = e.paired(two[0], b.select(there, two[1], e.const(0.0)))
                    e.store(pair, e.at(gathered, b.mul(k, side), v * lanes))

            if shape.pairs:
                e.loop(elements, gather_pair)
                start, row = gathered, side
            else:
                e.when(scattered, lambda: e.loop(count, gather) and None)
                start = b.select(scattered, gathered, e.at(f.address("b"), b.mul(d, f.number("b_row")), lane))
                row = b.select(scattered, side, f.number("b_row"))

            def tile(r: Value, n: int, laid_out: tuple[Value, Value, Value] | None = None) -> None:
                there = [
                    e.at(f.address("out"), b.mul(_place(f, "out_table", b.add(r, I64(q))), f.number("out_row")), lane)
                    for q in range(n)
                ]
                places = [e.at(one, v * lanes) for one in there for v in range(width)]
                acc = [b.select(fresh, e.const(0.0), f.masked_load(place, mask)) for place in places]
                origin, a_row, a_column = laid_out or (a_from(I64(0)), f.number("a_row"), f.number("a_column"))
                a = [e.at(origin, b.mul(b.add(r, I64(q)), a_row)) for q in range(n)]

                def add(k: Value, carried: Sequence[Value]) -> list[Value]:
                    column, here = b.mul(k, a_column), e.at(start, b.mul(k, row))
                    inside = None if shape.pairs else mask  # what was gathered is filled up
                    vectors = [f.masked_load(e.at(here, v * lanes), inside) for v in range(width)]
                    factors = [e.broadcast(e.load_scalar(e.at(first, column))) for first in a]
                    multiply = e.dot if shape.pairs else e.fma
                    return [
                        multiply(factors[q], vectors[v], carried[q * width + v]) for q in range(n) for v in range(width)
                    ]

                _, sums = e.loop(elements, add, carry=acc)
                for value, place in zip(sums, places, strict=True):
                    f.masked_store(value, place, mask)

            def packed_rows(r: Value, _: object) -> None:
                end = b.add(r, I64(PACKED))
                end = b.select(b.icmp_signed("<", end, r1), end, r1)
                a_row, a_column = _pack(f, packed, a_from(r), b.sub(end, r), count)
                laid_out = e.at(packed, b.neg(b.mul(r, a_row))), a_row, a_column
                tiles(f, r, end, height, lambda r, n: tile(r, n, laid_out))

            if shape.pairs:
                e.loop(r1, packed_rows, start=r0, step=PACKED)
            else:
                tiles(f, r0, r1, height, tile)

        start = j0
        for width in WIDTHS:
            height = min(shape.height(width), TALLEST)
            if height > 2:  # or else narrower tiles read less for every multiplication
                body = lambda j, _, width=width, height=height: strip(j, width, height)  # noqa: E731
                start, _ = e.loop(b.sub(j1, I64(width - 1)), body, start=start, step=width)
        end = b.and_(has_end, b.icmp_signed(">", left, I64(0)))
        e.when(end, lambda: strip(whole, 1, TALLEST // 2, f.mask(whole, columns)))

    e.loop(depth, terms, step=DEPTH)
    f.finish()
    return f.function


def _place(f: Function, table: str, r: Value) -> Value:
    """Which row of its tensor the `r`-th one is: as a table says, if there is one."""
    b = f.e.b
    told = b.icmp_signed("!=", f.number(table), I64(0))
    # without a table something else is read, for nothing
    found = f.whole(b.select(told, f.address(table), f.block), b.select(told, r, I64(0)))
    return b.select(told, found, r)


def _after(e: Emit, k: Value, count: Value) -> tuple[Value, Value]:
    """The term after the `k`-th, or that one again where it is the last; and whether there is one."""
    after = e.b.add(k, I64(1))
    there = e.b.icmp_signed("<", after, count)
    return e.b.select(there, after, k), there


def _pack(f: Function, packed: Value, a: Value, rows: Value, count: Value) -> tuple[Value, Value]:
    """Lay out `count` terms of some rows of `a`, PACKED at most, in pairs of bfloat16: how far a row is from the next,
    and a pair from the next.

    Either the terms of a row lie side by side, or those of all rows do.
    """
    e, b, lanes = f.e, f.e.b, f.shape.lanes
    row, column = f.number("a_row"), f.number("a_column")
    along = b.icmp_signed("==", column, I64(1))

    def by_row(q: Value, _: object) -> None:
        def part(j: Value, _: object) -> None:
            lane = b.mul(j, I64(lanes))
            new = f.masked_load(e.at(a, b.mul(q, row), lane), f.mask(j, count))
            e.store_rounded(new, packed, b.add(b.mul(q, I64(DEPTH)), lane))

        e.loop(b.udiv(b.add(count, I64(lanes - 1)), I64(lanes)), part)

    def by_term(k: Value, _: object) -> None:
        first, (after, there) = b.add(k, k), _after(e, b.add(k, k), count)
        for v in range(0, PACKED, lanes):
            mask = f.mask(I64(v // lanes), rows)
            two = [f.masked_load(e.at(a, b.mul(term, column), v), mask) for term in (first, after)]
            pair = e.paired(two[0], b.select(there, two[1], e.const(0.0)))
            e.store(pair, e.at(packed, b.mul(k, I64(PACKED)), v))

    with b.if_else(along) as (one, other):
        with one:
            e.loop(rows, by_row)
        with other:
            e.loop(f.terms(count), by_term)
    return b.select(along, I64(DEPTH // 2), I64(1)), b.select(along, I64(1), I64(PACKED))
