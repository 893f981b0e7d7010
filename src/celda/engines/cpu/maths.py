"""The point-wise functions as vector code: few instructions, and a small error relative to the result everywhere.

exp is two to a whole power times a polynomial; sigmoid, softplus and the float64 tanh are made of exp; the float32 tanh
is a rational function. The polynomials are minimax over the range the argument is reduced to. NaN goes through; results
too large are inf, results too small for a normal number lose bits as IEEE has it, not before (in the sweep they may be
0: see `celda.engines.cpu.emit.Emit.flushing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from celda.engines.cpu import machine
from celda.engines.cpu.emit import Emit, Value
from celda.engines.rational import TANH_END, TANH_P, TANH_Q


@dataclass(frozen=True)
class _Format:
    """What the functions need to know of a floating-point format."""

    mantissa: int  # bits
    bias: int  # of the exponent
    ln2: float  # rounded to the format
    ln2_rest: float
    exp_range: tuple[float, float]  # beyond it exp is 0 or inf
    one_from: float  # sigmoid is 1 from here on
    exp: tuple[float, ...]  # (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2
    log: tuple[float, ...]  # (log((1 + t/2) / (1 - t/2)) - t) / t^3 in t^2 on [0, 4/9]


_FORMATS = {
    "float32": _Format(
        mantissa=23,
        bias=127,
        ln2=0.693147182464599609375,
        ln2_rest=-1.904654299957768e-09,
        exp_range=(-104.0, 89.0),
        one_from=20.0,
        exp=(0.4999923149755397, 0.16667114495830596, 0.04189015712815504, 0.008312533451691414),
        log=(0.08333301640977822, 0.012506781109724809, 0.002187432190692874, 0.0005473536028921752),
    ),
    "float64": _Format(
        mantissa=52,
        bias=1023,
        ln2=math.log(2),
        ln2_rest=2.3190468138462996e-17,
        exp_range=(-746.0, 710.0),
        one_from=40.0,
        exp=(
            0.49999999999998324,
            0.1666666666661151,
            0.04166666666813748,
            0.008333333370892718,
            0.0013888888516054563,
            0.00019841185202236012,
            2.4801931798822192e-05,
            2.7635006379944497e-06,
            2.747680202131975e-07,
        ),
        log=(
            0.08333333333334735,
            0.012499999998749284,
            0.002232142895560896,
            0.00043402720029037497,
            8.878330435962697e-05,
            1.8755117238180626e-05,
            4.146498679530131e-06,
            7.551805264389288e-07,
            3.3853269369504514e-07,
        ),
    ),
}


def _polynomial(e: Emit, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with the constant term first."""
    *rest, result = (e.const(c) for c in coefficients)
    for c in reversed(rest):
        result = e.fma(result, x, c)
    return result


def _clamp(e: Emit, x: Value, low: float, high: float) -> Value:
    return e.minimum(e.const(high), e.maximum(e.const(low), x))  # in this order NaN goes through


def _reduce(e: Emit, x: Value) -> tuple[Value, Value, Value]:
    """x = n ln(2) + r with n whole and |r| <= ln(2) / 2: n, once as an integer and once as a float, and r."""
    f, b = _FORMATS[e.dtype], e.b
    magic = 1.5 * 2.0**f.mantissa  # a float that large has no bits below 1: adding it rounds, and n is in its last bits
    shifted = e.fma(x, e.const(1 / math.log(2)), e.const(magic))
    n = b.fsub(shifted, e.const(magic))
    r = e.fma(n, e.const(-f.ln2_rest), e.fma(n, e.const(-f.ln2), x))
    magic_bits = (f.bias + f.mantissa) << f.mantissa | 1 << (f.mantissa - 1)
    return b.sub(b.bitcast(shifted, e.ivector), e.iconst(magic_bits)), n, r


