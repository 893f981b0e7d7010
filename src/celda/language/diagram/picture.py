"""What a cell's diagram shows: boxes, and the wires between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from celda.language.cell import Cell
from celda.language.equations import shown, text
from celda.language.expression import SCALAR, Node
from celda.language.operations import OPERATIONS

_FUNCTION = 9  # how strongly a function's brackets bind
_SYMMETRIC = ("add", "multiply", "maximum", "minimum", "equal", "not_equal")


@dataclass(eq=False)
class Shape:
    """A box: an input, an old or new state, a gate, a map (learned, in no gate), an operation, a number, parameter."""

    kind: str
    label: str
    index: str = ""  # below the label
    name: str = ""  # of a gate
    tip: str = ""  # the equation
    carries: bool = False  # an operation that a memory line may run through: it adds, scales or chooses
    column: int = 0
    row: int = 0


@dataclass(eq=False)
class Wire:
    """A value on its way to a reader: `plain`, `mapped` by a matrix or by a `diagonal`; `role` tells operands apart."""

    source: Shape
    target: Shape
    how: str = "plain"
    role: str = ""
    memory: bool = False  # a part of the line from an old state to the new one


@dataclass
class Picture:
    """The boxes in the order of computation, the wires between them, and what stands in each row, from the top."""

    shapes: list[Shape] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  # "operations", "gates", "maps", "inputs"

    def into(self, shape: Shape) -> list[Wire]:
        """The wires that end at `shape`."""
        return [wire for wire in self.wires if wire.target is shape]

    def out_of(self, shape: Shape) -> list[Wire]:
        """The wires that begin at `shape`."""
        return [wire for wire in self.wires if wire.source is shape]


def picture(cell: Cell) -> Picture:
    """The boxes and wires of a step, not yet arranged."""
    return _Sketch(cell).picture


_Operand = tuple[Node, str, str]  # a node, how it is read, its role


class _Sketch:
    """From graph to boxes: a gate's box holds the sum of learned maps before it, an operation's its numbers."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.picture = cell, Picture()
        self.boxes: dict[Node, Shape] = {}
        self.gates = {node: name for name, node in cell.gates.items()}
        self.named = set(cell.named.values())
        self.equations = dict(zip(cell.named, text(cell).splitlines(), strict=True))
        self.uses: dict[Node, int] = {}
        for node in cell.nodes:
            for arg in node.args:
                self.uses[arg] = self.uses.get(arg, 0) + 1
        for node in cell.named.values():
            self.see(node)
        for state, node in cell.outputs.items():
            shape = Shape("new", state, "t", tip=self.equations[state])
            self.picture.wires.append(Wire(self.see(node), shape))
            self.picture.shapes.append(shape)

    def see(self, node: Node) -> Shape:
        """The box of a node, drawn when it is first asked for."""
        if node not in self.boxes:
            shape, operands = self.describe(node)
            wires = [Wire(self.see(arg), shape, how, role) for arg, how, role in dict.fromkeys(operands)]
            self.boxes[node] = shape
            self.picture.shapes.append(shape)
            self.picture.wires.extend(wires)
        return self.boxes[node]

    def describe(self, node: Node) -> tuple[Shape, Iterable[_Operand]]:
        """A node's box, and what it reads."""
        if node.width == SCALAR:
            return Shape("number", shown(self.cell, node)), ()
        match node.op:
            case "input":
                return Shape("input", node.name, "t" if node.name == self.cell.inputs[0] else ""), ()
            case "state":
                return Shape("old", node.name, "t−1"), ()
            case "below":
                return Shape("input", node.name, "t"), ()
            case "parameter" | "mask":
                return Shape("parameter", node.name), ()
        if node in self.gates:
            return self.gate(node, self.gates[node])
        tip = shown(self.cell, node)
        if node.op not in OPERATIONS:
            letter, _, index = tip.partition(" ")[0].partition("_")
            return Shape("map", letter, index.strip("{}"), tip=tip), self.learned(node)
        return Shape("operation", sign(node), tip=tip, carries=len(node.args) > 1), self.operands(node)

    def gate(self, node: Node, name: str) -> tuple[Shape, Iterable[_Operand]]:
        """A gate's box: its activation, and the sum of learned maps before it."""
        label = sign(node) if node.op in OPERATIONS else ""
        shape = Shape("gate", label, name=name, tip=self.equations[name])
        if node.op in ("add", "linear", "diagonal"):
            return shape, self.learned(node)
        if len(node.args) == 1 and self.inside(node.args[0]):
            return shape, self.learned(node.args[0])
        return shape, self.operands(node)

    def inside(self, node: Node) -> bool:
        """Whether a node is drawn as a part of the gate that reads it."""
        return node.op in ("add", "linear", "diagonal") and self.uses[node] == 1 and node not in self.named

    def learned(self, node: Node) -> Iterator[_Operand]:
        """What a sum of learned maps reads."""
        if node.op == "linear":
            yield from ((term.operand, "mapped", "") for term in self.cell.linear[node].terms)
        elif node.op == "diagonal":
            yield node.args[0], "diagonal", ""
        else:
            for arg in node.args:
                if self.inside(arg):
                    yield from self.learned(arg)
                elif arg.op != "number":
                    yield arg, "plain", ""

    def operands(self, node: Node) -> Iterator[_Operand]:
        """What an operation reads besides numbers, each with a role where they are not alike."""
        roles = ("if", "then", "else") if node.op == "where" else ("", "" if node.op in _SYMMETRIC else sign(node))
        both = sum(arg.op != "number" for arg in node.args) > 1
        for arg, role in zip(node.args, roles, strict=False):
            if arg.op != "number":
                yield arg, "plain", role if both else ""


def sign(node: Node) -> str:
    """An operation as it is written in its circle, with the numbers it takes: `⊙`, `tanh`, `1 −`, `max(·, 0)`."""
    operation = OPERATIONS[node.op]
    values = [f"{arg.value:g}" if arg.op == "number" else "" for arg in node.args]
    if node.op == "identity":
        return "linear"
    if node.op == "where":
        return " ".join(["where", *(f"{w} {v}" for w, v in zip(("then", "else"), values[1:], strict=True) if v)])
    if operation.binding == _FUNCTION and any(values):
        return operation.text.format(*(value or "·" for value in values))
    written = operation.text.format(*values).strip("(, )").replace("-", "−")
    return written.replace("⊙", "·") if any(values) else written
