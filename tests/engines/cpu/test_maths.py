import dataclasses
import platform

import numpy as np
import pytest
import torch

from celda.engines.cpu import machine, maths
from celda.language.expression import REDUCTIONS
from celda.language.operations import OPERATIONS
from tests.engines.cpu.vector import Function

LIMIT = {"float32": 5e-7, "float64": 5e-15}
LANES = {"float32": (16, 8, 3, 1), "float64": (8, 4, 3, 1)}
SHAPES = [(dtype, lanes) for dtype, every in LANES.items() for lanes in every]


def sigmoid(x):
    with np.errstate(over="ignore"):
        return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))


TRUE = {
    "exp": np.exp,
    "log": np.log,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}


def points(dtype):
    """Numbers of every exponent and both signs, denormal ones too, dense around 0 and where the functions bend."""
    rng, f = np.random.default_rng(0), np.finfo(dtype)
    lowest, highest = np.log2(float(f.smallest_subnormal)), f.maxexp
    magnitudes = [
        np.exp2(rng.uniform(lowest, highest, 30_000)),
        np.exp2(rng.uniform(-30, 11, 60_000)),
        rng.uniform(0, 120, 30_000),
        rng.uniform(8.9, 9.1, 4_000),  # where the float32 tanh ends
        1 + rng.uniform(-1e-3, 1e-3, 4_000),
        [f.tiny, f.smallest_subnormal, f.max, 19.9999, 20, 39.9999, 40],
    ]
    x = np.concatenate(magnitudes).clip(max=float(f.max)).astype(dtype)
    return np.concatenate([x, -x])


SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-30, -1e-30, 100, -100, 3.5, -2.5, 2, 1e38, -1e38, 1e-40]
)


def check(name, dtype, lanes):
    x, f = points(dtype), np.finfo(dtype)
    x = np.abs(x) if name == "log" else x
    with np.errstate(all="ignore"):
        y, true = Function(maths.POINTWISE[name], dtype, lanes)(x), TRUE[name](x.astype(np.longdouble))
        error = np.abs(y.astype(np.longdouble) - true)
    normal = (np.abs(true) >= f.tiny) & (np.abs(true) <= f.max)
    relative = error[normal] / np.abs(true[normal])
    worst = relative.argmax()
    assert relative[worst] < LIMIT[dtype], f"{name}({x[normal][worst]!r}) is off by {relative[worst]}"
    denormal = np.abs(true) < f.tiny
    assert (error[denormal] <= 3 * f.smallest_subnormal).all()
    huge = np.abs(true) > float(f.max) * (1 + float(f.eps))
    assert (y[huge] == np.inf).all()
    return x, y


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize(("dtype", "lanes"), SHAPES)
def test_functions_are_right_to_the_last_bits_relative_to_the_result(name, dtype, lanes):
    x, y = check(name, dtype, lanes)
    if name == "tanh":
        assert np.abs(y).max() == 1
        half = len(x) // 2
        np.testing.assert_array_equal(y[:half], -y[half:])
    if name == "sigmoid":
        assert y.min() >= 0
        assert y.max() == 1


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="code for other x86 processors")
@pytest.mark.parametrize(("cpu", "bytes_", "registers"), [("haswell", 32, 16), ("x86-64", 16, 16)])
@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("name", TRUE)
def test_functions_are_right_on_older_processors(monkeypatch, name, dtype, cpu, bytes_, registers):
    older = dataclasses.replace(machine.host(), cpu=cpu, features="", vector_bytes=bytes_, registers=registers)
    monkeypatch.setattr(machine, "host", lambda: older)
    check(name, dtype, older.lanes(dtype))


