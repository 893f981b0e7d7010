"""What has to be laid out before a kernel can run: panels of weights, and rows filled up to whole vectors.

A panel holds what one tile multiplies, end to end. It goes by groups of unit blocks, as many as a tile takes at once;
what is left over at the end goes one by one. All of it is a list of jobs that the kernel's own threads work off when
they begin. Of a forward panel only what differs from what lies there is written: in inference the weights are those of
the call before, bit for bit, and to see that takes less than to write them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache, lru_cache, partial

import torch
from llvmlite import ir
from torch import Tensor

from celda.engines.cpu import cache as disk
from celda.engines.cpu import jit
from celda.engines.cpu.emit import I32, Emit
from celda.engines.cpu.kernel import I64, Arguments, Function, Shape
from celda.errors import CeldaError

FORWARD, BACKWARD, ROWS, PAIRS = range(4)
FIELDS = ("kind", "target", "source", "places", "count", "columns", "units")


class Jobs:
    """The list of jobs of a launch. A `target` is an address; a source goes by its name, and where it lies is told anew
    before every run."""

    def __init__(self, shape: Shape, hidden: int, padded: int) -> None:
        self._shape, self._hidden, self._padded = shape, hidden, padded
        self._rows: list[int] = []
        # where in the table, of what, how many bytes into it, and how many elements it has at least
        self._sources: list[tuple[int, str, int, int]] = []
        self._columns: dict[str, int] = {}  # of the matrices among the sources
        self._held: list[object] = []

    def forward_panel(self, target: int, source: str, columns: int, blocks: tuple[int, ...], units: int) -> None:
        """Blocks (H, columns) of a matrix as [group][k][unit block][block][lane]."""
        self._panel(FORWARD, target, source, columns, blocks, units)

    def backward_panel(self, target: int, source: str, blocks: tuple[int, ...], units: int) -> None:
        """Blocks (H, H) for their transposed product, as [group][block][row][unit block][lane]."""
        self._panel(BACKWARD, target, source, self._hidden, blocks, units)

    def _panel(self, kind: int, target: int, source: str, columns: int, blocks: tuple[int, ...], units: int) -> None:
        places = _places(blocks)
        self._held.append(places)
        least = (max(blocks) + 1) * self._hidden * columns
        self._columns[source] = columns
        self._add(kind, target, source, 0, least, places.data_ptr(), len(blocks), columns, units)

    def rows(self, target: int, source: str | None, count: int, first: int = 0, add: bool = False) -> None:
        """`count` rows of H elements from element `first` of a source on, or zeros: written, or added, to `target`."""
        offset = first * (8 if self._shape.dtype == "float64" else 4)
        self._add(ROWS, target, source, offset, first + count * self._hidden, 0, count, int(add), 0)

    def pairs(self, target: int, source: str, count: int) -> None:
        """`count` rows of H elements of a source as bfloat16, filled up with zeros."""
        self._add(PAIRS, target, source, 0, count * self._hidden, 0, count, 0, 0)

    def _add(self, kind: int, target: int, source: str | None, offset: int, least: int, *rest: int) -> None:
        if source is not None:
            self._sources.append((len(self._rows) + FIELDS.index("source"), source, offset, least))
        self._rows += (kind, target, 0, *rest)

    def arguments(self) -> dict[str, int]:
        """What the kernel is told, when all jobs are there; this object must live until it has run."""
        self._table = (ctypes.c_int64 * len(self._rows))(*self._rows)
        compiled = _compiled(self._shape)  # held: of two threads that compile it at once, one has it alone
        self._held.append(compiled)
        code = compiled.address("prepare")
        return {"prepare": code, "jobs": ctypes.addressof(self._table), "job_count": len(self._rows) // len(FIELDS)}

    def take(self, sources: Mapping[str, Tensor | None]) -> list[Tensor]:
        """Point at these sources, None for zeros; what is returned must live until the jobs are done."""
        table, held = self._table, []
        for place, name, offset, least in self._sources:
            source = sources[name]
            if source is None:
                table[place] = 0
                continue
            # machine code would read past its end, or rows that are none
            if source.numel() < least or (name in self._columns and source.shape[-1] != self._columns[name]):
                raise CeldaError(
                    f"{name} has the shape {tuple(source.shape)}, which does not fit a layer of {self._hidden} units "
                    "and this input: give it the shape that it had when the layer was made."
                )
            if not source.is_contiguous() or source.is_neg():
                source = source.resolve_neg().contiguous()
                held.append(source)
            table[place] = source.data_ptr() + offset
        return held


@lru_cache(maxsize=1024)
def _places(blocks: tuple[int, ...]) -> Tensor:
    return torch.tensor(blocks)


@cache
def _compiled(shape: Shape) -> jit.Compiled:
    return disk.load(f"prepare {shape}", lambda: module(shape), ["prepare"])


SIGNATURE = ir.FunctionType(ir.VoidType(), [I64] * 6)  # slot, slots, jobs, how many, hidden, padded


def call(f: Function, counter: ir.Value) -> None:
    """In a kernel: work off its share of the jobs, and wait for the others."""
    b = f.e.b
    prepare = b.inttoptr(f.number("prepare"), SIGNATURE.as_pointer())
    count, slot, slots = f.number("job_count"), f.at["slot"], f.at["slots"]
    given = [f.number(name) for name in ("jobs", "hidden", "padded")]

    def work() -> None:
        b.call(prepare, [slot, slots, given[0], count, *given[1:]])
        f.e.barrier(counter, slots, slots)

    f.e.when(b.icmp_signed(">", count, I64(0)), work)


def module(shape: Shape) -> ir.Module:
    """`prepare(slot, slots, jobs, how many, hidden, padded)`: of a job, a slot does its share of the unit blocks.

    They lie side by side: where threads share the units, they are about those that the slot goes on to multiply.
    """
    m = ir.Module("prepare")
    parts = [_forward(m, shape), _backward(m, shape), _rows(m, shape)]
    if shape.pairs:
        parts.append(_pairs(m, shape))
    function = ir.Function(m, SIGNATURE, "prepare")
    slot, slots, jobs, count, hidden, padded = function.args
    b = ir.IRBuilder(function.append_basic_block())
    e = Emit(b, m, shape.dtype, shape.lanes)
    table = b.inttoptr(jobs, ir.PointerType())

    def job(k: ir.Value, _: object) -> None:
        place = [b.add(b.mul(k, I64(len(FIELDS))), I64(i)) for i in range(len(FIELDS))]
        kind, *fields = (b.load(b.gep(table, [p], source_etype=I64), typ=I64) for p in place)
        blocks = b.udiv(padded, I64(shape.lanes))

        def each_block(part: ir.Function) -> None:
            def block(j: ir.Value, _: object) -> None:
                b.call(part, [j, *fields, hidden, padded, table])

            first, end = (b.udiv(b.mul(k, blocks), slots) for k in (slot, b.add(slot, I64(1))))
            e.loop(end, block, start=first)

        for number, part in enumerate(parts):
            e.when(b.icmp_signed("==", kind, I64(number)), partial(each_block, part))

    e.loop(count, job)
    b.ret_void()
    return m


def _part(m: ir.Module, shape: Shape, name: str) -> tuple[Function, dict[str, ir.Value]]:
    f = Function(m, shape, Arguments(()), name, ("j", *FIELDS[1:], "hidden", "padded"))
    at = dict(f.at)
    for name in ("target", "source", "places"):
        at[name] = f.e.b.inttoptr(at[name], ir.PointerType())
    return f, at


def _place(f: Function, at: dict[str, ir.Value]) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Of a unit block: the first of its group, its place there, and how many the group has."""
    b = f.e.b
    whole = b.mul(b.udiv(b.udiv(at["padded"], I64(f.shape.lanes)), at["units"]), at["units"])
    inside = b.icmp_signed("<", at["j"], whole)
    group = b.select(inside, b.mul(b.udiv(at["j"], at["units"]), at["units"]), at["j"])
    return group, b.sub(at["j"], group), b.select(inside, at["units"], I64(1))