def _scale(e: Emit, p: Value, n: Value, n_float: Value) -> Value:
    """p * 2^n, rounded once where that is too small for a normal number."""
    f, b = _FORMATS[e.dtype], e.b
    if e.lanes * e.bytes == 64 and machine.host().has("avx512f"):
        name = "llvm.x86.avx512.mask.scalef." + ("ps.512" if e.dtype == "float32" else "pd.512")
        every, nearest = ir.Constant(ir.IntType(e.lanes), -1), ir.Constant(ir.IntType(32), 4)
        return e.call(name, e.vector, p, n_float, p, every, nearest)
    # in two halves, each a normal number: only the second product can round
    twice = b.add(n, e.iconst(2 * f.bias))
    half = b.lshr(twice, e.iconst(1))
    for k in (half, b.sub(twice, half)):
        p = b.fmul(p, b.bitcast(b.shl(k, e.iconst(f.mantissa)), e.vector))
    return p


def _exp(e: Emit, x: Value) -> Value:
    n, n_float, r = _reduce(e, x)
    p = _polynomial(e, r, _FORMATS[e.dtype].exp)
    return _scale(e, e.fma(p, e.b.fmul(r, r), e.b.fadd(r, e.const(1))), n, n_float)


def _log1p(e: Emit, r: Value) -> Value:
    """log(1 + r) for r from sqrt(1/2) - 1 to 1."""
    t = e.b.fdiv(r, e.fma(r, e.const(0.5), e.const(1)))
    z = e.b.fmul(t, t)
    return e.fma(e.b.fmul(t, z), _polynomial(e, z, _FORMATS[e.dtype].log), t)


def _quotient(e: Emit, a: Value, b: Value) -> Value:
    """a / b to the last bit or two, where b is between 1 and 1e30: by its reciprocal, which the processor estimates."""
    if e.dtype == "float64" or e.lanes * e.bytes != 64 or not machine.host().has("avx512f"):
        return e.b.fdiv(a, b)
    every = ir.Constant(ir.IntType(e.lanes), -1)
    guess = e.call("llvm.x86.avx512.rcp14.ps.512", e.vector, b, b, every)  # 14 bits, and twice as many after one step
    minus = e.b.fneg(b)
    r = e.fma(guess, e.fma(minus, guess, e.const(1)), guess)
    q = e.b.fmul(a, r)
    return e.fma(r, e.fma(minus, q, a), q)


def exp(e: Emit, x: Value) -> Value:
    """The exponential function."""
    return _exp(e, _clamp(e, x, *_FORMATS[e.dtype].exp_range))


def log(e: Emit, x: Value) -> Value:
    """The natural logarithm; -inf at 0, NaN below."""
    f, b = _FORMATS[e.dtype], e.b
    tiny = e.compare("<", x, e.const(2.0 ** (1 - f.bias)))
    bits = b.bitcast(e.select(tiny, b.fmul(x, e.const(2.0**f.mantissa)), x), e.ivector)
    root = ((f.bias - 1) << f.mantissa) + int((math.sqrt(2) - 1) * 2**f.mantissa)  # the bits of sqrt(1/2)
    k = b.ashr(b.sub(bits, e.iconst(root)), e.iconst(f.mantissa))  # x = 2^k m with m from sqrt(1/2) to sqrt(2)
    m = b.bitcast(b.sub(bits, b.shl(k, e.iconst(f.mantissa))), e.vector)
    power = b.fsub(b.sitofp(k, e.vector), e.select(tiny, e.const(f.mantissa), e.const(0)))
    y = _log1p(e, b.fsub(m, e.const(1)))
    y = e.fma(power, e.const(f.ln2), e.fma(power, e.const(f.ln2_rest), y))
    y = e.select(e.compare("<", x, e.const(math.inf)), y, x)
    return e.select(
        e.compare(">", x, e.const(0)),
        y,
        e.select(e.compare("==", x, e.const(0)), e.const(-math.inf), e.const(math.nan)),
    )


def sigmoid(e: Emit, x: Value) -> Value:
    """The logistic function, 1 / (1 + exp(-x)): for x < 0 as small as it is."""
    f = _FORMATS[e.dtype]
    power = _exp(e, _clamp(e, x, f.exp_range[0], f.one_from))
    return _quotient(e, power, e.b.fadd(power, e.const(1)))


