"""Expressions: the nodes of a cell's graph, and the values a traced function computes with."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from celda.language.errors import Line, mistake, users_line

# Widths of a node's value. An input has a width of its own, called after the input.
SCALAR = ""  # a number, or the step's index: the same for all units
HIDDEN = "hidden"  # one value a hidden unit

REDUCTIONS = ("mean", "deviation", "normalize")  # of all units of a sequence together
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_OPERATORS = ("add", "subtract", "multiply", "divide", "remainder", *COMPARISONS)  # numpy has the same names
LEAVES = ("input", "state", "parameter", "number", "time", "mask", "below", "adjoint")


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """One operation of a cell's step. Nodes are equal only to themselves.

    `op` is a leaf (`input`, `state`, `parameter`, `number`, `time`, `mask`, `below`; in a gradient `adjoint`), a
    learned map (`linear`, `diagonal`), its transpose in a gradient (`transposed`) or a point-wise operation of
    `celda.language.operations`.
    """

    op: str
    args: tuple[Node, ...] = ()
    width: str = HIDDEN
    name: str = ""  # of a leaf
    value: float = 0.0  # of a number; the operand's position in a `transposed`
    boolean: bool = False  # the value of a comparison
    bias: bool = False  # of a linear map
    line: Line = field(default_factory=users_line)

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.args)) or self.name or (f"{self.value:g}" if self.op == "number" else "")
        return f"{self.op}({inner})"


def topological(roots: Iterable[Node]) -> list[Node]:
    """All nodes that `roots` need, arguments before the nodes that use them."""
    order: dict[Node, None] = {}
    stack = [(node, False) for node in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in order:
            continue
        if ready:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
    return list(order)


class Value:
    """What a traced function computes with: a node, with Python's operators.

    A value is not a number yet: `if`, `float()`, indexing and foreign functions raise `CellError` with what to write.
    """

    __slots__ = ("node",)
    __hash__ = None  # type: ignore[assignment]  # == makes a comparison in the graph

    def __init__(self, node: Node) -> None:
        self.node = node

    def __repr__(self) -> str:
        return f"<{self.node!r}>"

    def __add__(self, other: Operand) -> Value:
        return pointwise("add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return pointwise("add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return pointwise("subtract", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return pointwise("subtract", other, self)

    def __mul__(self, other: Operand) -> Value:
        return pointwise("multiply", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return pointwise("multiply", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return pointwise("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return pointwise("divide", other, self)

    def __mod__(self, other: Operand) -> Value:
        return pointwise("remainder", self, other)

    def __rmod__(self, other: Operand) -> Value:
        return pointwise("remainder", other, self)

    def __pos__(self) -> Value:
        return self

    def __neg__(self) -> Value:
        return pointwise("negate", self)

    def __abs__(self) -> Value:
        return pointwise("abs", self)

    def __lt__(self, other: Operand) -> Value:
        return pointwise("less", self, other)

    def __le__(self, other: Operand) -> Value:
        return pointwise("less_equal", self, other)

    def __gt__(self, other: Operand) -> Value:
        return pointwise("greater", self, other)

    def __ge__(self, other: Operand) -> Value:
        return pointwise("greater_equal", self, other)

    def __eq__(self, other: Operand) -> Value:  # type: ignore[override]
        return pointwise("equal", self, other)

    def __ne__(self, other: Operand) -> Value:  # type: ignore[override]
        return pointwise("not_equal", self, other)

    def __bool__(self) -> NoReturn:
        raise mistake(
            "A cell is traced once: `if`, `while`, `and`, `or`, `not` and chained comparisons cannot see its values.",
            _CONDITIONS,
        )

    def __and__(self, _: object) -> NoReturn:
        raise mistake("The language has no `&`, `|`, `^` and `~`.", _CONDITIONS)

    __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __and__

    def __invert__(self) -> NoReturn:
        self.__and__(self)

    def __floordiv__(self, _: object) -> NoReturn:
        raise mistake("The language has no `//`.", "(a - a % b) / b")

    __rfloordiv__ = __floordiv__

    def __iter__(self) -> Iterator[Value]:
        raise mistake("A value has no parts to index or to unpack: it is one number a hidden unit.", "one gate a value")

    def __getitem__(self, _: object) -> NoReturn:
        self.__iter__()
        raise AssertionError  # pragma: no cover

    def __pow__(self, _: object) -> NoReturn:
        raise mistake("The language has no powers.", "a * a for a square, sqrt(a) for a root, exp(p * log(a)) else")

    __rpow__ = __pow__

    def __matmul__(self, _: object) -> NoReturn:
        raise _product()

    __rmatmul__ = __matmul__

    def __float__(self) -> NoReturn:
        raise mistake(
            "A traced value is not a number yet, so Python's `math` and `float` cannot use it.",
            "from celda.language import exp, log, sqrt, tanh, ...",
        )

    __int__ = __float__
    __index__ = __float__

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # Python and its libraries ask for these to learn what an object can do
            raise AttributeError(name)
        raise mistake(
            f"A value has no `.{name}`: it is a number a hidden unit, not an array.",
            "tanh(a), sigmoid(a), ... from celda.language",
        )

    def __array_ufunc__(self, function: Any, _: str, *operands: Any, **__: Any) -> Value:
        """A number of numpy's is a number: np.sqrt(0.5) * h."""
        if function.__name__ in _OPERATORS and any(isinstance(o, numbers.Real) for o in operands):
            return pointwise(function.__name__, *operands)
        raise _foreign(f"numpy.{function.__name__}")

    def __array_function__(self, function: Any, *_: Any, **__: Any) -> NoReturn:
        raise _foreign(f"numpy.{function.__name__}")

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any, **__: Any) -> NoReturn:
        raise _foreign(f"torch.{function.__name__}")


