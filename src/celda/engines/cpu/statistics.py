"""The mean and the deviation of values over the units of a row, which a stage needs before it begins with its tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from celda.engines.cpu.kernel import I64, Function
from celda.engines.program import BackwardProgram, ForwardProgram
from celda.language.expression import Node
from celda.language.operations import EPSILON

PARTS = 3  # numbers a value has: its mean, its deviation and one over that, as a vector is divided slowly


def find(
    f: Function,
    wanted: Sequence[int],
    program: ForwardProgram | BackwardProgram,
    row_of: Callable[[Node, ir.Value], ir.Value],
    r0: ir.Value,
    r1: ir.Value,
) -> None:
    """For the rows r0..r1, those statistics of the program that are `wanted`, by number; `row_of` says where a row of
    a value is.

    Every thread finds those of all units itself. Where threads share the units they write the same numbers.
    """
    e, b, lanes, hidden = f.e, f.e.b, f.shape.lanes, f.number("hidden")
    blocks, units = b.udiv(f.number("padded"), I64(lanes)), b.sitofp(hidden, e.scalar)
    zero = e.const(0.0)

    def averages(starts: Sequence[ir.Value], terms: Sequence[Callable[[ir.Value], ir.Value]]) -> list[ir.Value]:
        """The means over a row of a term of each value, side by side: each sum alone would wait for itself."""

        def add(j: ir.Value, carried: Sequence[ir.Value]) -> list[ir.Value]:
            lane, mask, sums = b.mul(j, I64(lanes)), f.mask(j, hidden), []
            for start, term, total in zip(starts, terms, carried, strict=True):
                new = term(e.load(e.at(start, lane)))
                sums.append(b.fadd(total, new if mask is None else b.select(mask, new, zero)))
            return sums

        return [b.fdiv(e.total(total), units) for total in e.loop(blocks, add, carry=[zero for _ in starts])[1]]

    def row(r: ir.Value, _: object) -> None:
        starts = [row_of(program.statistics[k], r) for k in wanted]
        there = [_place(f, k, program, r) for k in wanted]
        means = averages(starts, [lambda value: value for _ in wanted])
        for mean, place in zip(means, there, strict=True):
            e.store_scalar(mean, place)
        spread = [place for place, k in enumerate(wanted) if k in program.deviating]
        if not spread:
            return

        def squared(mean: ir.Value) -> Callable[[ir.Value], ir.Value]:
            middle = e.broadcast(mean)

            def term(value: ir.Value) -> ir.Value:
                distance = b.fsub(value, middle)
                return b.fmul(distance, distance)

            return term

        variances = averages([starts[k] for k in spread], [squared(means[k]) for k in spread])
        for k, variance in zip(spread, variances, strict=True):
            deviation = e.sqrt(b.fadd(variance, e.number(EPSILON)))
            e.store_scalar(deviation, e.at(there[k], 1))
            e.store_scalar(b.fdiv(e.number(1.0), deviation), e.at(there[k], 2))

    e.loop(r1, row, start=r0)


def _place(f: Function, k: int, program: ForwardProgram | BackwardProgram, r: ir.Value) -> ir.Value:
    """Where the numbers of a row's k-th statistic are."""
    count = PARTS * len(program.statistics)
    return f.e.at(f.address("stats"), f.e.b.mul(r, I64(count)), PARTS * k)


def value(
    f: Function,
    node: Node,
    reduced: Node,
    program: ForwardProgram | BackwardProgram,
    of: Callable[[Node], ir.Value],
) -> ir.Value:
    """A node that reads the statistics of a reduction: it is that, or is divided by it; `of` computes another node."""
    e, b = f.e, f.e.b
    there = _place(f, program.statistics.index(reduced.args[0]), program, f.at["r"])

    def part(number: int) -> ir.Value:
        return e.broadcast(e.load_scalar(e.at(there, number)))

    match node.op:
        case "mean":
            return part(0)
        case "deviation":
            return part(1)
        case "divide":
            return b.fmul(of(node.args[0]), part(2))
    return b.fmul(b.fsub(of(node.args[0]), part(0)), part(2))
