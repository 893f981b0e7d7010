"""Where the rows of a ragged batch lie: tables that machine code fills, as they are needed anew for every batch.

The batch is sorted, the longest sequence first, and those of one length in the caller's order. A row is a step of a
sequence that has it; the rows of a step lie side by side, those of step t + 1 after those of step t.
"""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import torch
from llvmlite import ir
from torch import Tensor

from celda.engines.cpu import cache as disk
from celda.engines.cpu.emit import I64, Emit, Value

_WORDS = I64.as_pointer()
_FILL = ir.FunctionType(I64, [I64] * 5)  # lengths, steps, batch, reverse, tables -> rows
_SHARE = ir.FunctionType(ir.VoidType(), [I64] * 6)  # lengths, batch, low, high, parts, bounds


class Ragged(NamedTuple):
    """The tables of a batch, int64, of N rows."""

    offset: Tensor  # (T + 1,) the first row of each step
    active: Tensor  # (T,) how many sequences a step has
    order: Tensor  # (B,) of each place in the sorted batch: the sequence
    lengths: Tensor  # (B,) sorted
    unsorted: Tensor  # (B,) of each sequence: its place in the sorted batch
    last: Tensor  # (B,) the same in two batches end to end, which steps write in turn: where the last step writes
    places: Tensor  # (N,) of each row: its t * B + b
    before: Tensor  # (N,) of each row: where the state before it is in `celda.engines.cpu.layout.Layout.around`

    def bounds(self, parts: int, low: int, high: int) -> Tensor:
        """Cut the sorted batch into `parts` ranges of about equally many rows in the steps low..high, (parts + 1,)."""
        found = torch.empty(parts + 1, dtype=torch.int64)
        _function("bounds")(self.lengths.data_ptr(), len(self.lengths), low, high, parts, found.data_ptr())
        return found


def ragged(lengths: Tensor, steps: int, reverse: bool) -> Ragged:
    """The tables for lengths (B,) from 0 to `steps`, run forwards or in `reverse`."""
    return _tables(lengths.long().numpy().tobytes(), steps, reverse, torch.is_inference_mode_enabled())


@lru_cache(maxsize=4)  # the layers and directions of a stack meet the same lengths
def _tables(lengths: bytes, steps: int, reverse: bool, _: bool) -> Ragged:
    """`_`: in inference mode. What was made there cannot be used in training."""
    batch = len(lengths) // 8
    most = steps * batch
    sizes = steps + 1, steps, batch, batch, batch, batch
    whole = torch.empty(sum(sizes) + 2 * most, dtype=torch.int64)
    rows = _function("fill")(lengths, steps, batch, int(reverse), whole.data_ptr())
    if rows < 0:
        given = torch.frombuffer(bytearray(lengths), dtype=torch.int64)
        raise ValueError(
            f"lengths must be from 0 to {steps}, the number of steps, and are {given.min()} to {given.max()}"
        )
    # unsafe: no views that autograd keeps track of
    *tables, _rest = torch.unsafe_split_with_sizes(whole, (*sizes, rows, rows, 2 * (most - rows)))
    return Ragged(*tables)


@cache
def _function(name: str) -> Any:
    code = disk.load("ragged", module, ["fill", "bounds"])
    words = [ctypes.c_int64] * 6
    filling = ctypes.c_int64, ctypes.c_char_p, *words[2:]
    kind = ctypes.CFUNCTYPE(*(filling if name == "fill" else (None, *words)))
    function: Any = kind(code.address(name))
    function.code = code  # the one lives as long as the other
    return function


def module() -> ir.Module:
    """Two functions, `fill` and `bounds`."""
    m = ir.Module("ragged")
    _fill(m)
    _bounds(m)
    return m


