"""The mean and the deviation of values over the units of a row, which a stage needs before it begins with its tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from celda.engines.cpu.kernel import I64, Function
from celda.language.expression import Node
from celda.language.operations import EPSILON

PARTS = 2  # numbers a value has: its mean and its deviation


def find(
    f: Function, wanted: Sequence[tuple[int, Callable[[ir.Value], ir.Value]]], count: int, r0: ir.Value, r1: ir.Value
) -> None:
    """For the rows r0..r1, the statistics of each of the `wanted`: its number among `count`, and where a row of it is.

    Every thread finds those of all units itself. Where threads share the units they write the same numbers.
    """
    e, b, lanes, hidden = f.e, f.e.b, f.shape.lanes, f.number("hidden")
    blocks, units = b.udiv(f.number("padded"), I64(lanes)), b.sitofp(hidden, e.scalar)
    stats, zero = f.address("stats"), e.const(0.0)

    def row(r: ir.Value, _: object) -> None:
        for k, of in wanted:
            start, there = of(r), e.at(stats, b.mul(r, I64(PARTS * count)), PARTS * k)

            def average(term: Callable[[ir.Value], ir.Value], start: ir.Value = start) -> ir.Value:
                def add(j: ir.Value, carried: Sequence[ir.Value]) -> list[ir.Value]:
                    new, mask = term(e.load(e.at(start, b.mul(j, I64(lanes))))), f.mask(j, hidden)
                    return [b.fadd(carried[0], new if mask is None else b.select(mask, new, zero))]

                return b.fdiv(e.total(e.loop(blocks, add, carry=[zero])[1][0]), units)

            mean = average(lambda value: value)
            far = e.broadcast(mean)

            def squared(value: ir.Value, far: ir.Value = far) -> ir.Value:
                distance = b.fsub(value, far)
                return b.fmul(distance, distance)

            e.store_scalar(mean, there)
            e.store_scalar(e.sqrt(b.fadd(average(squared), e.number(EPSILON))), e.at(there, 1))

    e.loop(r1, row, start=r0)


def value(f: Function, node: Node, k: int, count: int, of: Callable[[Node], ir.Value]) -> ir.Value:
    """A mean, a deviation or a normalised value, from the k-th of `count` statistics; `of` computes what it is of."""
    e, b = f.e, f.e.b
    there = e.at(f.address("stats"), b.mul(f.at["r"], I64(PARTS * count)), PARTS * k)
    mean, deviation = (e.broadcast(e.load_scalar(e.at(there, part))) for part in range(PARTS))
    match node.op:
        case "mean":
            return mean
        case "deviation":
            return deviation
    return b.fdiv(b.fsub(of(node.args[0]), mean), deviation)
