"""What the kernels of a cell must do, stage by stage: worked out from its schedule and its calculus, for any cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from celda.language.calculus import Gradient, gradient
from celda.language.cell import Cell, Term
from celda.language.expression import LEAVES, REDUCTIONS, Node, topological
from celda.language.patterns import Groups, Pattern
from celda.language.schedule import Product, levels, recurrent, schedule, waits


@dataclass(frozen=True, eq=False)
class ForwardStage:
    """The statistics of earlier values, by number; products into the accumulators of `maps`; then point-wise work."""

    products: tuple[Product, ...]
    maps: tuple[Node, ...]
    statistics: tuple[int, ...]


class ForwardProgram:
    """One step of a cell: its stages, and what each value is stored for.

    `record`: the values kept at every step. `operands`: expressions fed into a later product. `crossing`: other values
    that a later stage reads.
    """

    def __init__(self, cell: Cell, record: Iterable[Node] = ()) -> None:
        self.cell = cell
        self.record = tuple(record)
        self.maps = tuple(cell.linear)
        self.cell_vectors = (*dict.fromkeys(cell.vectors.values()), *cell.constants)
        self.read = (*cell.masks, *cell.below)  # unit by unit, by their place in a step
        self.level = levels(cell.nodes, waits)
        self.statistics = tuple(dict.fromkeys(n.args[0] for n in cell.nodes if n.op in REDUCTIONS))
        self.moving = recurrent(cell.nodes)
        stages = [
            ForwardStage(
                stage.products, tuple(n for n in stage.pointwise if n.op == "linear"), self._statistics(stage.pointwise)
            )
            for stage in schedule(cell)
            if any(map(waits, stage.pointwise))
        ]
        self.given = tuple(dict.fromkeys(p.operand for s in stages for p in s.products if self.is_given(p.operand)))
        self.operands = tuple(
            dict.fromkeys(
                p.operand
                for s in stages
                for p in s.products
                if not self.is_given(p.operand) and p.operand.op != "state"
            )
        )
        # an expression of old states alone must stand before the first product: a stage without products sees to that
        self.early = any(self.level[node] == 0 for node in (*self.operands, *self.statistics))
        self.stages = (*([ForwardStage((), (), ())] if self.early or not stages else []), *stages)

    @cached_property
    def deviating(self) -> frozenset[int]:
        """Of which statistics, by number, a deviation is wanted besides the mean."""
        return _deviating(self.cell.nodes, self.statistics)

    def _statistics(self, nodes: Iterable[Node]) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.statistics.index(n.args[0]) for n in nodes if n.op in REDUCTIONS))

    def pattern(self, product: Product) -> Pattern | None:
        """What the matrix of a product leaves out."""
        return _pattern(self.cell, product.weight)

    def is_given(self, operand: Node) -> bool:
        """Whether an operand is an input (or an expression of one, of its width), known before the first step."""
        return operand.width != "hidden"

    def stage_of(self, node: Node) -> int:
        """The stage (from 0) in which a value is computed."""
        if self.level[node] == 0 and (node in self.operands or node in self.statistics):
            return 0
        return max(self.level[node], 1) - 1 + self.early

    def is_hoisted(self, product: Product) -> bool:
        """Whether a product is with what is given, and could be done for all steps at once."""
        return product.hoisted and self.is_given(product.operand)

    @cached_property
    def patterned(self) -> tuple[tuple[int, int, Pattern], ...]:
        """The products with a matrix that leaves something out, as (stage, place, what)."""
        places = [(s, p, self.pattern(q)) for s, stage in enumerate(self.stages) for p, q in enumerate(stage.products)]
        return tuple((s, p, pattern) for s, p, pattern in places if pattern is not None)

    @cached_property
    def grouped(self) -> frozenset[int]:
        """The stages with a matrix in which units see their group alone."""
        return _grouped(self.patterned)

    @cached_property
    def multiplied(self) -> tuple[str, ...]:
        """The states that a product multiplies as they are."""
        operands = {product.operand: None for stage in self.stages for product in stage.products}
        return tuple(node.name for node in operands if node.op == "state")

    @cached_property
    def products(self) -> tuple[tuple[Product, int, int, int], ...]:
        """Every product as (product, first block, first map, how many) wherever blocks and maps go on together."""
        return tuple((q, *run) for stage in self.stages for q in stage.products for run in self._runs(q))

    def _runs(self, product: Product) -> tuple[tuple[int, int, int], ...]:
        """The blocks of a product as (first block, first map, how many) wherever both go on together."""
        return together([(block, self.maps.index(m)) for block, m in zip(product.blocks, product.maps, strict=True)])

    @cached_property
    def bias_runs(self) -> tuple[tuple[str, int, int, int], ...]:
        """The blocks of the biases as (array, first block, first map, how many) wherever both go on together."""
        pairs: dict[str, list[tuple[int, int]]] = {}
        for m, linear in enumerate(self.cell.linear.values()):
            for name, block in linear.biases:
                pairs.setdefault(name, []).append((block, m))
        return tuple((name, *run) for name, found in pairs.items() for run in together(sorted(found)))

    @cached_property
    def crossing(self) -> tuple[Node, ...]:
        """Values of one stage that point-wise work of a later one reads; comparisons of them it makes itself."""
        found: dict[Node, None] = {}
        for node in self.cell.nodes:
            if node.op == "linear":
                continue
            for arg in (read for a in node.args for read in (a.args if a.boolean else (a,))):
                if (self.level[arg] > 0 or arg in self.statistics) and self.stage_of(arg) < self.stage_of(node):
                    found[arg] = None
        return tuple(found)


@dataclass(frozen=True, eq=False)
class BackwardStage:
    """Statistics by number, transposed products, each into the accumulator of one unit block; then point-wise work."""

    products: tuple[Node, ...]
    statistics: tuple[int, ...]


class BackwardProgram:
    """The reverse sweep of one step.

    The products that end in old states alone are put off to the sweep's next step, where they meet those states'
    adjoints: one stage fewer. Of each state's adjoint, a sum, `carry` has the terms that are such products, `carried`
    the others. `statistics` are of recorded values, found again at the first stage, and of adjoints.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.output = cell.outputs[cell.states[0]]
        self.gradient: Gradient = gradient(cell)
        self.forward = set(cell.nodes)
        self.read = (*cell.masks, *cell.below)  # unit by unit, by their place in a step
        self.maps = tuple(cell.linear)
        self.below = {name: self.gradient.inputs[name] for name in cell.below if name in self.gradient.inputs}
        sums = {s: _terms(self.gradient.states[s]) if s in self.gradient.states else [] for s in cell.states}
        rest = [t for terms in sums.values() for t in terms if t.op != "transposed"]
        elsewhere = (*self.gradient.maps.values(), *self.gradient.vectors.values(), *self.below.values())
        inside = set(topological([*rest, *elsewhere]))
        put_off = {t for terms in sums.values() for t in terms if t.op == "transposed" and t not in inside}
        self.carry = {s: tuple(t for t in terms if t in put_off) for s, terms in sums.items()}
        self.carried = {s: tuple(t for t in terms if t not in put_off) for s, terms in sums.items()}
        self.wanted = tuple(
            dict.fromkeys(
                [
                    *(t for terms in self.carried.values() for t in terms),
                    *self.gradient.maps.values(),
                    *self.gradient.vectors.values(),
                    *self.below.values(),
                ]
            )
        )
        self.nodes = tuple(topological(self.wanted))
        # what needs an adjoint; any stage computes the rest from the values of the forward step
        late: dict[Node, None] = {}
        for node in self.nodes:
            if node.op in ("adjoint", "transposed") or any(arg in late for arg in node.args):
                late[node] = None
        self.forward |= {node for node in self.nodes if node not in late}
        self.level = levels(self.nodes, lambda n: n.op == "transposed" or (n.op in REDUCTIONS and n in late))
        recalled = [n.args[0] for n in self.gradient.nodes if n.op in REDUCTIONS and n not in late]
        of_adjoints = [n for n in late if n.op in REDUCTIONS]
        self.statistics = tuple(dict.fromkeys((*recalled, *(n.args[0] for n in of_adjoints))))
        waiting = [n for n in self.nodes if n.op == "transposed" and n not in put_off]
        stages = []
        for k in range(max(self.level.values(), default=0) + 1):
            found = [n.args[0] for n in of_adjoints if self.level[n] == k] if k else recalled
            numbers = tuple(dict.fromkeys(map(self.statistics.index, found)))
            stages.append(BackwardStage(tuple(n for n in waiting if self.level[n] == k), numbers))
        self.stages = tuple(stages)

    @cached_property
    def products(self) -> tuple[tuple[Node, ...], ...]:
        """The transposed products of each stage, one accumulator a product; those put off open the next step."""
        put_off = dict.fromkeys(t for state in self.cell.states for t in self.carry[state])
        return (tuple(put_off), *(stage.products for stage in self.stages[1:]))

    def pattern(self, product: Node) -> Pattern | None:
        """What the matrix of a transposed product leaves out."""
        return _pattern(self.cell, self.terms(product)[0].weight)

    @cached_property
    def patterned(self) -> tuple[tuple[int, int, Pattern], ...]:
        """The products with a matrix that leaves something out, as (stage, place, what)."""
        places = [(s, p, self.pattern(q)) for s, products in enumerate(self.products) for p, q in enumerate(products)]
        return tuple((s, p, pattern) for s, p, pattern in places if pattern is not None)

    @cached_property
    def grouped(self) -> frozenset[int]:
        """The stages with a matrix in which units see their group alone."""
        return _grouped(self.patterned)

    def terms(self, product: Node) -> tuple[Term, ...]:
        """The term of the forward step that each argument of a transposed product comes through."""
        return self.gradient.transposed[product]

    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """The learned vectors, in the order of their sums."""
        return tuple(dict.fromkeys(self.cell.vectors.values()))

    def runs(self, product: Node) -> tuple[tuple[int, int], ...]:
        """The linear maps whose adjoints a transposed product takes, as (first place in `maps`, how many in a row)."""
        place = {self.gradient.maps[m]: k for k, m in enumerate(self.maps) if m in self.gradient.maps}
        found: list[tuple[int, int]] = []
        for k in (place[arg] for arg in product.args):
            if found and sum(found[-1]) == k:
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((k, 1))
        return tuple(found)

    @cached_property
    def crossing(self) -> tuple[Node, ...]:
        """Adjoints of one stage that a later one reads."""
        found: dict[Node, None] = {}
        for node in self.nodes:
            if node.op == "transposed" or node in self.forward:
                continue
            for arg in node.args:
                if arg not in self.forward and arg.op not in LEAVES and self.level[arg] < self.level[node]:
                    found[arg] = None
            for arg in node.args:
                if arg.op == "adjoint" and self.level[node] > 0:
                    found[arg] = None
        return tuple(found)

    @cached_property
    def record(self) -> tuple[Node, ...]:
        """The values the forward step must keep: what the sweep reads, old states that a matrix multiplies, for its
        gradient, and new states whose old value the sweep reads. An output that is computed is there itself, but a
        statistic of it reads rows that are padded."""
        saved = dict.fromkeys(self.gradient.saved)
        operands = (term.operand for linear in self.cell.linear.values() for term in linear.terms)
        saved |= {n: None for n in operands if n.op == "state" and n.name != self.cell.states[0]}
        at_hand = {self.cell.states[0], *(n.name for n in saved if n.op == "state")}
        saved |= {self.cell.outputs[state]: None for state in self.old_states if state not in at_hand}
        return tuple(n for n in saved if n is not self.output or n.op in LEAVES or n in self.statistics)

    @cached_property
    def deviating(self) -> frozenset[int]:
        """Of which statistics, by number, a deviation is wanted besides the mean."""
        return _deviating(self.gradient.nodes, self.statistics)

    @cached_property
    def divides(self) -> bool:
        """Whether the sweep divides by what may be next to 0, as a number and a deviation are not."""
        divisors = (node.args[1] for node in self.gradient.nodes if node.op in ("divide", "remainder"))
        return any(divisor.op not in ("number", "deviation") for divisor in divisors)

    @cached_property
    def old_states(self) -> tuple[str, ...]:
        """The states whose value at the step before the sweep reads."""
        return tuple(dict.fromkeys(n.name for n in self.nodes if n.op == "state"))


