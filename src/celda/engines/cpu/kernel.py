"""What the forward and the backward kernel share: their arguments, the register tile, masked access."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from llvmlite import ir

from celda.engines.cpu.emit import Emit
from celda.language import Pattern

I64, I1, VOID = ir.IntType(64), ir.IntType(1), ir.VoidType()
BYTES = ir.PointerType()
UNITS = 4  # vectors a row of the tile is wide, where a cell has few products
NUMBERS = (  # that both kernels are told
    *("steps", "batch", "hidden", "padded", "first", "direction", "time", "order", "ragged"),
    *("by_rows", "chunks", "prepare", "jobs", "job_count"),
)
CHAINS = 8  # sums that must go on side by side: multipliers times the steps that a multiplication takes


@dataclass(frozen=True)
class Shape:
    """The machine's vectors and how a layer's units fill them: what the code of a kernel depends on, besides its cell.

    A layer has `blocks` unit blocks of `lanes` units, the last of which is full if `whole`. With `pairs`, products are
    of bfloat16: what is multiplied lies in pairs, an element of a panel or of a row holds two terms that follow one
    another, and the last one may be half empty.
    """

    dtype: str
    lanes: int
    registers: int
    blocks: int = 4
    whole: bool = False
    pairs: bool = False

    @staticmethod
    def of(dtype: str, lanes: int, registers: int, hidden: int, pairs: bool = False) -> Shape:
        """The shape for `hidden` units; layers whose code would be the same have the same one."""
        blocks = -(-hidden // lanes)
        return Shape(dtype, lanes, registers, blocks if blocks < 4 else 4 + blocks % 12, hidden % lanes == 0, pairs)

    def terms(self, count: int) -> int:
        """How many elements hold so many terms of a product."""
        return -(-count // 2) if self.pairs else count

    def filled(self, count: int) -> int:
        """So many elements, filled up to whole vectors."""
        return -(-count // self.lanes) * self.lanes

    def units(self, columns: int, grouped: bool = False) -> int:
        """How many unit blocks a tile takes at once: about `UNITS` vectors, and none left over if possible.

        Where units are `grouped`, one: a tile multiplies with all that one of its units sees.
        """
        most = 1 if grouped else max(1, UNITS // columns)
        even = [n for n in range(most, 0, -1) if self._count % n == 0 and 2 * n >= most]
        return even[0] if even else min(most, self._count)

    @property
    def _count(self) -> int:
        return self.blocks if self.blocks < 4 else self.blocks + 8  # divided by 2, 3 and 4 it leaves what the blocks do

    def height(self, width: int) -> int:
        """How many rows a tile of `width` vectors may have and still be held in registers."""
        return max(1, min(12, (self.registers - 2 - width) // width))

    def tiles(self, columns: int, grouped: bool = False) -> tuple[tuple[int, int], ...]:
        """The tiles for so many columns of products: (unit blocks at once, most rows); the last takes single blocks."""
        widest = self.units(columns, grouped)
        whole = (widest, self.height(widest * columns))
        return (whole,) if widest == 1 else (whole, (1, min(8 // columns, self.height(columns))))


def read_names(count: int) -> list[str]:
    """What a kernel is told of what is read unit by unit, masks and states of the layer below."""
    return [name for k in range(count) for name in (f"read_{k}", f"read_{k}_moves")]


class Arguments:
    """The argument block of a kernel: 8-byte numbers and addresses, by name."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self.place = {name: k for k, name in enumerate(self.names)}

    def pack(self, values: dict[str, int]) -> ctypes.Array:
        """The block in memory; every name must have its value."""
        return (ctypes.c_int64 * len(self.names))(*(values[name] for name in self.names))


@lru_cache(maxsize=256)
def reach(pattern: Pattern, hidden: int, lanes: int, seen_by: bool) -> ctypes.Array[ctypes.c_int64]:
    """For each unit block the first unit that it sees, and the end, as pairs; or with `seen_by`, that see it.

    Neither falls from one block to the next.
    """
    of, table = pattern.seen_by if seen_by else pattern.sees, list[int]()
    for first in range(0, hidden, lanes):
        table += of(first, min(first + lanes, hidden) - 1, hidden)
    return (ctypes.c_int64 * len(table))(*table)