def _bounds(m: ir.Module) -> None:
    """`bounds(lengths, batch, low, high, parts, bounds)`: see `Ragged.bounds`."""
    f = ir.Function(m, _SHARE, "bounds")
    _, batch, low, high, parts, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, m, "float64", 1)
    lengths, bounds = (b.inttoptr(f.args[k], _WORDS) for k in (0, 5))

    def add(p: Value, carried: Any, share: Value | None = None) -> list[Value]:
        """The rows up to sequence `p`, and how many sequences have come to an end within `share` rows."""
        length = b.load(e.at(lengths, p))
        least = b.select(b.icmp_signed("<", length, high), length, high)
        rows = b.add(carried[0], b.select(b.icmp_signed(">", least, low), b.sub(least, low), I64(0)))
        if share is None:
            return [rows]
        return [rows, b.add(carried[1], b.zext(b.icmp_signed("<=", rows, share), I64))]

    _, (total,) = e.loop(batch, add, carry=[I64(0)])

    def part(k: Value, _: Any) -> None:
        share = b.sdiv(b.mul(k, total), parts)
        _, (_, place) = e.loop(batch, partial(add, share=share), carry=[I64(0), I64(0)])
        b.store(place, e.at(bounds, k))

    b.store(I64(0), bounds)
    e.loop(parts, part, start=1)
    b.store(batch, e.at(bounds, parts))
    b.ret_void()


def _fill(m: ir.Module) -> None:
    """`fill(lengths, steps, batch, reverse, tables)` fills those of `Ragged`, end to end, and returns how many rows
    there are, or -1 where a length cannot be: machine code would write past the tables."""
    f = ir.Function(m, _FILL, "fill")
    _, steps, batch, reverse, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, m, "float64", 1)
    given, offset = (b.inttoptr(f.args[k], _WORDS) for k in (0, 4))

    def check(k: Value, carried: Any) -> list[Value]:
        length = b.load(e.at(given, k))
        # a negative one is a large one without its sign
        return [b.add(carried[0], length), b.or_(carried[1], b.icmp_unsigned(">", length, steps))]

    _, (count, wrong) = e.loop(batch, check, carry=[I64(0), ir.IntType(1)(0)])
    with b.if_then(wrong):
        b.ret(I64(-1))
    active = e.at(offset, steps, 1)
    order = e.at(active, steps)
    lengths, unsorted, last, places = (e.at(order, b.mul(I64(k), batch)) for k in range(1, 5))
    before = e.at(places, count)

    def get(table: Value, place: Value) -> Value:
        return b.load(e.at(table, place))

    def put(table: Value, place: Value, value: Value) -> None:
        b.store(value, e.at(table, place))

    def add(table: Value, place: Value) -> Value:
        """Add one there; what was there before."""
        found = get(table, place)
        put(table, place, b.add(found, I64(1)))
        return found

    # for now `offset` counts the sequences of each length, and then says where the next one of a length goes
    e.loop(b.add(steps, I64(1)), lambda t, _: put(offset, t, I64(0)))
    e.loop(batch, lambda k, _: add(offset, get(given, k)) and None)

    def longer(k: Value, carried: Any) -> list[Value]:
        t = b.sub(b.sub(steps, k), I64(1))
        total = b.add(carried[0], get(offset, b.add(t, I64(1))))
        put(active, t, total)
        return [total]

    e.loop(steps, longer, carry=[I64(0)])
    e.loop(steps, lambda t, _: put(offset, t, get(active, t)))
    put(offset, steps, I64(0))

    def sort(k: Value, _: Any) -> None:
        length = get(given, k)
        place = add(offset, length)
        put(order, place, k)
        put(lengths, place, length)
        put(unsorted, k, place)
        put(last, k, b.add(b.mul(b.and_(length, I64(1)), batch), place))

    e.loop(batch, sort)

    def begin(t: Value, carried: Any) -> list[Value]:
        put(offset, t, carried[0])
        return [b.add(carried[0], get(active, t))]

    _, ended = e.loop(steps, begin, carry=[I64(0)])
    put(offset, steps, ended[0])
    backwards = b.icmp_signed("!=", reverse, I64(0))

    def step(t: Value, _: Any) -> None:
        first, n = get(offset, t), get(active, t)
        ends = b.icmp_signed("==", b.add(t, I64(1)), steps)
        there = b.select(ends, I64(0), get(active, b.select(ends, t, b.add(t, I64(1)))))  # who has the step after

        def row(p: Value, _: Any) -> None:
            place, at = b.add(b.mul(t, batch), get(order, p)), b.add(first, p)
            put(places, at, place)
            after = b.select(b.icmp_signed("<", p, there), b.add(t, I64(1)), steps)
            put(before, at, b.select(backwards, b.add(b.mul(after, batch), get(order, p)), place))

        e.loop(n, row)

    e.loop(steps, step)
    b.ret(count)