@pytest.mark.parametrize("dtype", LIMIT)
def test_special_values(dtype):
    code = {name: Function(maths.POINTWISE[name], dtype, 2) for name in (*TRUE, "relu", "sqrt", "abs", "negate")}

    def at(name, x):
        return code[name](np.array([x])).item()

    tiny, least = np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal
    assert at("tanh", 1e-30) == np.array(1e-30, dtype)
    for x in (least, -least, tiny, -0.0):
        assert at("tanh", x) == x
        assert np.signbit(at("tanh", x)) == np.signbit(x)
    assert at("sigmoid", -100) == pytest.approx(3.7200759760208356e-44, rel=0.02 if dtype == "float32" else 1e-14)
    assert [at("sigmoid", x) for x in (0, np.inf, -np.inf)] == [0.5, 1, 0]
    assert [at("tanh", x) for x in (np.inf, -np.inf)] == [1, -1]
    assert [at("exp", x) for x in (0, np.inf, -np.inf)] == [1, np.inf, 0]
    assert [at("log", x) for x in (0, -0.0, 1, np.inf)] == [-np.inf, -np.inf, 0, np.inf]
    assert [at("softplus", x) for x in (np.inf, -np.inf)] == [np.inf, 0]
    assert all(np.isnan(at("log", x)) for x in (-1, -least, -np.inf))
    assert all(np.isnan(at(name, np.nan)) for name in code)


def operands(name, dtype):
    """Every combination of the special values."""
    arguments = OPERATIONS[name].text.count("{")
    grid = np.meshgrid(*[SPECIAL.astype(dtype)] * arguments)
    return [a.ravel() for a in grid]


COMPARISONS = {name for name, op in OPERATIONS.items() if op.binding == 1}
TORCH = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "negate": torch.neg,
    "relu": torch.relu,
    "identity": lambda a: a,
    "stop_gradient": torch.Tensor.detach,
    "sqrt": lambda a: torch.from_numpy(np.sqrt(a.numpy())),  # torch's own can be off in the last bit
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "equal": torch.eq,
    "not_equal": torch.ne,
}


def test_every_operation_of_the_language_has_its_code():
    assert set(maths.POINTWISE) | set(REDUCTIONS) == set(OPERATIONS)
    assert set(TORCH) | set(TRUE) | {"remainder", "where", *REDUCTIONS} == set(OPERATIONS)


@pytest.mark.parametrize(("dtype", "lanes"), SHAPES)
def test_exact_operations_are_those_of_torch(dtype, lanes):
    for name, theirs in TORCH.items():

        def ours(e, *args, name=name):
            y = maths.POINTWISE[name](e, *args)
            return e.select(y, e.const(1), e.const(0)) if name in COMPARISONS else y

        args = operands(name, dtype)
        with np.errstate(invalid="ignore"):
            expected = theirs(*map(torch.from_numpy, args)).numpy()
        y = Function(ours, dtype, lanes, len(args))(*args)
        np.testing.assert_array_equal(y, expected.astype(dtype), err_msg=name)


@pytest.mark.parametrize(("dtype", "lanes"), SHAPES)
def test_where_takes_a_comparison(dtype, lanes):
    def ours(e, a, b):
        return maths.POINTWISE["where"](e, maths.POINTWISE["less"](e, a, b), a, b)

    a, b = operands("less", dtype)
    np.testing.assert_array_equal(Function(ours, dtype, lanes, 2)(a, b), np.where(a < b, a, b))


@pytest.mark.parametrize(("dtype", "lanes"), SHAPES)
def test_remainder_is_exact_and_has_the_sign_of_the_divisor(dtype, lanes):
    rng, far = np.random.default_rng(0), 60 if dtype == "float32" else 500
    a = np.concatenate(
        [rng.normal(size=20_000) * 100, np.exp2(rng.uniform(-far, far, 5_000)), -rng.integers(0, 99, 5_000)]
    )
    d = np.concatenate(
        [rng.normal(size=20_000), -np.exp2(rng.uniform(-far, far, 5_000)), rng.integers(1, 9, 5_000) / 2]
    )
    a[:5_000] = d[:5_000].astype(dtype) * rng.integers(-9, 9, 5_000)
    edge, edge_d = operands("remainder", dtype)
    a, d = np.concatenate([a.astype(dtype), edge]), np.concatenate([d.astype(dtype), edge_d])
    with np.errstate(all="ignore"):
        expected = np.remainder(a, d)
    np.testing.assert_array_equal(Function(maths.remainder, dtype, lanes, 2)(a, d), expected)