class Function:
    """A function of a kernel module: an emitter, its integer arguments, and the argument block as its last one."""

    def __init__(
        self,
        module: ir.Module,
        shape: Shape,
        arguments: Arguments,
        name: str,
        ints: Sequence[str],
        pointers: Sequence[str] = (),
        export: bool = False,
    ) -> None:
        kinds = [I64] * len(ints) + [BYTES] * len(pointers) + [BYTES]
        if export:  # counters for barriers come last
            kinds.append(BYTES)
        self.function = ir.Function(module, ir.FunctionType(VOID, kinds), name)
        if not export:
            self.function.linkage = "internal"
        self.shape, self.arguments, self.block = shape, arguments, self.function.args[-2 if export else -1]
        self.e = Emit(ir.IRBuilder(self.function.append_basic_block("entry")), module, shape.dtype, shape.lanes)
        self.at = dict(zip([*ints, *pointers], self.function.args, strict=False))
        self._loaded: dict[str, ir.Value] = {}
        self._rows: dict[tuple[str, ir.Value], ir.Value] = {}
        self.entry = self.e.b.block

    def number(self, name: str) -> ir.Value:
        """A number of the argument block, loaded once, where the function begins."""
        b = self.e.b
        if name not in self._loaded:
            with b.goto_entry_block():
                here = b.gep(self.block, [I64(self.arguments.place[name])], source_etype=I64)
                self._loaded[name] = b.load(here, typ=I64)
        return self._loaded[name]

    def address(self, name: str) -> ir.Value:
        """An address of the argument block."""
        key, number = f"@{name}", self.number(name)
        if key not in self._loaded:
            with self.e.b.goto_entry_block():
                self._loaded[key] = self.e.b.inttoptr(number, BYTES)
        return self._loaded[key]

    def plane(self, row: ir.Value, count: int, k: int, width: str = "padded") -> ir.Value:
        """Where in a (rows, count, width) buffer the k-th plane of a row begins, in elements."""
        b = self.e.b
        if count == 0:
            return I64(0)
        key = f"{count} {width}", row
        if key not in self._rows:
            self._rows[key] = b.mul(row, self._times(width, count))
        return b.add(self._rows[key], self._times(width, k)) if k else self._rows[key]

    def given_order(self, r: ir.Value, t: ir.Value) -> ir.Value:
        """Of the r-th sequence of the layout at step `t`: its row in (T * B, width), as the caller orders them."""
        return self.e.b.add(self.e.b.mul(t, self.number("batch")), self.sequence(r))

    def sequence(self, r: ir.Value) -> ir.Value:
        """The caller's number of the r-th sequence of the layout."""
        return self.whole(self.address("order"), r)

    def terms(self, count: str | ir.Value) -> ir.Value:
        """How many elements hold so many terms of a product; a number of the argument block may go by its name."""
        number = self.number(count) if isinstance(count, str) else count
        return self.e.b.lshr(self.e.b.add(number, I64(1)), I64(1)) if self.shape.pairs else number

    def _times(self, name: str, factor: int) -> ir.Value:
        """A multiple of a number of the argument block, computed once, where the function begins."""
        key, number = f"{factor} {name}", self.number(name)
        if factor == 1:
            return number
        if key not in self._loaded:
            with self.e.b.goto_entry_block():
                self._loaded[key] = self.e.b.mul(number, I64(factor))
        return self._loaded[key]

    def each_vector(self, columns: int, body: Callable[[], object]) -> None:
        """Call `body` for `n` rows from "r" on, `units` unit blocks from "j" on: "r", "j" and "acc" are then those of
        one vector.

        The function has these as its integer arguments, and as its pointer "acc" what the tile computed, `columns`
        vectors each.
        """
        b, first = self.e.b, dict(self.at)

        def row(q: ir.Value, _: object) -> None:
            def unit(u: ir.Value, _: object) -> None:
                place = b.mul(b.add(b.mul(q, first["units"]), u), I64(columns * self.shape.lanes))
                here = {"r": b.add(first["r"], q), "j": b.add(first["j"], u), "acc": self.e.at(first["acc"], place)}
                self.at |= here
                body()

            self.e.loop(first["units"], unit)

        self.e.loop(first["n"], row)

    def reached(self, name: str, j: ir.Value, units: int) -> tuple[ir.Value, ir.Value]:
        """Of the unit blocks from `j` on, the first unit that one of them reaches, and how many up to the last."""
        b, table = self.e.b, self.address(name)
        first = self.whole(table, b.mul(j, I64(2)))
        last = self.whole(table, b.add(b.mul(b.add(j, I64(units - 1)), I64(2)), I64(1)))
        return first, b.sub(last, first)

    def whole(self, base: ir.Value, index: ir.Value) -> ir.Value:
        """The i64 at `base[index]`."""
        return self.e.b.load(self.e.b.gep(base, [index], source_etype=I64), typ=I64)

    def mask(self, j: ir.Value, hidden: ir.Value) -> ir.Value | None:
        """Which lanes of unit block `j` are units of the layer; None for all."""
        if self.shape.whole:
            return None
        b, lanes = self.e.b, self.shape.lanes
        kind = ir.VectorType(I64, lanes)
        iota = ir.Constant(kind, list(range(lanes)))
        first = b.insert_element(ir.Constant(kind, ir.Undefined), b.mul(j, I64(lanes)), ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        first = b.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)
        stop = b.insert_element(ir.Constant(kind, ir.Undefined), hidden, ir.IntType(32)(0))
        stop = b.shuffle_vector(stop, ir.Constant(kind, ir.Undefined), zeros)
        return b.icmp_signed("<", b.add(iota, first), stop)

    def _masked(self, name: str, result: ir.Type, kinds: list[ir.Type]) -> ir.Function:
        module = self.function.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, kinds), name)

    def masked_load(self, pointer: ir.Value, mask: ir.Value | None) -> ir.Value:
        """A vector whose lanes outside the mask are zero and are not read."""
        e = self.e
        if mask is None:
            return e.load(pointer)
        suffix = f"v{self.shape.lanes}f{64 if self.shape.dtype == 'float64' else 32}"
        kinds = [BYTES, ir.IntType(32), mask.type, e.vector]
        load = self._masked(f"llvm.masked.load.{suffix}.p0", e.vector, kinds)
        return e.b.call(load, [pointer, ir.IntType(32)(self._align), mask, e.const(0.0)])

    def masked_store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value | None) -> None:
        """Write the lanes of the mask. (Without one it is several times as quick on some processors.)"""
        e = self.e
        if mask is None:
            e.store(value, pointer)
            return
        suffix = f"v{self.shape.lanes}f{64 if self.shape.dtype == 'float64' else 32}"
        store = self._masked(f"llvm.masked.store.{suffix}.p0", VOID, [e.vector, BYTES, ir.IntType(32), mask.type])
        e.b.call(store, [value, pointer, ir.IntType(32)(self._align), mask])

    @property
    def _align(self) -> int:
        return 8 if self.shape.dtype == "float64" else 4

    def read(self, k: int, row: ir.Value, lane: ir.Value, mask: ir.Value | None, boolean: bool) -> ir.Value:
        """The k-th of what is read unit by unit: of a row in the caller's order, or of its sequence where it does not
        move.

        A `boolean` one is stored in bytes, and comes as 0 and 1.
        """
        b = self.e.b
        moves = b.icmp_signed("!=", self.number(f"read_{k}_moves"), I64(0))
        there = b.mul(b.select(moves, row, self.sequence(self.at["r"])), self.number("hidden"))
        address = self.address(f"read_{k}")
        if not boolean:
            return self.masked_load(self.e.at(address, there, lane), mask)
        return b.uitofp(
            self._bytes(b.gep(address, [b.add(there, lane)], source_etype=ir.IntType(8)), mask), self.e.vector
        )

    def _bytes(self, pointer: ir.Value, mask: ir.Value | None) -> ir.Value:
        """A vector of bytes, zero outside the mask."""
        kind = ir.VectorType(ir.IntType(8), self.shape.lanes)
        if mask is None:
            return self.e.b.load(pointer, align=1, typ=kind)
        load = self._masked(
            f"llvm.masked.load.v{self.shape.lanes}i8.p0", kind, [BYTES, ir.IntType(32), mask.type, kind]
        )
        return self.e.b.call(load, [pointer, ir.IntType(32)(1), mask, ir.Constant(kind, None)])

    def finish(self) -> None:
        """Return."""
        self.e.b.ret_void()


