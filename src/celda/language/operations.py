"""The point-wise operations, said once: how each is printed and what its derivative is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celda.language.errors import mistake
from celda.language.expression import HIDDEN, LEAVES, Operand, Value, number_of, pointwise

# (arguments, result, adjoint of the result) -> adjoint of each argument; None: none flows there
Rule = Callable[[tuple[Value, ...], Value, Value], tuple[Value | None, ...]]


CALL = 9  # the binding of what is written as a call


@dataclass(frozen=True)
class Operation:
    """A point-wise operation. `text` and `latex` hold one place an argument; `binding` is its precedence as an operator
    (1 comparison, 2 remainder, 3 sum, 4 product, 5 prefix; 9: a function, needs no brackets)."""

    text: str
    latex: str
    rule: Rule | None = None
    binding: int = CALL


def _function(text: str, rule: Rule, latex: str | None = None) -> Operation:
    return Operation(text + "({0})", (latex or rf"\{text}") + r"\left({0}\right)", rule)


def _comparison(text: str, latex: str) -> Operation:
    return Operation("{0} " + text + " {1}", "{0} " + latex + " {1}", None, 1)


# The other side gets nothing, rather than this side something: so NaN, which is neither, goes on as in torch.
def _at_larger(args: tuple[Value, ...], _: Value, d: Value) -> tuple[Value, ...]:
    a, b = args
    share = where(a == b, 0.5 * d, d)
    return where(a < b, 0.0, share), where(a > b, 0.0, share)


def _at_smaller(args: tuple[Value, ...], _: Value, d: Value) -> tuple[Value, ...]:
    a, b = args
    share = where(a == b, 0.5 * d, d)
    return where(a > b, 0.0, share), where(a < b, 0.0, share)


EPSILON = 1e-5  # what a deviation has besides, so that equal units can be normalised


# A rule uses the result `y` rather than the arguments where it can: `y` is what a gate keeps.
OPERATIONS: dict[str, Operation] = {
    "add": Operation("{0} + {1}", "{0} + {1}", lambda a, y, d: (d, d), 3),
    "subtract": Operation("{0} - {1}", "{0} - {1}", lambda a, y, d: (d, -d), 3),
    "multiply": Operation("{0} ⊙ {1}", r"{0} \odot {1}", lambda a, y, d: (d * a[1], d * a[0]), 4),
    "divide": Operation("{0} / {1}", r"{0} / {1}", lambda a, y, d: (d / a[1], -(d * y) / a[1]), 4),
    "remainder": Operation("{0} mod {1}", r"{0} \bmod {1}", lambda a, y, d: (d, d * ((y - a[0]) / a[1])), 2),
    "negate": Operation("-{0}", "-{0}", lambda a, y, d: (-d,), 5),
    "sigmoid": _function("σ", lambda a, y, d: (d * (y * (1 - y)),), r"\sigma"),
    "tanh": _function("tanh", lambda a, y, d: (d * (1 - y * y),)),
    "relu": _function("relu", lambda a, y, d: (where(y <= 0, 0.0, d),), r"\operatorname{{relu}}"),
    "identity": Operation("{0}", "{0}", lambda a, y, d: (d,)),
    "stop_gradient": _function("stop", lambda a, y, d: (None,), r"\operatorname{{stop}}"),
    "exp": _function("exp", lambda a, y, d: (d * y,)),
    "log": _function("log", lambda a, y, d: (d / a[0],)),
    "softplus": _function("softplus", lambda a, y, d: (d * (1 - exp(-y)),), r"\operatorname{{softplus}}"),
    "sqrt": _function("sqrt", lambda a, y, d: (d / (2 * y),)),
    "abs": Operation("abs({0})", r"\left|{0}\right|", lambda a, y, d: (where(a[0] > 0, d, where(a[0] < 0, -d, 0.0)),)),
    "maximum": Operation("max({0}, {1})", r"\max\left({0}, {1}\right)", _at_larger),
    "minimum": Operation("min({0}, {1})", r"\min\left({0}, {1}\right)", _at_smaller),
    "where": Operation(
        "({1} if {0} else {2})",
        r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        lambda a, y, d: (None, where(a[0], d, 0.0), where(a[0], 0.0, d)),
    ),
    "mean": _function("mean", lambda a, y, d: (mean(d),), r"\operatorname{{mean}}"),
    "deviation": _function("deviation", lambda a, y, d: (normalize(a[0]) * mean(d),), r"\operatorname{{dev}}"),
    "normalize": _function(
        "normalize", lambda a, y, d: ((d - mean(d) - y * mean(d * y)) / deviation(a[0]),), r"\operatorname{{normalize}}"
    ),
    "less": _comparison("<", "<"),
    "less_equal": _comparison("≤", r"\le"),
    "greater": _comparison(">", ">"),
    "greater_equal": _comparison("≥", r"\ge"),
    "equal": _comparison("=", "="),
    "not_equal": _comparison("≠", r"\ne"),
}


def sigmoid(a: Operand) -> Value:
    """The logistic function, 1 / (1 + exp(-a))."""
    return pointwise("sigmoid", a)


def tanh(a: Operand) -> Value:
    """The hyperbolic tangent."""
    return pointwise("tanh", a)


def relu(a: Operand) -> Value:
    """max(a, 0); its slope at 0 is 0."""
    return pointwise("relu", a)


def identity(a: Operand) -> Value:
    """`a` itself: the activation of a linear gate."""
    return pointwise("identity", a)


def stop_gradient(a: Operand) -> Value:
    """`a` itself going forward; no gradient flows back through it (a truncated gradient)."""
    return pointwise("stop_gradient", a)


def exp(a: Operand) -> Value:
    """The exponential function."""
    return pointwise("exp", a)


def log(a: Operand) -> Value:
    """The natural logarithm."""
    return pointwise("log", a)


def softplus(a: Operand) -> Value:
    """log(1 + exp(a))."""
    return pointwise("softplus", a)


def sqrt(a: Operand) -> Value:
    """The square root."""
    return pointwise("sqrt", a)


def abs(a: Operand) -> Value:
    """The absolute value; its slope at 0 is 0."""
    return pointwise("abs", a)


def maximum(a: Operand, b: Operand) -> Value:
    """The larger of two values; where they are equal each gets half of the gradient."""
    return pointwise("maximum", a, b)


def minimum(a: Operand, b: Operand) -> Value:
    """The smaller of two values; where they are equal each gets half of the gradient."""
    return pointwise("minimum", a, b)


def where(condition: Value, a: Operand, b: Operand) -> Value:
    """`a` where the comparison holds, `b` elsewhere."""
    return pointwise("where", condition, a, b)


def mean(a: Value) -> Value:
    """The mean over the hidden units, the same number for each of them."""
    return _over_units("mean", a)


def deviation(a: Value) -> Value:
    """How far the hidden units are from their mean: sqrt(mean((a - mean(a))²) + 1e-5)."""
    return _over_units("deviation", a)


def normalize(a: Value) -> Value:
    """(a - mean(a)) / deviation(a) over the hidden units (Ba, Kiros & Hinton 2016), without gain and bias."""
    return _over_units("normalize", a)


def _over_units(op: str, a: Value) -> Value:
    node = number_of(a, f"The argument of {op}")
    if node.width != HIDDEN:
        raise mistake(f"{op} is taken over the hidden units, and this is not one number a unit.", f"{op}(linear(x, h))")
    return pointwise(op, identity(a) if node.op in LEAVES else a)  # what is computed can be kept, a leaf cannot
