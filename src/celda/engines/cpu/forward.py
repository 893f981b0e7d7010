"""The forward kernel: any cell over a whole sequence, its point-wise work done on products still in registers."""

from __future__ import annotations

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
from celda.engines.program import ForwardProgram, ForwardStage, reduction
from celda.language.expression import Node
from celda.language.schedule import Product

ADDRESSES = ("offset", "active", "bounds", "bias", "output", "scratch", "stats", "record", "carry", "hoisted")


class ForwardKernel:
    """Emits `kernel(slot, slots, arguments)` for a program.

    Rows are packed: step t has `active[t]` rows, from row `offset[t]` on, the longest sequences first. The output, and
    what is read unit by unit, lie as the caller has them, (T, B, H): `order` says which sequence is the r-th, and where
    some are `ragged`, the output past their ends is filled with zeros. With `hoist` the products with what is given are
    done first, for the rows of all steps, into `hoisted` (rows, maps, padded). With `by_rows` each slot takes the rows
    bounds[slot]..bounds[slot + 1] through all steps and meets nobody; otherwise it takes a share of the units, and all
    meet after every stage.
    """

    def __init__(self, program: ForwardProgram, shape: Shape, *, hoist: bool, resets: bool) -> None:
        self.program, self.shape, self.hoist, self.resets = program, shape, hoist, resets
        names = [*NUMBERS, *ADDRESSES]
        names += [f"state_{s}" for s in program.cell.states]
        names += [f"vector_{name}" for name in program.cell_vectors]
        for k in range(len(program.given)):
            names += [f"given_{k}", f"given_{k}_stride", f"given_{k}_moves"]
        names += read_names(len(program.read))
        names += [f"operand_{k}" for k in range(len(program.operands))] + ["operand_moves"]
        names += [f"panel_{s}_{p}" for s, stage in enumerate(program.stages) for p in range(len(stage.products))]
        names += [f"reach_{s}_{p}" for s, p, _ in program.patterned] + self.pairs
        self.arguments = Arguments(names)

    @property
    def pairs(self) -> list[str]:
        """The names of what is multiplied besides what is given, as bfloat16, where products are of pairs."""
        program = self.program
        states = [f"pairs_{state}" for state in program.multiplied]
        return states + [f"pairs_{k}" for k in range(len(program.operands))] if self.shape.pairs else []

    def module(self) -> ir.Module:
        """The kernel as a module of its own."""
        self.m = ir.Module("forward")
        f = Function(self.m, self.shape, self.arguments, "kernel", ("slot", "slots"), export=True)
        e, b = f.e, f.e.b
        stages, ended = [self._stage(k, stage) for k, stage in enumerate(self.program.stages)], self._ended()
        counter = f.function.args[-1]
        active, offset = f.address("active"), f.address("offset")
        steps, first, direction = f.number("steps"), f.number("first"), f.number("direction")
        hoisted = [self._ahead(k, stage) for k, stage in enumerate(self.program.stages) if self._hoisted(stage)]
        count, ragged = len(stages), b.icmp_signed("!=", f.number("ragged"), I64(0))

        def step(s: ir.Value, r0: ir.Value, r1: ir.Value, j0: ir.Value, j1: ir.Value, threads: ir.Value) -> None:
            t = b.add(first, b.mul(s, direction))
            n, base = f.whole(active, t), f.whole(offset, t)
            stop = b.select(b.icmp_signed("<", n, r1), n, r1)
            past = b.select(b.icmp_signed(">", n, r0), n, r0)
            e.when(ragged, lambda: b.call(ended, [t, past, r1, j0, j1, f.block]))
            for k, stage in enumerate(stages):
                b.call(stage, [s, t, base, r0, stop, j0, j1, f.block])
                e.barrier(counter, threads, b.mul(b.add(b.mul(s, I64(count)), I64(k + 1)), threads))

        prepare.call(f, b.gep(counter, [I64(LINE)], source_etype=I64))
        if hoisted:  # a slot takes a share of the rows
            rows, slot, slots = f.whole(offset, steps), f.at["slot"], f.at["slots"]
            share = [b.udiv(b.mul(k, rows), slots) for k in (slot, b.add(slot, I64(1)))]
            for products in hoisted:
                b.call(products, [*share, f.block])
            e.barrier(b.gep(counter, [I64(2 * LINE)], source_etype=I64), slots, slots)
        for_share(f, self._units(), lambda _, *share: e.loop(steps, lambda s, _: step(s, *share)))
        f.finish()
        return self.m

    def _ended(self) -> ir.Function:
        """Zeros as the outputs of sequences that have ended."""
        f = Function(self.m, self.shape, self.arguments, "ended", ("t", "r0", "r1", "j0", "j1"))
        e, b = f.e, f.e.b

        def row(r: ir.Value, _: object) -> None:
            def unit(j: ir.Value, _: object) -> None:
                there = f.plane(f.given_order(r, f.at["t"]), 1, 0, "hidden")
                lane, mask = b.mul(j, I64(self.shape.lanes)), f.mask(j, f.number("hidden"))
                f.masked_store(e.const(0.0), e.at(f.address("output"), there, lane), mask)

            e.loop(f.at["j1"], unit, start=f.at["j0"])

        e.loop(f.at["r1"], row, start=f.at["r0"])
        f.finish()
        return f.function

    def _hoisted(self, stage: ForwardStage) -> list[Product]:
        """The products of a stage that are done ahead of all steps."""
        return [p for p in stage.products if self.hoist and self.program.is_hoisted(p)]

    def _ahead(self, number: int, stage: ForwardStage) -> ir.Function:
        """The products of a stage with what is given, for rows r0..r1 of all steps, and the biases with them."""
        f = Function(self.m, self.shape, self.arguments, f"ahead{number}", ("r0", "r1"))
        e, b, lanes, columns = f.e, f.e.b, self.shape.lanes, len(stage.maps)
        maps, products = [self.program.maps.index(m) for m in stage.maps], self._hoisted(stage)
        reached = [stage.maps.index(m) for m in dict.fromkeys(m for p in products for m in p.maps)]
        start: ir.Value = I64(0)
        for units, height in self.shape.tiles(columns, number in self.program.grouped):
            width = units * columns

            def block(j: ir.Value, _: object, units: int = units, width: int = width, height: int = height) -> None:
                lane = [b.mul(b.add(j, I64(u)), I64(lanes)) for u in range(units)]

                def rows(r: ir.Value, n: int) -> None:
                    acc = [self._bias(f, m, lane[u]) for _ in range(n) for u in range(units) for m in maps]
                    for p in products:
                        k, take = self.program.given.index(p.operand), self._take(stage, p, units)
                        stride, moves = f.number(f"given_{k}_stride"), f.number(f"given_{k}_moves")
                        pointers = []
                        for q in range(n):
                            row = b.add(r, I64(q))
                            still = b.icmp_signed("==", moves, I64(0))  # of a sequence, the same at every step
                            row = b.select(still, b.urem(row, f.number("batch")), row)
                            pointers.append(e.at(f.address(f"given_{k}"), b.mul(row, stride)))
                        panel = self._panel(f, number, stage, p, j, stride)
                        acc = tile(e, acc, pointers, [(panel, take)], stride, width, self.shape.pairs)
                    for q in range(n):
                        for u in range(units):
                            for c in reached:
                                there = self._begun(f, b.add(r, I64(q)), maps[c], lane[u])
                                e.store(acc[q * width + u * columns + c], there)

                tiles(f, f.at["r0"], f.at["r1"], height, rows)

            blocks = b.udiv(f.number("padded"), I64(lanes))
            start, _ = e.loop(b.sub(blocks, I64(units - 1)), block, start=start, step=units)
        f.finish()
        return f.function

    def _bias(self, f: Function, m: int, lane: ir.Value) -> ir.Value:
        """The summed biases of the m-th linear map."""
        return f.e.load(f.e.at(f.address("bias"), f.e.b.mul(f.number("padded"), I64(m)), lane))

    def _begun(self, f: Function, row: ir.Value, m: int, lane: ir.Value) -> ir.Value:
        """Where the products of the m-th linear map lie that were done ahead."""
        return f.e.at(f.address("hoisted"), f.plane(row, len(self.program.maps), m), lane)

    def _take(self, stage: ForwardStage, product: Product, units: int) -> list[int]:
        """The columns of a tile that a product goes to."""
        return [u * len(stage.maps) + stage.maps.index(m) for u in range(units) for m in product.maps]

    def _panel(
        self, f: Function, number: int, stage: ForwardStage, product: Product, j: ir.Value, depth: ir.Value
    ) -> ir.Value:
        """Where the weights of a product for the unit blocks from `j` on are."""
        skipped = f.e.b.mul(j, f.e.b.mul(depth, I64(len(product.maps) * self.shape.lanes)))
        return f.e.at(f.address(f"panel_{number}_{stage.products.index(product)}"), skipped)

    def _units(self) -> int:
        """How many unit blocks a share is a multiple of, so that it cuts no tile of any stage."""
        stages, grouped = enumerate(self.program.stages), self.program.grouped
        return lcm(*(self.shape.units(max(len(stage.maps), 1), number in grouped) for number, stage in stages))

    def _stage(self, number: int, stage: ForwardStage) -> ir.Function:
        """Products of a stage over a range of rows and unit blocks; the point-wise work is a function of its own."""
        epilogue = self._epilogue(number, stage)
        ints = ("s", "t", "base", "r0", "r1", "j0", "j1")
        f = Function(self.m, self.shape, self.arguments, f"stage{number}", ints)
        e, b, lanes, columns = f.e, f.e.b, self.shape.lanes, max(len(stage.maps), 1)
        shapes = self.shape.tiles(columns, number in self.program.grouped)
        most = max(most * units for units, most in shapes) * columns
        buffer = b.alloca(e.scalar, size=most * lanes)
        buffer.align = 64
        row_of = {p: self._rows(f, p.operand) for p in stage.products}
        maps = [self.program.maps.index(m) for m in stage.maps]
        begun = {self.program.maps.index(m) for p in self._hoisted(stage) for m in p.maps}  # ahead, with their biases
        if stage.statistics:
            statistics.find(f, stage.statistics, self.program, partial(self._crossed, f), f.at["r0"], f.at["r1"])

        def group(j: ir.Value, units: int, height: int) -> None:
            def rows(r: ir.Value, n: int) -> None:
                acc = []
                for q in range(n):
                    for u in range(units):
                        lane = b.mul(b.add(j, I64(u)), I64(lanes))
                        for m in maps:
                            row = b.add(f.at["base"], b.add(r, I64(q)))
                            acc.append(e.load(self._begun(f, row, m, lane)) if m in begun else self._bias(f, m, lane))
                for p in stage.products:
                    if p in self._hoisted(stage):
                        continue
                    base, stride, depth = row_of[p]
                    take = self._take(stage, p, units)
                    panel = self._panel(f, number, stage, p, j, depth)
                    if self.program.pattern(p):
                        first, depth = f.reached(f"reach_{number}_{stage.products.index(p)}", j, units)
                        base, panel = e.at(base, first), e.at(panel, b.mul(first, I64(len(take) * lanes)))
                    pointers = [e.at(base, b.mul(b.add(r, I64(q)), stride)) for q in range(n)]
                    acc = tile(e, acc, pointers, [(panel, take)], depth, units * columns, self.shape.pairs)
                for k, value in enumerate(acc):
                    e.store(value, e.at(buffer, k * lanes))
                given = [f.at[name] for name in ("s", "t", "base")]
                b.call(epilogue, [*given, r, j, I64(n), I64(units), buffer, f.block])

            tiles(f, f.at["r0"], f.at["r1"], height, rows)

        unit_groups(f, shapes, group)
        f.finish()
        return f.function

    def _crossed(self, f: Function, node: Node, r: ir.Value) -> ir.Value:
        """Where a row of a value of an earlier stage is."""
        crossing = self.program.crossing
        return f.e.at(f.address("scratch"), f.plane(r, len(crossing), crossing.index(node)))

    def _rows(self, f: Function, operand: Node) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Where an operand's row 0 of the step lies, the distance of its rows, and its width."""
        e, b, program = f.e, f.e.b, self.program
        padded, hidden = f.number("padded"), f.terms("hidden")
        if operand in program.given:
            place = program.given.index(operand)
            stride = f.number(f"given_{place}_stride")
            skipped = b.mul(f.at["base"], f.number(f"given_{place}_moves"))
            return e.at(f.address(f"given_{place}"), b.mul(skipped, stride)), stride, stride
        k = operand.name if operand.op == "state" else program.operands.index(operand)
        if self.shape.pairs:
            return self._pairs(f, k, f.at["s"]), f.terms("padded"), hidden
        if operand.op == "state":
            return self._state(f, operand.name, f.at["s"]), padded, hidden
        skipped = b.mul(f.at["base"], f.number("operand_moves"))
        return e.at(f.address(f"operand_{k}"), b.mul(skipped, padded)), padded, hidden

    def _state(self, f: Function, name: str, s: ir.Value) -> ir.Value:
        """The buffer that holds a state before step `s`: there are two, taken in turn."""
        b = f.e.b
        turn = b.mul(b.and_(s, I64(1)), b.mul(f.number("batch"), f.number("padded")))
        return f.e.at(f.address(f"state_{name}"), turn)

    def _pairs(self, f: Function, k: str | int, s: ir.Value) -> ir.Value:
        """The buffer of what is multiplied as bfloat16, an operand by its number or a state before step `s`."""
        address = f.address(f"pairs_{k}")
        if not isinstance(k, str):
            return address
        turn = f.e.b.mul(f.e.b.and_(s, I64(1)), f.e.b.mul(f.number("batch"), f.terms("padded")))
        return f.e.at(address, turn)

    def _epilogue(self, number: int, stage: ForwardStage) -> ir.Function:
        """The point-wise work of a stage on the vectors of a tile."""
        ints = ("s", "t", "base", "r", "j", "n", "units")
        f = Function(self.m, self.shape, self.arguments, f"work{number}", ints, ("acc",))
        f.function.attributes.add("noinline")
        f.each_vector(max(len(stage.maps), 1), lambda: self._vector(f, number, stage))
        f.finish()
        return f.function

    def _vector(self, f: Function, number: int, stage: ForwardStage) -> None:
        e, b, program, lanes = f.e, f.e.b, self.program, self.shape.lanes
        padded, hidden = f.number("padded"), f.number("hidden")
        lane = b.mul(f.at["j"], I64(lanes))
        here = b.add(f.plane(f.at["r"], 1, 0), lane)  # in a (batch, padded) buffer
        row, mask = b.add(f.at["base"], f.at["r"]), f.mask(f.at["j"], hidden)
        shown = f.given_order(f.at["r"], f.at["t"])
        known: dict[Node, ir.Value] = {}

        def value(node: Node) -> ir.Value:
            if node not in known:
                known[node] = compute(node)
            return known[node]

        def compute(node: Node) -> ir.Value:
            if node in stage.maps:
                return e.load(e.at(f.at["acc"], stage.maps.index(node) * lanes))
            if node.op == "state":
                return e.load(e.at(self._state(f, node.name, f.at["s"]), here))
            if node.op == "number":
                return e.const(node.value)
            if node.op == "time":
                return e.broadcast(b.sitofp(b.add(f.number("time"), f.at["t"]), e.scalar))
            if node.op == "parameter":
                return e.load(e.at(f.address(f"vector_{node.name}"), lane))
            if node.op in ("mask", "below"):
                return f.read(program.read.index(node.name), shown, lane, mask, node.op == "mask")
            if node in program.crossing and program.stage_of(node) < number:
                return e.load(e.at(self._crossed(f, node, f.at["r"]), lane))
            if node.op == "diagonal":
                name = program.cell.vectors[node]
                return b.fmul(e.load(e.at(f.address(f"vector_{name}"), lane)), value(node.args[0]))
            if (reduced := reduction(node)) is not None:
                return statistics.value(f, node, reduced, program, value)
            return POINTWISE[node.op](e, *(value(a) for a in node.args))

        mine = lambda node: program.stage_of(node) == number  # noqa: E731
        stores: list[tuple[ir.Value, ir.Value]] = []
        rounded: list[tuple[ir.Value, ir.Value]] = []
        for node in program.crossing:
            if mine(node):
                stores.append((value(node), e.at(self._crossed(f, node, f.at["r"]), lane)))
        for k, node in enumerate(program.operands):
            if mine(node):
                moved = b.add(b.mul(f.at["base"], f.number("operand_moves")), f.at["r"])
                stores.append((value(node), e.at(f.address(f"operand_{k}"), b.mul(moved, padded), lane)))
                if self.shape.pairs:
                    rounded.append((value(node), self._pairs(f, k, f.at["s"])))
        for k, node in enumerate(program.record):
            if mine(node):
                there = f.plane(row, len(program.record), k)
                stores.append((value(node), e.at(f.address("record"), there, lane)))
        for state, node in program.cell.outputs.items():
            if not mine(node):
                continue
            new = value(node)
            if state == program.cell.states[0]:
                f.masked_store(new, e.at(f.address("output"), f.plane(shown, 1, 0, "hidden"), lane), mask)
            after = b.add(f.at["s"], I64(1))
            if self.resets:
                at = b.add(b.mul(after, f.number("batch")), f.at["r"])
                goes_on = b.fcmp_unordered("!=", e.load_scalar(e.at(f.address("carry"), at)), e.number(0.0))
                new = b.select(goes_on, new, e.const(0.0))
            stores.append((new, e.at(self._state(f, state, after), here)))
            if self.shape.pairs and state in program.multiplied:
                rounded.append((new, self._pairs(f, state, after)))
        for new, there in stores:
            e.store(new, there)
        for new, base in rounded:  # what fills a vector up has a part in the last pair
            e.store_rounded(new if mask is None else b.select(mask, new, e.const(0.0)), base, here)
