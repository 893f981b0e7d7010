"""The point-wise operations as Triton source: each takes a printer and the names of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from celda.engines.gpu.printer import Printer
from celda.engines.rational import TANH_END, TANH_P, TANH_Q
from celda.language.operations import EPSILON


def _polynomial(x: str, coefficients: Sequence[float]) -> str:
    """The polynomial with the constant term first, by Horner's rule."""
    *rest, text = map(repr, coefficients)
    for c in reversed(rest):
        text = f"({text} * {x} + {c})"
    return text


def _tanh(p: Printer, a: str) -> str:
    # comparisons rather than minimum and maximum: so NaN goes through
    x = p.let(f"tl.where({a} > {TANH_END}, {TANH_END}, tl.where({a} < -{TANH_END}, -{TANH_END}, {a}))")
    z = p.let(f"{x} * {x}")
    return f"{x} * {_polynomial(z, TANH_P)} / {_polynomial(z, TANH_Q)}"


def _softplus(p: Printer, a: str) -> str:
    power = p.let(f"tl.exp(-tl.abs({a}))")
    grown = p.let(f"1.0 + {power}")
    # log(1 + e) without the digits that 1 + e lost (Kahan)
    rest = f"tl.where({grown} == 1.0, {power}, tl.log({grown}) * ({power} / ({grown} - 1.0)))"
    return f"tl.where({a} <= 0.0, 0.0, {a}) + {rest}"


def _mean(p: Printer, a: str) -> str:
    return f"(tl.sum(tl.where(here, {a}, 0.0), 1) / H)[:, None]"


def _deviation(p: Printer, a: str) -> str:
    far = p.let(f"{a} - {p.let(_mean(p, a))}")
    return f"tl.sqrt({_mean(p, f'{far} * {far}')} + {EPSILON})"


def _normalize(p: Printer, a: str) -> str:
    far = p.let(f"{a} - {p.let(_mean(p, a))}")
    return f"{far} / tl.sqrt({_mean(p, f'{far} * {far}')} + {EPSILON})"


def _text(pattern: str) -> Callable[..., str]:
    return lambda _, *args: pattern.format(*args)


POINTWISE: dict[str, Callable[..., str]] = {
    "add": _text("{0} + {1}"),
    "subtract": _text("{0} - {1}"),
    "multiply": _text("{0} * {1}"),
    "divide": _text("{0} / {1}"),
    "remainder": _text("{0} - tl.floor({0} / {1}) * {1}"),
    "negate": _text("-{0}"),
    "sigmoid": _text("tl.sigmoid({0})"),
    "tanh": _tanh,
    "relu": _text("tl.where({0} <= 0.0, 0.0, {0})"),
    "identity": _text("{0}"),
    "stop_gradient": _text("{0}"),
    "exp": _text("tl.exp({0})"),
    "log": _text("tl.log({0})"),
    "softplus": _softplus,
    "sqrt": _text("tl.sqrt({0})"),
    "abs": _text("tl.abs({0})"),
    # the argument that is not a number stays, whichever it is
    "maximum": _text("tl.where(({0} > {1}) | ({0} != {0}), {0}, {1})"),
    "minimum": _text("tl.where(({0} < {1}) | ({0} != {0}), {0}, {1})"),
    "where": _text("tl.where({0}, {1}, {2})"),
    "mean": _mean,
    "deviation": _deviation,
    "normalize": _normalize,
    "less": _text("{0} < {1}"),
    "less_equal": _text("{0} <= {1}"),
    "greater": _text("{0} > {1}"),
    "greater_equal": _text("{0} >= {1}"),
    "equal": _text("{0} == {1}"),
    "not_equal": _text("{0} != {1}"),
}