Operand = Value | float
_CONDITIONS = (
    "where(condition, a, b), maximum(a, b), minimum(a, b); for a > 0 and b > 0: minimum(a, b) > 0, or one where inside "
    "the other"
)


def _product() -> Exception:
    return mistake(
        "The language has no free matrix product: every matrix is learned and belongs to a gate.",
        'gate("g", tanh, linear(x, h))',
    )


def _foreign(name: str) -> Exception:
    """What to say where a function of another library is called, by its full name."""
    if name.rpartition(".")[2] in ("matmul", "__matmul__", "__rmatmul__"):  # W @ h
        return _product()
    return mistake(
        f"{name} works on arrays, and a traced value is none yet.",
        "from celda.language import sigmoid, tanh, relu, exp, log, softplus, maximum, minimum, where, abs, sqrt",
    )


def value_of(given: object, role: str = "an operand") -> Value:
    """`given` as a value: itself, or a number made one."""
    if isinstance(given, Value):
        return given
    if isinstance(given, numbers.Real):  # a float, an int, and numpy's scalars
        return Value(Node("number", width=SCALAR, value=float(given)))
    raise mistake(
        f"{role} is a {type(given).__name__}; a cell computes with its arguments, numbers and learned maps only.",
        'a learned vector:  parameter("name", init=0.0);  data:  def cell(x, h, *, name)',
    )


def number_of(given: object, role: str) -> Node:
    """The node of `given`, which must not be a comparison."""
    node = value_of(given, role).node
    if node.boolean:
        raise mistake("A comparison gives yes or no, not a number.", "where(a > b, 1.0, 0.0)")
    return node


def is_probability(given: object) -> bool:
    """Whether `given` is a number from 0 to 1."""
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 1


def pointwise(op: str, *operands: Operand) -> Value:
    """The value of a point-wise operation; widths must agree, numbers fit any width."""
    role, conditions = f"An argument of {op}", 1 if op == "where" else 0
    args = [value_of(o, role).node for o in operands[:conditions]]
    if not all(arg.boolean for arg in args):
        raise mistake("The first argument of where is not a comparison.", "where(a > b, c, d)")
    args += [number_of(o, role) for o in operands[conditions:]]
    widths = sorted({arg.width for arg in args} - {SCALAR})
    if len(widths) > 1:
        named = " and ".join("the hidden width" if w == HIDDEN else f"the width of the input `{w}`" for w in widths)
        name = next(w for w in widths if w != HIDDEN)
        raise mistake(
            f"{named} meet in one operation.", f"linear({name}) first: it brings `{name}` to the hidden width"
        )
    width = widths[0] if widths else SCALAR
    return Value(Node(op, tuple(args), width, boolean=op in COMPARISONS))