def _rows(m: ir.Module, shape: Shape) -> ir.Function:
    f, at = _part(m, shape, "rows")
    e, b = f.e, f.e.b
    lane, mask = b.mul(at["j"], I64(shape.lanes)), f.mask(at["j"], at["hidden"])
    zeros = b.icmp_signed("==", f.at["source"], I64(0))
    adds = b.icmp_signed("!=", at["columns"], I64(0))

    def row(r: ir.Value, _: object) -> None:
        there = e.at(at["target"], b.mul(r, at["padded"]), lane)
        new = f.masked_load(e.at(at["source"], b.mul(r, at["hidden"]), lane), mask)
        e.store(b.fadd(new, b.select(adds, e.load(there), e.const(0.0))), there)

    with b.if_else(zeros) as (fill, copy):
        with fill:
            e.loop(at["count"], lambda r, _: e.store(e.const(0.0), e.at(at["target"], b.mul(r, at["padded"]), lane)))
        with copy:
            e.loop(at["count"], row)
    f.finish()
    return f.function


def _pairs(m: ir.Module, shape: Shape) -> ir.Function:
    f, at = _part(m, shape, "pairs")
    e, b = f.e, f.e.b
    lane, mask = b.mul(at["j"], I64(shape.lanes)), f.mask(at["j"], at["hidden"])
    zeros = b.icmp_signed("==", f.at["source"], I64(0))

    def row(r: ir.Value, _: object, given: bool) -> None:
        there = e.at(at["source"], b.mul(r, at["hidden"]), lane)
        new = f.masked_load(there, mask) if given else e.const(0.0)
        e.store_rounded(new, at["target"], b.add(b.mul(r, at["padded"]), lane))

    with b.if_else(zeros) as (fill, copy):
        with fill:
            e.loop(at["count"], partial(row, given=False))
        with copy:
            e.loop(at["count"], partial(row, given=True))
    f.finish()
    return f.function