def tanh(e: Emit, x: Value) -> Value:
    """The hyperbolic tangent."""
    b = e.b
    if e.dtype == "float32":
        x = _clamp(e, x, -TANH_END, TANH_END)
        z = b.fmul(x, x)
        y = _quotient(e, b.fmul(x, _polynomial(e, z, TANH_P)), _polynomial(e, z, TANH_Q))
        return _clamp(e, y, -1, 1)  # the last bit could be beyond
    # -m / (2 + m) with m = exp(-2|x|) - 1, which is had without the loss of digits near 0
    f = _FORMATS[e.dtype]
    n, _, r = _reduce(e, e.maximum(e.const(-40), b.fmul(e.abs(x), e.const(-2))))
    power = b.bitcast(b.shl(b.add(n, e.iconst(f.bias)), e.iconst(f.mantissa)), e.vector)
    less_one = e.fma(_polynomial(e, r, f.exp), b.fmul(r, r), r)
    m = e.fma(power, less_one, b.fsub(power, e.const(1)))
    return e.copysign(b.fdiv(m, b.fadd(m, e.const(2))), x)


def softplus(e: Emit, x: Value) -> Value:
    """log(1 + exp(x))."""
    low = _FORMATS[e.dtype].exp_range[0]
    power = _exp(e, e.maximum(e.const(low), e.b.fneg(e.abs(x))))
    return e.b.fadd(relu(e, x), _log1p(e, power))


def relu(e: Emit, x: Value) -> Value:
    """max(x, 0); NaN stays."""
    return e.maximum(e.const(0), x)


def remainder(e: Emit, a: Value, d: Value) -> Value:
    """a - d * floor(a / d), with the sign of `d`, as torch has it."""
    b = e.b
    q = e.trunc(b.fdiv(a, d))
    small = e.compare("<", e.abs(q), e.const(2.0 ** (_FORMATS[e.dtype].mantissa - 1)))
    with b.if_else(e.all(b.and_(small, e.compare("<", e.abs(d), e.const(math.inf))))) as (then, otherwise):
        with then:  # so small a quotient is wrong by one at most, and then this is exact, and wrong by d at most
            quick, quick_end = e.fma(b.fneg(q), d, a), b.block
        with otherwise:
            slow, slow_end = b.frem(a, d), b.block
    r = b.phi(e.vector)
    r.add_incoming(quick, quick_end)
    r.add_incoming(slow, slow_end)
    zero = e.const(0)
    other_side = b.xor(e.compare("<", r, zero), e.compare("<", d, zero))
    return e.select(b.and_(other_side, e.compare("!=", r, zero)), b.fadd(r, d), r)


def _propagating(e: Emit, a: Value, result: Value) -> Value:
    """The result, but NaN where `a` is."""
    return e.select(e.compare("!=", a, a), a, result)


def _compare(op: str) -> Callable[..., Value]:
    return lambda e, a, b: e.compare(op, a, b)


POINTWISE: dict[str, Callable[..., Value]] = {
    "add": lambda e, a, b: e.b.fadd(a, b),
    "subtract": lambda e, a, b: e.b.fsub(a, b),
    "multiply": lambda e, a, b: e.b.fmul(a, b),
    "divide": lambda e, a, b: e.b.fdiv(a, b),
    "remainder": remainder,
    "negate": lambda e, a: e.b.fneg(a),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "identity": lambda e, a: a,
    "stop_gradient": lambda e, a: a,
    "exp": exp,
    "log": log,
    "softplus": softplus,
    "sqrt": lambda e, a: e.sqrt(a),
    "abs": lambda e, a: e.abs(a),
    "maximum": lambda e, a, b: _propagating(e, a, e.maximum(a, b)),
    "minimum": lambda e, a, b: _propagating(e, a, e.minimum(a, b)),
    "where": lambda e, condition, a, b: e.select(condition, a, b),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "greater": _compare(">"),
    "greater_equal": _compare(">="),
    "equal": _compare("=="),
    "not_equal": _compare("!="),
}
"""Each operation of the language: (emitter, values) -> value. A comparison gives an i1 a lane, as `where` takes."""
