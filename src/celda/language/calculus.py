"""The calculus of a cell: the reverse sweep over one step, as a graph of its own.

Given the adjoints dL/d(new state), it holds expressions for dL/d(old state), dL/d(input), and for the adjoint of every
learned map and vector, from which an engine sums the gradients of the weights over the batch and over time:
dL/dW = sum of adjoint x operand. The derivative of each operation stands in `celda.language.operations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from celda.language.cell import Cell, Term
from celda.language.expression import LEAVES, REDUCTIONS, Node, Value
from celda.language.operations import OPERATIONS


@dataclass(frozen=True, eq=False)
class Gradient:
    """The reverse sweep of one step. What does not depend on anything wanted is absent from the mappings."""

    cell: Cell
    adjoints: Mapping[str, Node]  # state -> the leaf that stands for dL/d(its new value)
    states: Mapping[str, Node]  # state -> dL/d(its old value)
    inputs: Mapping[str, Node]  # input -> dL/d(input)
    maps: Mapping[Node, Node]  # linear map -> dL/d(its value)
    vectors: Mapping[str, Node]  # learned vector -> its gradient a unit, to be summed over batch and time
    transposed: Mapping[Node, tuple[Term, ...]]  # a transposed product -> the term each of its arguments comes through

    @property
    def roots(self) -> tuple[Node, ...]:
        """Every expression the sweep must deliver."""
        return (*self.states.values(), *self.inputs.values(), *self.maps.values(), *self.vectors.values())

    @cached_property
    def saved(self) -> tuple[Node, ...]:
        """The values of the forward step that the sweep reads and that must be kept: gates, new states, linear maps,
        and what is normalised.

        All else is computed again: it is point-wise work on these, cheaper than the memory it would need.
        """
        return self._sweep[1]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What the sweep computes, arguments first: forward values computed again, then adjoints."""
        return self._sweep[0]

    @cached_property
    def _sweep(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        forward = set(self.cell.nodes)
        gates = {gate.args[0] if gate.op == "negate" else gate for gate in self.cell.gates.values()}
        keep = {*gates, *self.cell.outputs.values(), *self.cell.linear}
        keep |= {node.args[0] for node in forward if node.op in REDUCTIONS}
        order: dict[Node, None] = {}
        saved: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node in order or node in saved or node.op in LEAVES:
                return
            if node in forward and node in keep:
                saved[node] = None
                return
            for arg in node.args:
                visit(arg)
            order[node] = None

        for root in self.roots:
            visit(root)
        place = {node: k for k, node in enumerate(self.cell.nodes)}
        return tuple(order), tuple(sorted(saved, key=place.__getitem__))


def gradient(cell: Cell) -> Gradient:
    """The reverse sweep of `cell`."""
    adjoints = {state: Node("adjoint", name=state) for state in cell.outputs}
    total: dict[Node, Value] = {}
    through: dict[Node, list[tuple[Term, Value]]] = {}  # operand -> the terms that use it, with their adjoints
    states, inputs, maps, vectors, transposed = {}, {}, {}, {}, {}
    differentiable = _differentiable(cell)

    def add(node: Node, d: Value | None) -> None:
        if d is not None and node in differentiable:
            total[node] = total[node] + d if node in total else d

    for state, node in cell.outputs.items():
        add(node, Value(adjoints[state]))
    for node in reversed(cell.nodes):
        for weight, used in _by_weight(through.get(node, []) if node in differentiable else []).items():
            product = Node("transposed", tuple(d.node for _, d in used), node.width, weight)
            transposed[product] = tuple(term for term, _ in used)
            add(node, Value(product))
        if node not in total:
            continue
        d = total[node]
        if node.op == "linear":
            maps[node] = d.node
            for term in cell.linear[node].terms:
                through.setdefault(term.operand, []).append((term, d))
        elif node.op == "diagonal":
            name = cell.vectors[node]
            vectors[name] = (d * Value(node.args[0])).node
            add(node.args[0], d * Value(Node("parameter", name=name)))
        elif node.op == "parameter" and node.name not in cell.constants:
            vectors[node.name] = d.node
        elif node.op == "state":
            states[node.name] = d.node
        elif node.op in ("input", "below"):
            inputs[node.name] = d.node
        elif node.op in OPERATIONS and (rule := OPERATIONS[node.op].rule):
            given = rule(tuple(map(Value, node.args)), Value(node), d)
            for arg, part in zip(node.args, given, strict=True):
                add(arg, part)
    return Gradient(cell, adjoints, states, inputs, maps, vectors, transposed)


def _differentiable(cell: Cell) -> set[Node]:
    """The nodes through which a gradient reaches a state, an input or something learned."""
    found: set[Node] = set()
    for node in cell.nodes:
        passes = node.op != "stop_gradient" and any(arg in found for arg in node.args)
        if passes or node.op in ("state", "input", "below", "parameter", "linear", "diagonal"):
            found.add(node)
    return found


def _by_weight(used: list[tuple[Term, Value]]) -> dict[str, list[tuple[Term, Value]]]:
    groups: dict[str, list[tuple[Term, Value]]] = {}
    for term, d in sorted(used, key=lambda pair: pair[0].block):
        groups.setdefault(term.weight, []).append((term, d))
    return groups
