"""The schedule: in which order a step's products and its point-wise work are done.

A product must wait for its operand, and a mean over the units for what it is of. A cell whose products all take inputs
and old states has one stage (`lstm`); one that feeds a gate into a product has two (`gru_2014`), and so has one that
normalises. An engine runs stage after stage: the products, then the point-wise work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from celda.language.cell import Cell
from celda.language.expression import LEAVES, REDUCTIONS, Node


@dataclass(frozen=True)
class Product:
    """Rows of a learned matrix times one operand; block k adds to the linear map `maps[k]`.

    `hoisted`: the operand depends on inputs alone, so an engine may compute it for all steps at once.
    """

    weight: str
    blocks: tuple[int, ...]
    operand: Node
    maps: tuple[Node, ...]
    hoisted: bool


@dataclass(frozen=True)
class Stage:
    """Products that can run together, then the point-wise nodes in order (a linear map: the sum of its products)."""

    products: tuple[Product, ...]
    pointwise: tuple[Node, ...]


def waits(node: Node) -> bool:
    """Whether a node needs its arguments for all units before it is computed for one: a product, a mean."""
    return node.op == "linear" or node.op in REDUCTIONS


def levels(nodes: Iterable[Node], waits: Callable[[Node], bool]) -> dict[Node, int]:
    """How many nodes in a row, of those that wait, each node stands behind."""
    level: dict[Node, int] = {}
    for node in nodes:
        level[node] = max([0, *(level.get(arg, 0) for arg in node.args)]) + waits(node)
    return level


def _late(level: dict[Node, int]) -> dict[Node, int]:
    """Point-wise work that waits for no product moves to the stage that first reads it, so nothing is kept for it."""
    first: dict[Node, int] = {}
    for node in reversed(level):
        if level[node] == 0:
            level[node] = first.get(node, 0)
        for arg in node.args:
            wanted = level[node] - waits(node)
            first[arg] = min(first.get(arg, wanted), wanted)
    return level


def recurrent(nodes: Iterable[Node]) -> set[Node]:
    """The nodes that depend on a state of the step before."""
    found: set[Node] = set()
    for node in nodes:
        if node.op == "state" or any(arg in found for arg in node.args):
            found.add(node)
    return found


def schedule(cell: Cell) -> tuple[Stage, ...]:
    """The stages of a step of `cell`."""
    level, moving = _late(levels(cell.nodes, waits)), recurrent(cell.nodes)
    stages = []
    for depth in range(max(level.values()) + 1):
        here = [node for node in cell.nodes if level[node] == depth and node.op not in LEAVES]
        if here:
            maps = [node for node in here if node.op == "linear"]
            stages.append(Stage(_products(cell.linear, maps, moving), tuple(here)))
    return tuple(stages)


def _products(linear: Mapping, maps: list[Node], moving: set[Node]) -> tuple[Product, ...]:
    """One product for each operand and matrix: the blocks of all the maps that want it."""
    wanted: dict[tuple[str, Node], list[tuple[int, Node]]] = {}
    for node in maps:
        for term in linear[node].terms:
            wanted.setdefault((term.weight, term.operand), []).append((term.block, node))
    return tuple(
        Product(weight, tuple(b for b, _ in sorted_), operand, tuple(n for _, n in sorted_), operand not in moving)
        for (weight, operand), pairs in wanted.items()
        for sorted_ in [sorted(pairs, key=lambda pair: pair[0])]
    )
