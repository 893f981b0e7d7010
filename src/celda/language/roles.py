"""Which gate forgets and which lets in, found in the equations: no cell is named here, no gate needs a certain name.

A forget gate is a sigmoid that multiplies the old value of the state it updates, `c = f * c + i * g`; where one minus a
sigmoid does, `h = (1 - z) * h + z * n`, that sigmoid forgets when it opens. The input gate is the other sigmoid, in a
product that is added. To find them the new state is multiplied out into a sum of products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from celda.language.cell import Cell
from celda.language.expression import Node, topological

# A sum of products: the factors of each product -> the number it is multiplied with.
Polynomial = dict[tuple[Node, ...], float]

_MOST = 64  # products: a sum that would grow longer is left as it is, one factor of what it stands in


@dataclass(frozen=True)
class Gate:
    """A sigmoid of a learned map. `sign` is 1 where the gate does what it is called for by opening, -1 by closing."""

    node: Node
    sign: int


@dataclass(frozen=True)
class Memory:
    """How a state keeps its old value. `coupled`: the forget gate lets in as well, as a GRU's does."""

    state: str
    forget: Gate
    inputs: tuple[Gate, ...]
    coupled: bool


@dataclass(frozen=True)
class Home:
    """A learned vector that a gate's argument holds `factor` times: block `block` of the array `name`."""

    name: str
    block: int
    factor: float


@dataclass(frozen=True)
class Shift:
    """What the argument of a gate has as its bias: the sum of `homes`, and `constant`."""

    homes: tuple[Home, ...]
    constant: float

    @cached_property
    def arrays(self) -> frozenset[str]:
        """The arrays that hold a part of it."""
        return frozenset(home.name for home in self.homes)


def memories(cell: Cell) -> tuple[Memory, ...]:
    """Each state of the cell that a gate keeps; none where no gate does, as in a plain recurrent network."""
    found: dict[tuple[str, Gate], Memory] = {}
    for name, new in cell.outputs.items():
        old = next((node for node in cell.nodes if node.op == "state" and node.name == name), None)
        for branch in _branches(multiplied_out(new)):
            memory = None if old is None else _memory(cell, name, old, branch)
            if memory is not None:
                found.setdefault((name, memory.forget), memory)
    return tuple(found.values())


def carried(cell: Cell) -> dict[str, Polynomial]:
    """What multiplies the old value of a state on its way straight into the new one, as a sum of products.

    The forget gate alone for `c = f * c + i * g`; the number 1 for the memory of 1997, `c = c + i * g`. A state that
    is not among them has no such way: what it was goes through matrices and functions only, as in a plain network.
    """
    found = {}
    for name, new in cell.outputs.items():
        old = next((node for node in cell.nodes if node.op == "state" and node.name == name), None)
        whole = multiplied_out(new)
        if old is not None and all(factors.count(old) < 2 for factors in whole):
            found[name] = _times(whole, old)
    return {name: factor for name, factor in found.items() if factor}


def let_in(cell: Cell) -> dict[str, tuple[Gate, ...]]:
    """The input gates of each state in `carried`: those in products that are added to what is carried over."""
    return {
        name: tuple(_inputs(cell, {f: n for f, n in multiplied_out(cell.outputs[name]).items() if not _holds(f, name)}))
        for name in carried(cell)
    }


def shift(cell: Cell, gate: Node) -> Shift:
    """Where the bias of a gate is kept: biases of linear maps first, then parameters of the cell's own."""
    total = multiplied_out(gate.args[0])
    single = [(factors[0], number) for factors, number in total.items() if len(factors) == 1 and number]
    homes = [
        Home(name, block, number)
        for node, number in single
        if node.op == "linear"
        for name, block in cell.linear[node].biases
    ]
    homes += [Home(cell.vectors[node], 0, number) for node, number in single if node.op == "parameter"]
    return Shift(tuple(homes), total.get((), 0.0))


def multiplied_out(root: Node) -> Polynomial:
    """`root` as a sum of products of what is neither a sum nor a product."""
    done: dict[Node, Polynomial] = {}
    for node in topological([root]):
        terms = [done[arg] for arg in node.args]
        found = _OPEN[node.op](*terms) if node.op in _OPEN else None
        if node.op == "number":
            found = {(): node.value}
        done[node] = {(node,): 1.0} if found is None else found
    return done[root]