def tile(
    e: Emit,
    acc: list,
    rows: list,
    panels: Sequence[tuple[ir.Value, Sequence[int]]],
    depth: ir.Value,
    width: int,
    pairs: bool = False,
) -> list:
    """acc[row][column] += rows[row][k] * panel[k][column] over k < depth: the register tile everything stands on.

    `rows` are pointers and `acc` is a flat list, `width` vectors a row. Each panel has its columns and holds as many
    vectors a k: vector v goes to column `columns[v]`. With `pairs` each k is two terms; see `Shape`.
    """
    lanes, multiply = e.vector.count, e.dot if pairs else e.fma
    touched = [q * width + c for q in range(len(rows)) for _, columns in panels for c in columns]

    def body(k: ir.Value, carried: Sequence[ir.Value]) -> list[ir.Value]:
        weights, out = [], []
        for panel, columns in panels:
            first = e.b.mul(k, I64(len(columns) * lanes))
            weights += [e.load(e.at(panel, first, v * lanes)) for v in range(len(columns))]
        count = len(weights)
        for q, row in enumerate(rows):
            a = e.broadcast(e.load_scalar(e.at(row, k)))
            out += [multiply(a, weights[v], carried[q * count + v]) for v in range(count)]
        return out

    carried: Sequence[ir.Value] = [acc[p] for p in touched]
    result, k = list(acc), None
    if len(touched) < CHAINS:  # too few sums to keep the multipliers busy: the even and the odd terms apart

        def pair(k: ir.Value, both: Sequence[ir.Value]) -> list[ir.Value]:
            return [*body(k, both[: len(touched)]), *body(e.b.add(k, I64(1)), both[len(touched) :])]

        start = [*carried, *(e.const(0.0) for _ in touched)]
        k, both = e.loop(e.b.sub(depth, I64(1)), pair, step=2, carry=start)
        carried = [e.b.fadd(x, y) for x, y in zip(both[: len(touched)], both[len(touched) :], strict=True)]
    carried = e.loop(depth, body, start=0 if k is None else k, carry=carried)[1]
    for place, value in zip(touched, carried, strict=True):
        result[place] = value
    return result


