import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import ir

from celda.engines.cpu import jit
from celda.engines.cpu.emit import I64, Emit
from tests.engines.cpu.vector import Function

SHAPES = [("float32", 1), ("float32", 5), ("float32", 16), ("float64", 1), ("float64", 3), ("float64", 8)]
shapes = pytest.mark.parametrize(("dtype", "lanes"), SHAPES)


class Program:
    """A function of i64 arguments and one array; `body(e, array, *numbers)` may return an i64."""

    def __init__(self, body, dtype="float64", lanes=4, numbers=0):
        module = ir.Module("test")
        pointer = (ir.FloatType() if dtype == "float32" else ir.DoubleType()).as_pointer()
        f = ir.Function(module, ir.FunctionType(I64, [pointer] + [I64] * numbers), "run")
        e = Emit(ir.IRBuilder(f.append_basic_block()), module, dtype, lanes)
        result = body(e, *f.args)
        e.b.ret(I64(0) if result is None else result)
        self.code = jit.compile(module, ["run"])
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, *[ctypes.c_int64] * numbers)
        self.run = kind(self.code.address("run"))

    def __call__(self, array=None, *numbers):
        return self.run(None if array is None else array.ctypes.data, *numbers)


@shapes
def test_arithmetic(dtype, lanes):
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 33)).astype(dtype)
    exact = [x.astype(np.longdouble) for x in (a, b, c)]

    def call(f, *args):
        return Function(f, dtype, lanes, len(args))(*args)

    fused = (exact[0] * exact[1] + exact[2]).astype(dtype)
    np.testing.assert_allclose(call(lambda e, x, y, z: e.fma(x, y, z), a, b, c), fused, rtol=np.finfo(dtype).eps)
    for name, theirs in {"floor": np.floor, "rint": np.rint, "trunc": np.trunc, "abs": np.abs}.items():
        np.testing.assert_array_equal(call(lambda e, x, name=name: getattr(e, name)(x), 9 * a), theirs(9 * a))
    np.testing.assert_array_equal(call(lambda e, x: e.sqrt(e.abs(x)), a), np.sqrt(np.abs(a)))
    np.testing.assert_array_equal(call(lambda e, x, y: e.copysign(x, y), a, b), np.copysign(a, b))
    np.testing.assert_array_equal(call(lambda e, x, y: e.minimum(x, y), a, b), np.minimum(a, b))
    np.testing.assert_array_equal(call(lambda e, x, y: e.maximum(x, y), a, b), np.maximum(a, b))
    np.testing.assert_array_equal(call(lambda e, x: e.b.fadd(x, e.const(0.1)), a), a + np.array(0.1, dtype))


@shapes
def test_minimum_and_maximum_give_the_second_where_one_is_nan(dtype, lanes):
    a, b = np.array([np.nan, 1.0]), np.array([1.0, np.nan])
    for name in ("minimum", "maximum"):
        y = Function(lambda e, x, z, name=name: getattr(e, name)(x, z), dtype, lanes, 2)(a, b)
        np.testing.assert_array_equal(y, b)


@shapes
def test_comparisons_are_those_of_ieee(dtype, lanes):
    a, b = (x.ravel() for x in np.meshgrid([1.0, 2, np.nan, np.inf, -0.0, 0.0], [1.0, 2, np.nan, np.inf, -0.0, 0.0]))
    theirs = {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}
    for op, expected in theirs.items():
        y = Function(lambda e, x, z, op=op: e.select(e.compare(op, x, z), e.const(1), e.const(0)), dtype, lanes, 2)(
            a, b
        )
        np.testing.assert_array_equal(y, expected, err_msg=op)


@shapes
def test_one_condition_may_choose_a_whole_vector(dtype, lanes):
    a = np.arange(3.0 * lanes)
    program = Function(lambda e, x: e.select(e.all(e.compare(">=", x, e.const(lanes))), x, e.b.fneg(x)), dtype, lanes)
    np.testing.assert_array_equal(program(a), np.where(a < lanes, -a, a))


@shapes
def test_memory(dtype, lanes):
    def body(e, array, n):
        e.store(e.broadcast(e.load_scalar(e.at(array, n, 1))), e.at(array, n, 2, n))
        e.store_scalar(e.number(7), e.at(array))

    a = np.arange(40, dtype=dtype)
    Program(body, dtype, lanes, 1)(a, 3)
    expected = np.arange(40, dtype=dtype)
    expected[8 : 8 + lanes], expected[0] = 4, 7
    np.testing.assert_array_equal(a, expected)


@given(st.integers(-5, 20), st.integers(-5, 20), st.integers(1, 7))
def test_a_loop_is_a_range(start, stop, step):
    last, total = LOOP.run_range(start, stop, step)
    visited = range(start, stop, step)
    assert total == sum(visited)
    assert last == start + step * len(visited)


class _Loop(Program):
    def __init__(self):
        def body(e, array, start, stop, step):
            last, (total,) = e.loop(stop, lambda i, c: [e.b.add(c[0], i)], start=start, step=step, carry=[e.i64(0)])
            e.store_scalar(e.b.sitofp(last, e.scalar), array)
            return total

        super().__init__(body, lanes=1, numbers=3)

    def run_range(self, start, stop, step):
        last = np.zeros(1)
        total = self(last, start, stop, step)
        return int(last[0]), total


LOOP = _Loop()


def test_loops_nest_and_carry_vectors():
    def body(e, array, n):
        def outer(i, carried):
            return e.loop(i, lambda j, c: [e.b.fadd(c[0], e.load(e.at(array, e.b.mul(j, I64(4)))))], carry=carried)[1]

        e.store(e.loop(n, outer, carry=[e.const(0)])[1][0], array)

    a = np.arange(20.0)
    expected = sum((a.reshape(5, 4)[:i].sum(0) for i in range(5)), np.zeros(4))
    Program(body, numbers=1)(a, 5)
    np.testing.assert_array_equal(a[:4], expected)


def test_when():
    def body(e, array, n):
        e.when(e.b.icmp_signed(">", n, I64(2)), lambda: e.store_scalar(e.number(1), e.at(array, n)))

    a, program = np.zeros(5), Program(body, numbers=1)
    for n in range(5):
        program(a, n)
    np.testing.assert_array_equal(a, [0, 0, 0, 1, 1])


def test_a_barrier_counts_only_where_there_are_others():
    def body(e, array, threads):
        counter = e.b.bitcast(array, I64.as_pointer())
        e.barrier(counter, threads, 1)
        return e.b.load(counter, typ=I64)

    program = Program(body, numbers=1)
    assert program(np.zeros(1), 1) == 0
    assert program(np.zeros(1), 2) == 1


def test_splat_constants_are_the_written_out_ones():
    for dtype, v in (
        ("float32", 0.1),
        ("float32", np.inf),
        ("float64", 1e-310),
        ("float64", -np.inf),
        ("float32", np.nan),
    ):
        y = Function(lambda e, x, v=v: e.const(v), dtype, 4)(np.zeros(4))
        np.testing.assert_array_equal(y, np.full(4, v, dtype))
