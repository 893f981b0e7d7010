"""Where the rows of a ragged batch lie: tables that machine code fills, as they are needed anew for every batch.

The batch is sorted, the longest sequence first, and those of one length in the caller's order. A row is a step of a
sequence that has it; the rows of a step lie side by side, those of step t + 1 after those of step t.
"""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from llvmlite import ir
from torch import Tensor

from celda.engines.cpu import cache as disk
from celda.engines.cpu.emit import I64, Emit, Value

_WORDS = I64.as_pointer()
_SIGNATURE = ir.FunctionType(ir.VoidType(), [I64] * 6)  # lengths, steps, batch, rows, reverse, tables


class Ragged(NamedTuple):
    """The tables of a batch, int64, of N rows."""

    offset: Tensor  # (T + 1,) the first row of each step
    active: Tensor  # (T,) how many sequences a step has
    order: Tensor  # (B,) of each place in the sorted batch: the sequence
    lengths: Tensor  # (B,) sorted
    unsorted: Tensor  # (B,) of each sequence: its place in the sorted batch
    last: Tensor  # (B,) the same in two batches end to end, which steps write in turn: where the last step writes
    rows: Tensor  # (T * B,) of step t of sequence b, at t * B + b: its row; N where there is none
    places: Tensor  # (N,) of each row: its t * B + b
    before: (
        Tensor  # (N,) of each row: where the state before its step lies; see `celda.engines.cpu.layout.Layout.around`
    )


def ragged(lengths: Tensor, steps: int, reverse: bool) -> Ragged:
    """The tables for lengths (B,) from 0 to `steps`, run forwards or in `reverse`."""
    return _tables(lengths.long().numpy().tobytes(), steps, reverse)


@lru_cache(maxsize=4)  # the layers and directions of a stack meet the same lengths
def _tables(lengths: bytes, steps: int, reverse: bool) -> Ragged:
    given = (ctypes.c_int64 * (len(lengths) // 8)).from_buffer_copy(lengths)
    batch, rows = len(given), sum(given)
    if given and not 0 <= min(given) <= max(given) <= steps:  # machine code would write past the tables
        raise ValueError(
            f"lengths must be from 0 to {steps}, the number of steps, and are {min(given)} to {max(given)}"
        )
    sizes = (steps + 1, steps, batch, batch, batch, batch, steps * batch, rows, rows)
    with torch.inference_mode(False):  # what was made in inference mode may be used again in training
        whole = torch.empty(sum(sizes), dtype=torch.int64)
        _filler()(ctypes.addressof(given), steps, batch, rows, int(reverse), whole.data_ptr())
        return Ragged(*whole.split(sizes))


@cache
def _filler() -> Any:
    code = disk.load("ragged", module, ["ragged"])
    filler: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)(code.address("ragged"))
    filler.code = code  # the one lives as long as the other
    return filler


def module() -> ir.Module:
    """`ragged(lengths, steps, batch, rows, reverse, tables)`, which fills the tables of `Ragged`, end to end."""
    m = ir.Module("ragged")
    f = ir.Function(m, _SIGNATURE, "ragged")
    _, steps, batch, count, reverse, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, m, "float64", 1)
    given, offset = (b.inttoptr(f.args[k], _WORDS) for k in (0, 5))
    active = e.at(offset, steps, 1)
    order = e.at(active, steps)
    lengths, unsorted, last, rows = (e.at(order, b.mul(I64(k), batch)) for k in range(1, 5))
    places = e.at(rows, b.mul(steps, batch))
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
        begins, ends = b.icmp_signed("==", t, I64(0)), b.icmp_signed("==", b.add(t, I64(1)), steps)
        ahead = b.sub(t, b.select(begins, I64(0), I64(1)))
        forth = b.select(begins, I64(0), b.add(get(offset, ahead), batch))
        there = b.select(ends, I64(0), get(active, b.select(ends, t, b.add(t, I64(1)))))  # who has the step after
        back, start = get(offset, b.add(t, I64(1))), b.add(count, I64(1))

        def row(p: Value, _: Any) -> None:
            place, at = b.add(b.mul(t, batch), get(order, p)), b.add(first, p)
            put(rows, place, at)
            put(places, at, place)
            base = b.select(backwards, b.select(b.icmp_signed("<", p, there), back, start), forth)
            put(before, at, b.add(base, p))

        e.loop(n, row)
        e.loop(batch, lambda p, _: put(rows, b.add(b.mul(t, batch), get(order, p)), count), start=n)

    e.loop(steps, step)
    b.ret_void()
    return m
