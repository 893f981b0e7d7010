"""Rewriting: from a cell to another one with the same arguments, node by node."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

from celda.language.cell import Cell, LinearMap, Mask, Term, Weight, in_order
from celda.language.expression import LEAVES, SCALAR, Node, Value, pointwise, topological, value_of
from celda.language.operations import stop_gradient

# (node, its arguments rewritten) -> the node in its place
Rule = Callable[[Node, tuple[Node, ...]], Node]


class Rewriting:
    """A cell on its way to another one.

    `becomes` has the new node of every old one. What a learned node learns is written down when `same` copies it; a
    rule may put the copy inside other nodes.
    """

    def __init__(self, cell: Cell) -> None:
        self.old = cell
        self.linear: dict[Node, LinearMap] = {}
        self.vectors: dict[Node, str] = {}
        self.weights = list(cell.weights)
        self.masks = dict(cell.masks)
        self.becomes: dict[Node, Node] = {}

    def run(self, rule: Rule) -> Rewriting:
        """Rewrite every node, arguments first."""
        for node in self.old.nodes:
            self.becomes[node] = rule(node, tuple(self.becomes[arg] for arg in node.args))
        return self

    def same(self, node: Node, args: tuple[Node, ...]) -> Node:
        """The node itself, with other arguments."""
        if node.op in LEAVES or node.op in ("linear", "diagonal"):
            made = node if args == node.args else replace(node, args=args)
        else:  # its width is that of the new arguments
            made = node if args == node.args else pointwise(node.op, *map(Value, args)).node
        if node in self.old.linear:
            linear = self.old.linear[node]
            terms = (replace(term, operand=arg) for term, arg in zip(linear.terms, args, strict=True))
            self.linear[made] = replace(linear, terms=tuple(terms))
        if node in self.old.vectors:
            self.vectors[made] = self.old.vectors[node]
        return made

    def unbiased(self, node: Node, args: tuple[Node, ...]) -> Node:
        """A linear map with other arguments, and without its biases."""
        made = self.same(replace(node, bias=False), args)
        linear = self.old.linear[node]
        terms = tuple(replace(term, operand=arg) for term, arg in zip(linear.terms, args, strict=True))
        self.linear[made] = replace(linear, terms=terms, biases=())
        return made

    def array(self, weight: Weight) -> str:
        """Add an array to the new cell; its name, to which a second one of a name gets a number."""
        unique = _unique(weight.name, {other.name for other in self.weights})
        self.weights.append(replace(weight, name=unique))
        return unique

    def vector(self, name: str, initial: float | None) -> Value:
        """A learned vector of the new cell; a second one of a name gets a number."""
        unique = self.array(Weight(name, 1, None, (initial,)))
        node = Node("parameter", name=unique)
        self.vectors[node] = unique
        return Value(node)

    def mask(self, name: str, probability: float, every_step: bool) -> Value:
        """A mask of the new cell; a second thing of a name gets a number."""
        unique = _unique(name, {*self.masks, *self.old.inputs, *self.old.states})
        self.masks[unique] = Mask(probability, every_step)
        return Value(Node("mask", name=unique))

    def cell(self, name: str, doc: str, outputs: Mapping[str, Node] | None = None) -> Cell:
        """The new cell; `outputs` are the new states, by default what the old ones became.

        Gates, and arrays, that no state depends on any more are left out. A gate that was a new state and is none any
        more is called after it: "h_new".
        """
        outputs = outputs or {state: self.becomes[node] for state, node in self.old.outputs.items()}
        used = set(topological(outputs.values()))
        gates = {}
        for gate, node in self.old.gates.items():
            now = self.becomes[node]
            if now in used:
                gates[f"{gate}_new" if gate in outputs and outputs[gate] is not now else gate] = now
        linear, weights = _compact({n: m for n, m in self.linear.items() if n in used}, self.weights)
        vectors = {node: name for node, name in self.vectors.items() if node in used}
        learned = {name for m in linear.values() for name, _ in m.biases} | {*vectors.values()}
        learned |= {term.weight for m in linear.values() for term in m.terms}
        return replace(
            self.old,
            name=name,
            doc=doc,
            gates=gates,
            outputs=outputs,
            linear=linear,
            vectors=vectors,
            weights=tuple(w for w in weights if w.name in learned),
            masks=in_order(self.masks, [*gates.values(), *outputs.values()]),
        )


def _unique(name: str, taken: Container[str]) -> str:
    count, unique = 1, name
    while unique in taken:
        count += 1
        unique = f"{name}{count}"
    return unique


def _compact(linear: Mapping[Node, LinearMap], weights: Iterable[Weight]) -> tuple[dict[Node, LinearMap], list[Weight]]:
    """The blocks of each array numbered anew, without those that no map uses."""
    used: dict[str, set[int]] = {}
    for m in linear.values():
        for name, block in (*((t.weight, t.block) for t in m.terms), *m.biases):
            used.setdefault(name, set()).add(block)
    place = {name: {block: k for k, block in enumerate(sorted(blocks))} for name, blocks in used.items()}
    renumbered = {
        node: replace(
            m,
            terms=tuple(Term(t.operand, t.weight, place[t.weight][t.block]) for t in m.terms),
            biases=tuple((name, place[name][block]) for name, block in m.biases),
        )
        for node, m in linear.items()
    }
    kept = [
        replace(w, blocks=len(used[w.name]), initial=tuple(w.initial[block] for block in sorted(used[w.name])))
        if w.name in used
        else w
        for w in weights
    ]
    return renumbered, kept


_NUMBERS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}
_NEUTRAL = {"add": (0.0, 0.0), "subtract": (None, 0.0), "multiply": (1.0, 1.0), "divide": (None, 1.0)}


def without_masks(cell: Cell) -> Cell:
    """The cell with each mask's mean in its place."""
    rewriting = Rewriting(cell)

    def rule(node: Node, args: tuple[Node, ...]) -> Node:
        if node.op == "mask":
            return value_of(cell.masks[node.name].probability).node
        if node.op == "linear":  # a matrix multiplies one number a unit
            args = tuple(_for_each_unit(cell, arg) if arg.width == SCALAR else arg for arg in args)
        return _simplified(rewriting.same(node, args), node)

    return rewriting.run(rule).cell(cell.name, cell.doc)


def _for_each_unit(cell: Cell, number: Node) -> Node:
    """A number, of the hidden width."""
    state = next((node for node in cell.nodes if node.op == "state"), None) or Node("state", name=cell.states[0])
    return (0 * stop_gradient(Value(state)) + Value(number)).node


def _simplified(node: Node, before: Node) -> Node:
    """Arithmetic with numbers done, where the node is not as it was `before`."""
    if node is before or node.op not in _NUMBERS:
        return node
    a, b = node.args
    if a.op == b.op == "number":
        return value_of(_NUMBERS[node.op](a.value, b.value)).node
    left, right = _NEUTRAL[node.op]
    if a.op == "number" and a.value == left:
        return b
    return a if b.op == "number" and b.value == right else node
