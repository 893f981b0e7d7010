"""A cell's graph and its gradient, computed for one step node by node with torch: what the graph means."""

from collections.abc import Mapping

import torch
from torch import Tensor

from celda.engines.operations import TORCH
from celda.language import Cell, Term
from celda.language.calculus import Gradient
from celda.language.expression import LEAVES, Node

Values = dict[Node, Tensor]


def block(weights: Mapping[str, Tensor], name: str, number: int, hidden: int) -> Tensor:
    """The rows of one block of a stacked array."""
    return weights[name][number * hidden : (number + 1) * hidden]


def leaf(node: Node, step: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Tensor:
    """The value of an input, a state, a parameter, a number, the time (`t` in `step`) or an adjoint (`d h`)."""
    if node.op == "number":
        return torch.tensor(node.value, dtype=torch.float64)
    if node.op == "parameter":
        return weights[node.name]
    return step[{"time": "t", "adjoint": f"d {node.name}"}.get(node.op, node.name)]


def forward(cell: Cell, step: Mapping[str, Tensor], weights: Mapping[str, Tensor], hidden: int) -> Values:
    """The value of every node of a step."""
    values: Values = {}
    for node in cell.nodes:
        if node.op in LEAVES:
            values[node] = leaf(node, step, weights)
        elif node.op == "linear":
            linear = cell.linear[node]
            products = [values[t.operand] @ block(weights, t.weight, t.block, hidden).T for t in linear.terms]
            values[node] = sum(products) + sum(block(weights, name, k, hidden) for name, k in linear.biases)
        elif node.op == "diagonal":
            values[node] = weights[cell.vectors[node]] * values[node.args[0]]
        else:
            values[node] = TORCH[node.op](*(values[arg] for arg in node.args))
    return values


def backward(
    gradient: Gradient, saved: Values, step: Mapping[str, Tensor], weights: Mapping[str, Tensor], hidden: int
) -> Values:
    """Every node of the sweep, from `saved` and leaves alone; a KeyError means that it read something else."""
    values = dict(saved)

    def read(node: Node) -> Tensor:
        return leaf(node, step, weights) if node.op in LEAVES else values[node]

    def back(term: Term, adjoint: Tensor) -> Tensor:
        return adjoint @ block(weights, term.weight, term.block, hidden)

    for node in gradient.nodes:
        if node.op == "transposed":
            terms = gradient.transposed[node]
            values[node] = sum(back(t, read(arg)) for t, arg in zip(terms, node.args, strict=True))
        elif node.op == "diagonal":
            values[node] = weights[gradient.cell.vectors[node]] * read(node.args[0])
        else:
            values[node] = TORCH[node.op](*map(read, node.args))
    return values
