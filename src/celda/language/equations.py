"""A cell's equations as text and as LaTeX, printed from its graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from celda.language.cell import Cell
from celda.language.expression import LEAVES, REDUCTIONS, SCALAR, Node
from celda.language.operations import OPERATIONS

_SUM, _PRODUCT, _PREFIX, _ATOM = 3, 4, 5, 9
_LOOKED_UP = (*LEAVES, "diagonal", *REDUCTIONS)  # of one unit, they are a number
_LETTERS = {"ih": "W", "hh": "R", "hr": "P"}
_FURTHER = "VUQS"  # the matrices of the keyword-only inputs


def text(cell: Cell) -> str:
    """One equation a line, in the order of computation: `i_t = σ(W_i x_t + R_i h_{t-1} + b_i)`."""
    printer = _Printer(cell, _Text())
    return "\n".join(f"{left} = {right}" for left, right in printer.equations())


def latex(cell: Cell) -> str:
    """The equations as an `aligned` block, for use inside a display."""
    printer = _Printer(cell, _Latex())
    lines = " \\\\\n".join(f"  {left} &= {right}" for left, right in printer.equations())
    return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"


def shown(cell: Cell, node: Node) -> str:
    """One value of the cell as text."""
    return _Printer(cell, _Text()).show(node)[0]


def substituted(
    cell: Cell, value: Callable[[Node], float], parts: Callable[[Node], Sequence[float]]
) -> dict[str, tuple[str, ...]]:
    """The right side of every equation with the numbers of one unit in the place of its letters, by name.

    `value` gives the number of a node, `parts` the products of a linear map and its biases. Of a function there is a
    second writing, with its argument summed up: `σ(0.1 + 0.4 - 0.2)`, `σ(0.300)`.
    """
    printer = _Numbers(cell, _Digits(), value, parts)
    found: dict[str, tuple[str, ...]] = {}
    for (_, right), (name, node) in zip(printer.equations(), cell.named.items(), strict=True):
        function = node.op in OPERATIONS and len(node.args) == 1
        summed = function and OPERATIONS[node.op].text.endswith("({0})") and printer.names[node] == name
        second = OPERATIONS[node.op].text.format(printer.style.number(value(node.args[0]))) if summed else right
        found[name] = (right,) if second == right else (right, second)
    return found


class _Text:
    """Plain text, with the Greek letters and signs of Unicode."""

    times, dot = " ⊙ ", " · "

    def word(self, name: str) -> str:
        return name

    def number(self, value: float) -> str:
        return f"{value:g}"

    def subscript(self, letter: str, index: str) -> str:
        return f"{letter}_{index}" if "_" not in index else f"{letter}_{{{index}}}"

    def numbered(self, letter: str, number: str) -> str:
        return letter + number

    def at(self, name: str, step: str) -> str:
        return f"{name}_t" if step == "t" else f"{name}_{{{step}}}"

    def brackets(self, inner: str) -> str:
        return f"({inner})"

    def operation(self, op: str) -> str:
        return OPERATIONS[op].text


class _Digits(_Text):
    """Plain text for numbers: to three places, without letters that stand for vectors."""

    times = dot = " · "

    def number(self, value: float) -> str:
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


class _Latex:
    """LaTeX, to be read in mathematical mode with amsmath."""

    times, dot = r" \odot ", r" \cdot "

    def word(self, name: str) -> str:
        return name if len(name) == 1 else rf"\mathrm{{{name}}}".replace("_", r"\_")

    def number(self, value: float) -> str:
        mantissa, _, exponent = f"{value:g}".partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa

    def subscript(self, letter: str, index: str) -> str:
        return f"{self.word(letter) if letter.isidentifier() else letter}_{{{self.word(index)}}}"

    def numbered(self, letter: str, number: str) -> str:
        return f"{letter}^{{({number})}}" if number else letter

    def at(self, name: str, step: str) -> str:
        return f"{self.word(name)}_{{{step}}}"

    def brackets(self, inner: str) -> str:
        return rf"\left({inner}\right)"

    def operation(self, op: str) -> str:
        return OPERATIONS[op].latex


@dataclass
class _Printer:
    """The nodes of a cell in one style; a gate or a new state is printed by its name."""

    cell: Cell
    style: _Text | _Latex

    def __post_init__(self) -> None:
        self.names: dict[Node, str] = {}
        for name, node in self.cell.named.items():
            self.names.setdefault(node, name)  # a second name of one value is defined by the first

    def equations(self) -> list[tuple[str, str]]:
        """Left and right sides, in the order of computation."""
        named = self.cell.named.items()
        return [(self.style.at(n, "t"), self.show(node, self.names[node] == n)[0]) for n, node in named]

    def show(self, node: Node, defining: bool = False) -> tuple[str, int]:
        """The node printed, and how strongly its outermost operator binds."""
        style = self.style
        if node in self.names and not defining and node.op != "state":
            return style.at(self.names[node], "t"), _ATOM
        match node.op:
            case "state":
                return style.at(node.name, "t-1"), _ATOM
            case "input":
                return style.at(node.name, "t") if node.name == self.cell.inputs[0] else style.word(node.name), _ATOM
            case "number":
                shown = style.number(node.value)
                return shown, _PREFIX if shown.startswith("-") else _PRODUCT if style.dot in shown else _ATOM
            case "time":
                return "t", _ATOM
            case "parameter":
                return style.word(node.name), _ATOM
            case "below":
                return style.at(node.name, "t"), _ATOM
            case "mask":
                every_step = self.cell.masks[node.name].every_step
                return style.at(node.name, "t") if every_step else style.word(node.name), _ATOM
            case "linear":
                return self._linear(node), _SUM
            case "diagonal":
                return self._diagonal(node), _PRODUCT
        return self._operation(node)

    def _operation(self, node: Node) -> tuple[str, int]:
        binding = OPERATIONS[node.op].binding
        parts = []
        for position, arg in enumerate(node.args):
            shown, inner = self.show(arg)
            # a - (b - c) and a / (b / c) keep their brackets, and what a remainder is taken of is always in brackets
            right = position > 0 and node.op in ("subtract", "divide")
            tight = _PREFIX if node.op == "remainder" else binding + right
            signed = shown.startswith("-") and (position > 0 or node.op == "negate")  # no two signs in a row
            parts.append(self.style.brackets(shown) if binding < _ATOM and (inner < tight or signed) else shown)
        if node.op == "multiply":
            sign = self.style.dot if SCALAR in (node.args[0].width, node.args[1].width) else self.style.times
            return sign.join(parts), binding
        if node.op == "identity":
            return self.show(node.args[0])
        return self.style.operation(node.op).format(*parts), binding

    def _linear(self, node: Node) -> str:
        linear = self.cell.linear[node]
        parts = [f"{self._matrix(node, t.weight)} {self._operand(t.operand)}" for t in linear.terms]
        if linear.biases:
            rivals = sum(other.gate == linear.gate and bool(other.biases) for other in self.cell.linear.values())
            first = linear.terms[0].weight
            letter = "" if rivals == 1 else f"{self._letter(first)}{self._number(node, first)}"
            parts.append(self.style.subscript("b", letter + linear.gate))
        return " + ".join(parts)

    def _operand(self, operand: Node) -> str:
        shown, binding = self.show(operand)
        return shown if binding == _ATOM else self.style.brackets(shown)

    def _diagonal(self, node: Node) -> str:
        name = self.cell.vectors[node].removeprefix("diagonal_")
        return self.style.subscript("p", name) + self.style.times + self._operand(node.args[0])

    def _matrix(self, node: Node, weight: str) -> str:
        letter = self.style.numbered(self._letter(weight), self._number(node, weight))
        return self.style.subscript(letter, self.cell.linear[node].gate)

    def _number(self, node: Node, weight: str) -> str:
        """Which of its gate's linear maps that have a matrix of this letter a map is, from 1; "" for the only one."""
        gate, letter = self.cell.linear[node].gate, self._letter(weight)
        alike = [
            n
            for n, other in self.cell.linear.items()
            if other.gate == gate and any(self._letter(t.weight) == letter for t in other.terms)
        ]
        return str(alike.index(node) + 1) if len(alike) > 1 else ""

    def _letter(self, weight: str) -> str:
        """W for the input's matrix, R for the recurrent one, V, U, ... for further inputs; a prime for a second one."""
        source = weight.removeprefix("weight_")
        known = {**_LETTERS, **dict(zip(self.cell.inputs[1:], _FURTHER, strict=False))}
        base = max((name for name in known if source.startswith(name)), key=len, default="")
        if not base:
            return source
        repeat = source.removeprefix(base)
        return known[base] + "'" * (int(repeat) - 1 if repeat.isdigit() else 0)


@dataclass
class _Numbers(_Printer):
    """The nodes of a cell as the numbers of one unit."""

    value: Callable[[Node], float]
    parts: Callable[[Node], Sequence[float]]

    def show(self, node: Node, defining: bool = False) -> tuple[str, int]:
        """The number of a node that has a name or is looked up, and the operations on such numbers as they are."""
        if node.op == "number":
            return _Text().number(node.value), _PREFIX if node.value < 0 else _ATOM
        if node.op in _LOOKED_UP or (node in self.names and not defining):
            number = self.value(node)
            return self.style.number(number), _PREFIX if number < 0 else _ATOM
        if node.op == "linear":
            return " + ".join(map(self.style.number, self.parts(node))).replace("+ -", "- "), _SUM
        return self._operation(node)