@lru_cache(maxsize=1024)
def _pattern(cell: Cell, weight: str) -> Pattern | None:
    return next(w.pattern for w in cell.weights if w.name == weight)


def _grouped(patterned: Iterable[tuple[int, int, Pattern]]) -> frozenset[int]:
    return frozenset(s for s, _, pattern in patterned if isinstance(pattern, Groups) and not pattern.later)


def reduction(node: Node) -> Node | None:
    """The mean, deviation or normalisation that a node is, or the deviation that it is divided by: what is read from
    statistics."""
    if node.op in REDUCTIONS:
        return node
    return node.args[1] if node.op == "divide" and node.args[1].op == "deviation" else None


def _deviating(nodes: Iterable[Node], statistics: tuple[Node, ...]) -> frozenset[int]:
    found = (reduction(node) for node in nodes)
    return frozenset(statistics.index(n.args[0]) for n in found if n is not None and n.op != "mean")


def _terms(node: Node) -> list[Node]:
    """The summands of a sum."""
    return [part for arg in node.args for part in _terms(arg)] if node.op == "add" else [node]


def together(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    """Pairs as (first, first, how many) wherever both numbers go on by one."""
    found: list[tuple[int, int, int]] = []
    for block, m in pairs:
        if found and (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]) == (block, m):
            found[-1] = (*found[-1][:2], found[-1][2] + 1)
        else:
            found.append((block, m, 1))
    return tuple(found)