def tiles(f: Function, begin: ir.Value, end: ir.Value, most: int, body: Callable[[ir.Value, int], None]) -> None:
    """Call `body(first row, how many)` over rows begin..end, at most `most` at once, the last two calls evenly."""
    b = f.e.b
    before = b.block
    head, inner, join, after = (b.append_basic_block() for _ in range(4))
    b.branch(head)
    b.position_at_end(head)
    row = b.phi(I64)
    row.add_incoming(begin, before)
    left = b.sub(end, row)
    b.cbranch(b.icmp_signed(">", left, I64(0)), inner, after)
    b.position_at_end(inner)
    half = b.lshr(b.add(left, I64(1)), I64(1))
    few = b.select(b.icmp_signed(">", left, I64(most)), half, left)
    count = b.select(b.icmp_signed(">=", left, I64(2 * most)), I64(most), few)
    choice = b.switch(count, join)
    for n in range(1, most + 1):
        block = b.append_basic_block()
        choice.add_case(I64(n), block)
        b.position_at_end(block)
        body(row, n)
        b.branch(join)
    b.position_at_end(join)
    row.add_incoming(b.add(row, count), join)
    b.branch(head)
    b.position_at_end(after)


def unit_groups(f: Function, shapes: Sequence[tuple[int, int]], body: Callable[[ir.Value, int, int], object]) -> None:
    """Call `body(first unit block, how many, most rows)` over the unit blocks j0..j1, in tiles of these `shapes`.

    Every other step "s" goes through the tiles of one shape from the last on: the weights that the step before
    multiplied last are then still in a cache.
    """
    e, b, start, end = f.e, f.e.b, f.at["j0"], f.at["j1"]
    odd = b.trunc(f.at["s"], I1)
    for units, height in shapes:
        groups = b.udiv(b.sub(end, start), I64(units))
        ends = b.add(b.add(start, start), b.mul(b.sub(groups, I64(1)), I64(units)))  # the first and the last, added

        def group(j: ir.Value, _: object, units: int = units, height: int = height, ends: ir.Value = ends) -> None:
            body(b.select(odd, b.sub(ends, j), j), units, height)

        start, _ = e.loop(b.sub(end, I64(units - 1)), group, start=start, step=units)


def for_share(f: Function, units: int, body: Callable[..., object]) -> None:
    """Call `body(part, first row, end, first unit block, end, how many threads meet)` for each part that a slot has.

    By rows the batch is cut into `chunks` that meet nobody, and a slot takes every slots-th of these parts; otherwise
    each slot is a part: one share of the unit blocks and all the rows.
    """
    e, b, slot, slots = f.e, f.e.b, f.at["slot"], f.at["slots"]
    by_rows, bounds, batch = b.icmp_signed("!=", f.number("by_rows"), I64(0)), f.address("bounds"), f.number("batch")
    blocks = b.udiv(f.number("padded"), I64(f.shape.lanes))
    groups, after = b.udiv(blocks, I64(units)), b.add(slot, I64(1))
    cut = lambda k: b.mul(b.udiv(b.mul(k, groups), slots), I64(units))  # noqa: E731
    last = b.icmp_signed("==", after, slots)
    j0 = b.select(by_rows, I64(0), cut(slot))
    j1 = b.select(b.or_(by_rows, last), blocks, cut(after))
    threads = b.select(by_rows, I64(1), slots)

    def chunk(k: ir.Value, _: object) -> None:
        at = b.select(by_rows, k, I64(0))
        r0, r1 = f.whole(bounds, at), f.whole(bounds, b.add(at, I64(1)))
        body(k, r0, b.select(by_rows, r1, batch), j0, j1, threads)

    e.loop(b.select(by_rows, f.number("chunks"), after), chunk, start=slot, step=slots)