def _sum(a: Polynomial, b: Polynomial, sign: float = 1.0) -> Polynomial | None:
    total = dict(a)
    for factors, number in b.items():
        total[factors] = total.get(factors, 0.0) + sign * number
    total = {factors: number for factors, number in total.items() if number}
    return total if len(total) <= _MOST else None


def _product(a: Polynomial, b: Polynomial) -> Polynomial | None:
    if len(a) * len(b) > _MOST:
        return None
    total: Polynomial = {}
    for left, x in a.items():
        for right, y in b.items():
            factors = tuple(sorted((*left, *right), key=id))
            total[factors] = total.get(factors, 0.0) + x * y
    return {factors: number for factors, number in total.items() if number}


def _quotient(a: Polynomial, b: Polynomial) -> Polynomial | None:
    number = b.get((), 0.0) if set(b) == {()} else 0.0
    return {factors: value / number for factors, value in a.items()} if number else None


_OPEN: dict[str, Callable[..., Polynomial | None]] = {
    "add": _sum,
    "subtract": lambda a, b: _sum(a, b, -1.0),
    "negate": lambda a: _sum({}, a, -1.0),
    "multiply": _product,
    "divide": _quotient,
    "identity": lambda a: a,
}


def _branches(new: Polynomial) -> Iterator[Polynomial]:
    """What a new state may come to: with each mask 1 and 0, and both sides of a `where`, or of a bound."""
    mask = next((node for factors in new for node in factors if node.op == "mask"), None)
    if mask is not None:
        for drawn in (1, 0):
            yield from _branches(_drawn(new, mask, drawn))
        return
    alone = next(iter(new))[0] if [*new.values()] == [1.0] and all(len(factors) == 1 for factors in new) else None
    if alone is not None and alone.op in ("where", "maximum", "minimum"):
        for side in alone.args[-2:]:
            yield from _branches(multiplied_out(side))
    else:
        yield new


def _drawn(new: Polynomial, mask: Node, drawn: int) -> Polynomial:
    """The sum where the mask is 1, or 0."""
    total: Polynomial = {}
    for factors, number in new.items():
        rest = tuple(node for node in factors if node is not mask)
        total[rest] = total.get(rest, 0.0) + (number if drawn or rest == factors else 0.0)
    return {factors: number for factors, number in total.items() if number}


def _holds(factors: tuple[Node, ...], state: str) -> bool:
    return any(node.op == "state" and node.name == state for node in factors)


def _times(new: Polynomial, old: Node) -> Polynomial:
    """What `old` is multiplied with in a sum of products."""
    return {tuple(n for n in factors if n is not old): number for factors, number in new.items() if old in factors}


def _memory(cell: Cell, name: str, old: Node, new: Polynomial) -> Memory | None:
    kept = _times(new, old)
    if any(factors.count(old) > 1 for factors in new):
        return None
    gates = [node for factors in kept for node in factors]
    if len(gates) != 1 or not _is_gate(cell, gates[0]):
        return None
    gate, whole = gates[0], kept.get((), 0.0)
    if kept[gate,] > 0 and not whole:
        forget = Gate(gate, 1)
    elif kept[gate,] < 0 and whole == -kept[gate,]:
        forget = Gate(gate, -1)
    else:  # what is kept is never next to nothing, or more than all
        return None
    added = {factors: number for factors, number in new.items() if old not in factors}
    inputs = [found for found in _inputs(cell, added) if found.node is not gate]
    return Memory(name, forget, tuple(inputs), any(gate in factors for factors in added))


def _inputs(cell: Cell, added: Mapping[tuple[Node, ...], float]) -> list[Gate]:
    """The one gate in a product, `i * g`; what is let in where a gate closes is `(1 - k) * g`.

    Of two sigmoids in one product nothing says which is the gate, so neither is.
    """
    found: dict[Node, Gate] = {}
    for factors, number in added.items():
        gates = [node for node in factors if _is_gate(cell, node)]
        # i * (4 * sigmoid(a) - 2), of 1997: there i stands alone too
        if len(gates) == 1 and any(gates[0] in other and len(other) > 1 for other in added):
            rest = tuple(node for node in factors if node is not gates[0])
            found.setdefault(gates[0], Gate(gates[0], -1 if added.get(rest) == -number else 1))
    return list(found.values())


def _is_gate(cell: Cell, node: Node) -> bool:
    """Whether this is a sigmoid of what the cell learns."""
    return node.op == "sigmoid" and any(n in cell.linear or n in cell.vectors for n in topological(node.args))