def _backward(m: ir.Module, shape: Shape) -> ir.Function:
    f, at = _part(m, shape, "backward")
    e, b, lanes, hidden = f.e, f.e.b, I64(shape.lanes), at["hidden"]
    group, unit, abreast = _place(f, at)
    terms = f.terms(hidden)
    start = e.at(at["target"], b.mul(b.mul(group, lanes), b.mul(at["count"], terms)))
    mask = f.mask(at["j"], hidden)

    def block(k: ir.Value, _: object) -> None:
        first = b.mul(b.mul(f.whole(at["places"], k), hidden), at["columns"])
        source = e.at(at["source"], first, b.mul(at["j"], lanes))
        target = e.at(start, b.mul(b.add(b.mul(b.mul(k, terms), abreast), unit), lanes))

        def at_row(r: ir.Value) -> ir.Value:
            return f.masked_load(e.at(source, b.mul(r, at["columns"])), mask)

        def row(r: ir.Value, _: object) -> None:
            e.store(at_row(r), e.at(target, b.mul(b.mul(r, abreast), lanes)))

        def two(r: ir.Value, _: object) -> None:
            first = b.add(r, r)
            after = b.add(first, I64(1))
            there = b.icmp_signed("<", after, hidden)
            second = b.select(there, at_row(b.select(there, after, first)), e.const(0.0))
            e.store(e.paired(at_row(first), second), e.at(target, b.mul(b.mul(r, abreast), lanes)))

        e.loop(terms, two if shape.pairs else row)

    e.loop(at["count"], block)
    f.finish()
    return f.function


def _forward(m: ir.Module, shape: Shape) -> ir.Function:
    f, at = _part(m, shape, "forward")
    e, b, lanes, columns = f.e, f.e.b, shape.lanes, at["columns"]
    group, unit, abreast = _place(f, at)
    depth = b.mul(b.mul(f.terms(columns), at["count"]), I64(lanes))
    start, stride = e.at(at["target"], b.mul(group, depth)), b.mul(abreast, b.mul(at["count"], I64(lanes)))
    lane, mask = b.mul(at["j"], I64(lanes)), f.mask(at["j"], at["hidden"])
    last = b.sub(b.sub(at["hidden"], lane), I64(1))  # rows past the last unit are read there, and masked out
    inside = [b.select(b.icmp_signed("<", I64(r), last), I64(r), last) for r in range(lanes)]

    def block(k: ir.Value, _: object) -> None:
        first = b.add(b.mul(f.whole(at["places"], k), at["hidden"]), lane)
        rows = [e.at(at["source"], b.mul(b.add(first, r), columns)) for r in inside]
        target = e.at(start, b.mul(b.add(b.mul(unit, at["count"]), k), I64(lanes)))

        def put(vectors: list[ir.Value], c: ir.Value) -> None:
            if shape.pairs:
                vectors = [e.paired(*two) for two in zip(vectors[::2], vectors[1::2], strict=True)]
                c = b.lshr(c, I64(1))
            places = [e.at(target, b.mul(b.add(c, I64(q)), stride)) for q in range(len(vectors))]
            vectors = [new if mask is None else b.select(mask, new, e.const(0.0)) for new in vectors]
            differs = e.iconst(0)
            for new, place in zip(vectors, places, strict=True):
                bits = [b.bitcast(value, e.ivector) for value in (new, e.load(place))]
                differs = b.or_(differs, b.xor(*bits))

            def write() -> None:
                for new, place in zip(vectors, places, strict=True):
                    e.store(new, place)

            e.when(b.not_(e.all(b.icmp_signed("==", differs, e.iconst(0)))), write)

        def square(c: ir.Value, _: object) -> None:
            put(transposed(e, [e.load(e.at(row, c)) for row in rows]), c)

        def column(c: ir.Value) -> ir.Value:
            found = ir.Constant(e.vector, ir.Undefined)
            for r, row in enumerate(rows):
                found = b.insert_element(found, e.load_scalar(e.at(row, c)), I32(r))
            return found

        def single(c: ir.Value, _: object) -> None:
            put([column(c)], c)

        def double(c: ir.Value, _: object) -> None:
            after = b.add(c, I64(1))
            there = b.icmp_signed("<", after, columns)
            second = column(b.select(there, after, c))
            put([column(c), b.select(there, second, e.const(0.0))], c)

        c, _ = e.loop(b.sub(columns, I64(lanes - 1)), square, step=lanes)
        e.loop(columns, double if shape.pairs else single, start=c, step=2 if shape.pairs else 1)

    e.loop(at["count"], block)
    f.finish()
    return f.function


def transposed(e: Emit, rows: list[ir.Value]) -> list[ir.Value]:
    """As many vectors as they have lanes, transposed: at every turn, blocks off the diagonal change places."""
    lanes, width = len(rows), 1
    while width < lanes:
        low = [i if not i & width else lanes + i - width for i in range(lanes)]
        high = [i + width if not i & width else lanes + i for i in range(lanes)]
        new = list(rows)
        for i in range(lanes):
            if not i & width:
                new[i] = _shuffle(e, rows[i], rows[i + width], low)
                new[i + width] = _shuffle(e, rows[i], rows[i + width], high)
        rows, width = new, 2 * width
    return rows


def _shuffle(e: Emit, a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
    return e.b.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))
