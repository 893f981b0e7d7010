"""What each named value of a cell is for: a gate, and of which kind, the candidate, the memory, the output.

It is found in the equations: no cell is named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from celda.language.cell import Cell
from celda.language.expression import Node
from celda.language.roles import carried, let_in, memories, multiplied_out


@dataclass(frozen=True)
class Role:
    """What a named value of a cell is for.

    `kind`: "forget gate" (a state keeps its old value as far as it is open), "update gate" (it keeps the old value or
    takes what is new), "input gate", "output gate", "gate" (another sigmoid), "candidate" (what may be taken in),
    "memory" (the state that is handed on directly), "output", "memory and output" (both in one), "state" (another
    one), or "value" (what else has a name). `keeps`: of a forget or update gate, whether it keeps by opening.
    `before`: of a gate, whether it is named before its sigmoid, as JANET's s is: what opens and closes is σ(s).
    """

    name: str
    kind: str
    keeps: bool = True
    before: bool = False

    @property
    def is_gate(self) -> bool:
        """Whether its values, or the sigmoid of them, lie between 0, closed, and 1, open."""
        return self.kind.endswith("gate")


def roles(cell: Cell) -> dict[str, Role]:
    """What each named value of a cell is for, in the order of computation."""
    kinds, shown = _kinds(cell), (memory_state(cell), cell.states[0])
    squashed = {node.args[0]: kind for node, kind in kinds.items() if node.op == "sigmoid"}
    result = {}
    for name, node in cell.named.items():
        if node in squashed and node.op != "sigmoid" and name not in cell.states:
            result[name] = Role(name, *squashed[node], before=True)
            continue
        if name in cell.states and (node.op != "sigmoid" or name in shown):
            result[name] = Role(name, _of_state(cell, name))
        else:  # where a gate is a state as well, it is a gate
            result[name] = Role(name, *kinds.get(node, ("gate" if node.op == "sigmoid" else "value", True)))
    return result


def _kinds(cell: Cell) -> dict[Node, tuple[str, bool]]:
    """The kind of each node that has a part in a memory or an output, and whether it keeps by opening."""
    found: dict[Node, tuple[str, bool]] = {}
    for memory in memories(cell):
        kind = "update gate" if memory.coupled else "forget gate"
        found.setdefault(memory.forget.node, (kind, memory.forget.sign > 0))
    for polynomial in carried(cell).values():  # an exponential gate
        for factors in polynomial if len(polynomial) == 1 else ():
            found |= {node: ("forget gate", True) for node in factors if len(factors) == 1 and node not in found}
    for gates in let_in(cell).values():
        for gate in gates:
            found.setdefault(gate.node, ("input gate", True))
    read = {node for factors in multiplied_out(cell.outputs[cell.states[0]]) for node in factors}
    for node in _on_the_way(cell, cell.outputs[memory_state(cell)]):
        if node.op == "exp":
            found.setdefault(node, ("input gate", True))
        elif node.op != "sigmoid":
            found.setdefault(node, ("candidate", True))
    for node in read:
        if node.op == "sigmoid":
            found.setdefault(node, ("output gate", True))
    return found


def _on_the_way(cell: Cell, new: Node) -> list[Node]:
    """The gates that a new state is made of, without those that only a learned map or another gate sees."""
    gates, found, left = set(cell.gates.values()), [], [new]
    while left:
        node = left.pop()
        if node in gates and node is not new:
            found.append(node)
        elif node not in cell.linear:
            left += node.args
    return found


def _of_state(cell: Cell, name: str) -> str:
    remembers, shows = name == memory_state(cell), name == cell.states[0]
    return "memory and output" if remembers and shows else "memory" if remembers else "output" if shows else "state"


def memory_state(cell: Cell) -> str:
    """The state that remembers: the first that reaches its new value directly; the output where there is none."""
    return next(iter(sorted(carried(cell), key=lambda name: name == cell.states[0])), cell.states[0])
