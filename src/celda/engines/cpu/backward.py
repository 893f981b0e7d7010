"""The backward kernel: the reverse sweep of any cell over a whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import lcm

from llvmlite import ir

from celda.engines.cpu import prepare, statistics
from celda.engines.cpu.kernel import (
    I64,
    NUMBERS,
    Arguments,
    Function,
    Shape,
    for_share,
    read_names,
    tile,
    tiles,
    unit_groups,
)
from celda.engines.cpu.maths import POINTWISE
from celda.engines.cpu.threads import LINE
from celda.engines.program import BackwardProgram, reduction
from celda.language.expression import Node

SPAN = ("last", "count", "n_after", "base_after")  # of a launch: its last step, how many, and the step after them
ADDRESSES = (
    *("offset", "active", "bounds", "output", "upstream", "scratch"),
    *("stats", "record", "adjoint", "carry", "sums"),
)


class BackwardKernel:
    """Emits `kernel(slot, slots, arguments)`: `count` steps from `last` down, numbered as the forward kernel ran them.

    A sweep may be cut into spans. `adjoint` receives dL/d(linear map), (rows, maps, H), of the span's steps, and holds
    that of the step after them, with `n_after` rows from `base_after` on; where products are of pairs, `pairs` (rows,
    maps, padded) holds the same as bfloat16. `carried_<state>` (batch, padded)
    comes with dL/d(state after the last step) and, after the span with step 0, goes with dL/d(initial state). `sums`
    (parts, maps + vectors, padded) adds up what is a sum over all rows, the gradients of biases and vectors; by part,
    so that its bits do not depend on how many threads came. `kept` are the states whose values at every step have
    gradients from above besides those of the output.
    """

    def __init__(
        self, program: BackwardProgram, shape: Shape, *, record: tuple[Node, ...], resets: bool, kept: tuple[str, ...]
    ) -> None:
        self.program, self.shape, self.record, self.resets, self.kept = program, shape, record, resets, kept
        cell = program.cell
        names = [*NUMBERS, *SPAN, *ADDRESSES] + ["pairs"] * shape.pairs
        names += [f"carried_{s}" for s in cell.states] + [f"first_{s}" for s in cell.states]
        names += [f"vector_{name}" for name in (*program.vectors, *cell.constants)] + read_names(len(program.read))
        self.targets = tuple(s for s in cell.states if program.carry[s])
        names += [f"panel_{k}_{q}" for k, stage in enumerate(program.products) for q in range(len(stage))]
        names += [f"upstream_{s}" for s in kept] + [f"d_{name}" for name in program.below]
        names += [f"reach_{s}_{p}" for s, p, _ in program.patterned]
        self.arguments = Arguments(names)

    def module(self) -> ir.Module:
        """The kernel as a module of its own."""
        self.m = ir.Module("backward")
        f = Function(self.m, self.shape, self.arguments, "kernel", ("slot", "slots"), export=True)
        e, b, products = f.e, f.e.b, self.program.products
        stages = [self._stage(k, products[k]) for k in range(len(self.program.stages))]
        counter, active, offset = f.function.args[-1], f.address("active"), f.address("offset")
        first, direction, last = f.number("first"), f.number("direction"), f.number("last")
        for name in ("count", "n_after", "base_after"):
            f.number(name)
        grouped = self.program.grouped
        units = lcm(*(self.shape.units(max(len(p), 1), k in grouped) for k, p in enumerate(products)))
        least = lambda x, y: b.select(b.icmp_signed("<", x, y), x, y)  # noqa: E731
        most = lambda x, y: b.select(b.icmp_signed(">", x, y), x, y)  # noqa: E731
        work, end = (I64(1), I64(0)), (I64(1), I64(1))  # (multiply?, the rows end here?)

        def step(
            k: ir.Value,
            carried: Sequence[ir.Value],
            part: ir.Value,
            r0: ir.Value,
            r1: ir.Value,
            j0: ir.Value,
            j1: ir.Value,
            threads: ir.Value,
        ) -> list[ir.Value]:
            n_after, base_after = carried  # of the step after this one, which was taken before
            s = b.sub(last, k)
            t = b.add(first, b.mul(s, direction))
            n, base = f.whole(active, t), f.whole(offset, t)
            # rows without a step before this one start from the initial state
            has_before = b.icmp_signed(">", s, I64(0))
            before = b.select(has_before, b.sub(t, direction), t)
            n_before = b.select(has_before, f.whole(active, before), I64(0))
            common = [part, s, t, base, base_after, f.whole(offset, before), n_before]
            both = least(n, n_after)
            b.call(stages[0], [*common, r0, least(r1, both), j0, j1, *work, f.block])
            b.call(stages[0], [*common, most(r0, both), least(r1, n), j0, j1, I64(0), I64(0), f.block])
            b.call(stages[0], [*common, most(r0, n), least(r1, n_after), j0, j1, *end, f.block])
            for number, stage in enumerate(stages):
                if number:
                    b.call(stage, [*common, r0, least(r1, n), j0, j1, *work, f.block])
                arrivals = b.add(b.mul(k, I64(len(stages))), I64(number + 1))
                e.barrier(counter, threads, b.mul(arrivals, threads))
            return [n, base]

        def sweep(*share: ir.Value) -> None:
            part, r0, r1, j0, j1, _ = share
            carry = [f.number("n_after"), f.number("base_after")]
            count = f.number("count")
            _, (n, base) = e.loop(count, lambda k, c: step(k, c, *share), carry=carry)
            done = b.icmp_signed(">", count, last)
            common = [part, I64(-1), I64(0), I64(0), base, I64(0), I64(0)]
            e.when(done, lambda: b.call(stages[0], [*common, r0, least(r1, n), j0, j1, *end, f.block]))

        prepare.call(f, b.gep(counter, [I64(LINE)], source_etype=I64))
        if self.program.divides:  # by something that might be such a small number
            for_share(f, units, sweep)
        else:
            e.flushing(lambda: for_share(f, units, sweep))  # gradients that vanish pass through all these numbers
        f.finish()
        return self.m

    def _stage(self, number: int, products: tuple[Node, ...]) -> ir.Function:
        """Transposed products over a range of rows and unit blocks, if `multiply`, then the work on each vector.

        With `end` the work is what is left after a row's first step.
        """
        inner = self._work(number, products)
        finish = self._finish(products) if number == 0 else None
        ints = ("part", "s", "t", "base", "after", "before", "n_before", "r0", "r1", "j0", "j1", "multiply", "end")
        f = Function(self.m, self.shape, self.arguments, f"stage_{number}", ints)
        e, b, lanes, columns = f.e, f.e.b, self.shape.lanes, max(len(products), 1)
        shapes = self.shape.tiles(columns, number in self.program.grouped)
        buffer = b.alloca(e.scalar, size=max(most * units for units, most in shapes) * columns * lanes)
        buffer.align = 64
        pairs = self.shape.pairs
        pitch, hidden = f.terms("padded") if pairs else f.number("hidden"), f.terms("hidden")
        base = f.at["base"] if number else f.at["after"]
        adjoint, row_size = f.address("pairs" if pairs else "adjoint"), b.mul(pitch, I64(len(self.program.maps)))
        panels = [f.address(f"panel_{number}_{q}") for q in range(len(products))]
        if wanted := self.program.stages[number].statistics:
            find = partial(statistics.find, f, wanted, self.program, partial(self._row, f), f.at["r0"], f.at["r1"])
            e.when(b.icmp_signed("==", f.at["end"], I64(0)), find)

        def group(j: ir.Value, units: int, height: int) -> None:
            def rows(r: ir.Value, n: int) -> None:
                acc = [e.const(0.0)] * (n * units * columns)
                for runs, together in self._groups(products):
                    first, reached = I64(0), None
                    if self.program.pattern(products[together[0]]):
                        first, reached = f.reached(f"reach_{number}_{together[0]}", j, units)
                    whole, done = sum(count for _, count in runs), 0
                    for m, count in runs:
                        column = b.add(b.mul(pitch, I64(m)), first)
                        pointers = [
                            e.at(adjoint, b.mul(b.add(base, b.add(r, I64(i))), row_size), column) for i in range(n)
                        ]
                        skipped = b.mul(b.add(b.mul(j, I64(whole)), I64(done * units)), b.mul(hidden, I64(lanes)))
                        skipped = b.add(skipped, b.mul(first, I64(units * lanes)))
                        take = [(e.at(panels[q], skipped), [u * columns + q for u in range(units)]) for q in together]
                        depth = b.mul(hidden, I64(count)) if reached is None else reached
                        depth = b.mul(f.at["multiply"], depth)
                        acc, done = tile(e, acc, pointers, take, depth, units * columns, pairs), done + count
                for place, value in enumerate(acc):
                    e.store(value, e.at(buffer, place * lanes))
                given = [f.at[x] for x in ("part", "s", "t", "base", "before", "n_before")]
                args = [*given, r, j, I64(n), I64(units), buffer, f.block]
                if finish is None:
                    b.call(inner, args)
                    return
                with b.if_else(b.icmp_signed("==", f.at["end"], I64(0))) as (goes_on, ends):
                    with goes_on:
                        b.call(inner, args)
                    with ends:
                        b.call(finish, args)

            tiles(f, f.at["r0"], f.at["r1"], height, rows)

        unit_groups(f, shapes, group)
        f.finish()
        return f.function

    def _groups(self, products: tuple[Node, ...]) -> list[tuple[tuple[tuple[int, int], ...], list[int]]]:
        """Transposed products of the same adjoints, by their places, with the runs of these: they are done at once, as
        each element of an adjoint is then read once.

        One whose matrix leaves something out stays alone: it reads of each map some rows, and so each map by itself.
        """
        found: dict[object, tuple[tuple[tuple[int, int], ...], list[int]]] = {}
        for q, product in enumerate(products):
            runs = self.program.runs(product)
            if self.shape.pairs and not self.shape.whole:  # the last pair of a map is filled up
                runs = tuple((m + k, 1) for m, count in runs for k in range(count))
            if self.program.pattern(product):
                found[product] = tuple((m + k, 1) for m, count in runs for k in range(count)), [q]
            else:
                found.setdefault(runs, (runs, []))[1].append(q)
        return list(found.values())

    def _row(self, f: Function, node: Node, r: ir.Value) -> ir.Value:
        """Where a row of a recorded value, or of an adjoint of an earlier stage, is."""
        if node in self.record:
            row = f.e.b.add(f.at["base"], r)
            return f.e.at(f.address("record"), f.plane(row, len(self.record), self.record.index(node)))
        crossing = self.program.crossing
        return f.e.at(f.address("scratch"), f.plane(r, len(crossing), crossing.index(node)))

    def _inner(self, name: str, columns: int, vector: Callable[[Function], None]) -> ir.Function:
        ints = ("part", "s", "t", "base", "before", "n_before", "r", "j", "n", "units")
        f = Function(self.m, self.shape, self.arguments, name, ints, ("acc",))
        f.function.attributes.add("noinline")
        f.each_vector(columns, lambda: vector(f))
        f.finish()
        return f.function

    def _finish(self, products: tuple[Node, ...]) -> ir.Function:
        """What is left after a row's first step: the adjoint of its initial state."""

        def vector(f: Function) -> None:
            e, b = f.e, f.e.b
            here = b.add(b.mul(f.at["r"], f.number("padded")), b.mul(f.at["j"], I64(self.shape.lanes)))
            for state in self.targets:
                there = e.at(f.address(f"carried_{state}"), here)
                e.store(b.fadd(e.load(there), self._product_sum(f, state, products)), there)

        return self._inner("finish", max(len(products), 1), vector)

    def _product_sum(self, f: Function, state: str, products: tuple[Node, ...]) -> ir.Value:
        e, total = f.e, None
        for node in self.program.carry[state]:
            part = e.load(e.at(f.at["acc"], products.index(node) * self.shape.lanes))
            total = part if total is None else e.b.fadd(total, part)
        return total

    def _work(self, number: int, products: tuple[Node, ...]) -> ir.Function:
        """The point-wise work of a stage of the sweep on the vectors of a tile."""
        return self._inner(f"work_{number}", max(len(products), 1), lambda f: self._vector(f, number, products))

    def _vector(self, f: Function, number: int, products: tuple[Node, ...]) -> None:
        e, b, program, lanes = f.e, f.e.b, self.program, self.shape.lanes
        cell, maps = program.cell, len(program.maps)
        hidden = f.number("hidden")
        lane = b.mul(f.at["j"], I64(lanes))
        here = b.add(f.plane(f.at["r"], 1, 0), lane)
        row = b.add(f.at["base"], f.at["r"])
        row_before = b.add(f.at["before"], f.at["r"])
        shown = f.given_order(f.at["r"], f.at["t"])
        shown_before = f.given_order(f.at["r"], b.sub(f.at["t"], f.number("direction")))
        begins = b.icmp_signed(">=", f.at["r"], f.at["n_before"])  # this is the row's first step
        mask = f.mask(f.at["j"], hidden)
        known: dict[Node, ir.Value] = {}
        zero = e.const(0.0)

        def goes_on(s: ir.Value) -> ir.Value:
            at = b.add(b.mul(s, f.number("batch")), f.at["r"])
            return b.fcmp_unordered("!=", e.load_scalar(e.at(f.address("carry"), at)), e.number(0.0))

        into = goes_on(f.at["s"]) if self.resets else None
        out_of = goes_on(b.add(f.at["s"], I64(1))) if self.resets else None

        def recorded(node: Node, at_row: ir.Value) -> ir.Value:
            there = f.plane(at_row, len(self.record), self.record.index(node))
            return e.at(f.address("record"), there, lane)

        def old_state(name: str) -> ir.Value:
            initial = e.at(f.address(f"first_{name}"), here)
            if cell.outputs[name] in self.record:
                there = b.select(begins, initial, recorded(cell.outputs[name], row_before))
                value = e.load(there)
            else:
                earlier = e.at(f.address("output"), f.plane(shown_before, 1, 0, "hidden"), lane)
                value = f.masked_load(b.select(begins, initial, earlier), mask)
            return value if into is None else b.select(b.or_(begins, into), value, zero)

        def adjoint(name: str) -> ir.Value:
            value = e.load(e.at(f.address(f"carried_{name}"), here))
            if program.carry[name]:
                value = b.fadd(value, self._product_sum(f, name, products))
            if out_of is not None:
                value = b.select(out_of, value, zero)
            if name == cell.states[0]:
                upstream = e.at(f.address("upstream"), f.plane(shown, 1, 0, "hidden"), lane)
                value = b.fadd(value, f.masked_load(upstream, mask))
            if name in self.kept:
                upstream = e.at(f.address(f"upstream_{name}"), f.plane(shown, 1, 0, "hidden"), lane)
                value = b.fadd(value, f.masked_load(upstream, mask))
            return value

        def value(node: Node) -> ir.Value:
            if node not in known:
                known[node] = compute(node)
            return known[node]

        def scratch(node: Node) -> ir.Value:
            k, count = program.crossing.index(node), len(program.crossing)
            return e.at(f.address("scratch"), f.plane(f.at["r"], count, k), lane)

        def compute(node: Node) -> ir.Value:
            if node.op == "number":
                return e.const(node.value)
            if node.op == "time":
                return e.broadcast(b.sitofp(b.add(f.number("time"), f.at["t"]), e.scalar))
            if node.op == "parameter":
                return e.load(e.at(f.address(f"vector_{node.name}"), lane))
            if node.op == "state" and node not in self.record:
                return old_state(node.name)
            if node.op in ("mask", "below"):
                return f.read(program.read.index(node.name), shown, lane, mask, node.op == "mask")
            if node in program.forward:
                if node in self.record:
                    return e.load(recorded(node, row))
                if node is program.output:
                    return f.masked_load(e.at(f.address("output"), f.plane(shown, 1, 0, "hidden"), lane), mask)
                if node.op == "diagonal":
                    name = cell.vectors[node]
                    return b.fmul(e.load(e.at(f.address(f"vector_{name}"), lane)), value(node.args[0]))
            elif program.level.get(node, 0) < number or (node.op == "adjoint" and number > 0):
                return e.load(scratch(node))
            elif node.op == "adjoint":
                return adjoint(node.name)
            elif node.op == "transposed":
                return e.load(e.at(f.at["acc"], products.index(node) * lanes))
            if (reduced := reduction(node)) is not None:
                return statistics.value(f, node, reduced, program, value)
            return POINTWISE[node.op](e, *(value(a) for a in node.args))

        stores: list[tuple[ir.Value, ir.Value]] = []
        for node in program.crossing:
            if program.level[node] == number:
                stores.append((value(node), scratch(node)))
        summed: list[tuple[int, ir.Value]] = []

        def store_adjoint(k: int, new: ir.Value) -> None:
            f.masked_store(new, e.at(f.address("adjoint"), f.plane(row, maps, k, "hidden"), lane), mask)
            if self.shape.pairs:
                new = new if mask is None else b.select(mask, new, zero)
                e.store_rounded(new, f.address("pairs"), b.add(f.plane(row, maps, k), lane))

        for k, m in enumerate(program.maps):
            wanted = program.gradient.maps.get(m)
            if wanted is None and number == 0:
                store_adjoint(k, zero)
            elif wanted is not None and program.level[wanted] == number:
                store_adjoint(k, value(wanted))
                summed.append((k, value(wanted)))
        for name, node in program.below.items():
            if program.level[node] == number:
                f.masked_store(value(node), e.at(f.address(f"d_{name}"), f.plane(shown, 1, 0, "hidden"), lane), mask)
        for name, node in program.gradient.vectors.items():
            if program.level[node] == number:
                summed.append((maps + program.vectors.index(name), value(node)))
        for k, new in summed:
            there = e.at(f.address("sums"), f.plane(f.at["part"], maps + len(program.vectors), k), lane)
            stores.append((b.fadd(e.load(there), new), there))
        for state in cell.states:
            terms = [value(t) for t in program.carried[state] if program.level[t] == number]
            there = e.at(f.address(f"carried_{state}"), here)
            total = None
            for term in terms:
                total = term if total is None else b.fadd(total, term)
            if number == 0:
                stores.append((zero if total is None else total, there))
            elif total is not None:
                stores.append((b.fadd(e.load(there), total), there))
        for new, there in stores:
            e.store(new, there)
