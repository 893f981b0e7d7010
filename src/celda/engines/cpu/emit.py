"""A thin layer over llvmlite's IRBuilder: vectors of one width, loops that carry values, and a barrier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from llvmlite import ir

from celda.engines.cpu import machine

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_FLUSH_TO_ZERO = 0x8000  # of MXCSR, x86's control word
SPINS = 200  # some ten microseconds: about as long as threads in step wait for one another

_HALF = ir.IntType(16)

Value: TypeAlias = ir.Value


class _BFloat(ir.Type):
    """The 16-bit half of a float32, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


class Emit:
    """Emits the code of one function: `dtype` is "float32" or "float64", a vector has `lanes` elements of it.

    Values are LLVM's; an offset, a bound or a count may be a Python int wherever an i64 is meant. Sums, products and
    comparisons that need no help are taken from `b`, the builder.
    """

    def __init__(self, builder: ir.IRBuilder, module: ir.Module, dtype: str, lanes: int):
        self.b, self.module, self.dtype, self.lanes = builder, module, dtype, lanes
        self.bytes = 4 if dtype == "float32" else 8
        self.scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.integer = I32 if dtype == "float32" else I64  # as wide as an element
        self.vector = ir.VectorType(self.scalar, lanes)
        self.ivector = ir.VectorType(self.integer, lanes)
        self.pointer = self.scalar.as_pointer()

    # constants

    def const(self, v: float) -> Value:
        """A vector with `v` in every lane."""
        return _Splat(self.vector, float(v))

    def iconst(self, v: int) -> Value:
        """A vector of integers as wide as the elements, with `v` in every lane."""
        return _Splat(self.ivector, v)

    def number(self, v: float) -> Value:
        """One element."""
        return ir.Constant(self.scalar, float(v))

    def i64(self, v: int | Value) -> Value:
        """`v` as an i64; a value passes through."""
        return ir.Constant(I64, v) if isinstance(v, int) else v

    # modes

    def flushing(self, body: Callable[[], object]) -> None:
        """Emit `body`, which calls functions, to give 0 where a result is too small for a full mantissa (below 1.2e-38
        in float32), if such numbers are slow: x86 takes over a hundred cycles for an instruction that meets one."""
        if not machine.X86:
            body()
            return
        old, new = self.b.alloca(I32), self.b.alloca(I32)
        self.call("llvm.x86.sse.stmxcsr", ir.VoidType(), old)
        self.b.store(self.b.or_(self.b.load(old), I32(_FLUSH_TO_ZERO)), new)
        self.call("llvm.x86.sse.ldmxcsr", ir.VoidType(), new)
        body()
        self.call("llvm.x86.sse.ldmxcsr", ir.VoidType(), old)

    # arithmetic on vectors, and on scalars alike

    def intrinsic(self, name: str, *args: Value) -> Value:
        """LLVM's intrinsic `llvm.{name}` for the type of the first argument, which is also that of the result."""
        kind = args[0].type
        suffix = (
            f"v{kind.count}{kind.element.intrinsic_name}" if isinstance(kind, ir.VectorType) else kind.intrinsic_name
        )
        return self.call(f"llvm.{name}.{suffix}", kind, *args)

    def call(self, name: str, result: ir.Type, *args: Value) -> Value:
        """Call the function `name` from outside the module, or an intrinsic by its full name."""
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(result, [a.type for a in args]), name)
        return self.b.call(function, args)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        return self.intrinsic("fma", a, b, c)

    def dot(self, a: Value, b: Value, c: Value) -> Value:
        """c, and in each lane the products of the two bfloat16 that a and b hold there; see `paired`."""
        pairs = [self.b.bitcast(value, ir.VectorType(_BFloat(), 2 * self.lanes)) for value in (a, b)]
        return self.call("llvm.x86.avx512bf16.dpbf16ps.512", self.vector, c, *pairs)

    def rounded(self, a: Value) -> Value:
        """A vector of float32 as bfloat16, half as long."""
        return self.b.fptrunc(a, ir.VectorType(_BFloat(), a.type.count))

    def paired(self, first: Value, second: Value) -> Value:
        """Two vectors as bfloat16 in one: a lane holds a pair, that of the first in its lower half."""
        count, half = first.type.count, _Splat(ir.VectorType(I32, first.type.count), 16)
        bits = [self.b.bitcast(self.rounded(a), ir.VectorType(_HALF, count)) for a in (first, second)]
        low, high = (self.b.zext(value, half.type) for value in bits)
        return self.b.bitcast(self.b.or_(low, self.b.shl(high, half)), first.type)

    def minimum(self, a: Value, b: Value) -> Value:
        """a where a < b, else b, and so `b` where either is NaN: one instruction."""
        return self.b.select(self.b.fcmp_ordered("<", a, b), a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        """a where a > b, else b, and so `b` where either is NaN: one instruction."""
        return self.b.select(self.b.fcmp_ordered(">", a, b), a, b)

    def floor(self, a: Value) -> Value:
        """The next whole number at or below."""
        return self.intrinsic("floor", a)

    def rint(self, a: Value) -> Value:
        """The nearest whole number, ties to even."""
        return self.intrinsic("nearbyint", a)

    def trunc(self, a: Value) -> Value:
        """The next whole number towards 0."""
        return self.intrinsic("trunc", a)

    def abs(self, a: Value) -> Value:
        """The absolute value."""
        return self.intrinsic("fabs", a)

    def sqrt(self, a: Value) -> Value:
        """The square root, rounded correctly."""
        return self.intrinsic("sqrt", a)

    def copysign(self, magnitude: Value, sign: Value) -> Value:
        """`magnitude` with the sign of `sign`."""
        return self.intrinsic("copysign", magnitude, sign)

    def compare(self, op: str, a: Value, b: Value) -> Value:
        """An i1 a lane. `op` is one of < <= > >= == !=; with NaN only != holds."""
        return self.b.fcmp_unordered(op, a, b) if op == "!=" else self.b.fcmp_ordered(op, a, b)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """`a` where the condition holds, else `b`; the condition is an i1, or one a lane."""
        return self.b.select(condition, a, b)

    def all(self, condition: Value) -> Value:
        """Whether the condition holds in every lane: an i1."""
        return self.call(f"llvm.vector.reduce.and.v{condition.type.count}i1", I1, condition)

    def total(self, vector: Value) -> Value:
        """The sum of all lanes."""
        name = f"llvm.vector.reduce.fadd.v{self.lanes}{self.scalar.intrinsic_name}"
        kinds = ir.FunctionType(self.scalar, [self.scalar, self.vector])
        function = self.module.globals.get(name) or ir.Function(self.module, kinds, name)
        return self.b.call(function, [self.number(0.0), vector], fastmath=("reassoc",))

    def broadcast(self, scalar: Value, lanes: int | None = None) -> Value:
        """A vector with `scalar`, of any type, in every lane; of other than the usual lanes if asked for."""
        lanes = lanes or self.lanes
        empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
        one = self.b.insert_element(empty, scalar, I32(0))
        return self.b.shuffle_vector(one, empty, ir.Constant(ir.VectorType(I32, lanes), None))

    # memory

    def at(self, base: Value, *offsets: int | Value) -> Value:
        """The pointer that many elements after `base`: the sum of the offsets."""
        known = sum(o for o in offsets if isinstance(o, int))
        total: Value | None = None
        for o in offsets:
            if not isinstance(o, int):
                total = o if total is None else self.b.add(total, o)
        if total is None:
            return self._step(base, ir.Constant(I64, known)) if known else base
        base = self._step(base, total)
        return self._step(base, ir.Constant(I64, known)) if known else base

    def _step(self, base: Value, offset: Value) -> Value:
        return self.b.gep(base, [offset], source_etype=self.scalar if base.type.is_opaque else None)

    def load(self, pointer: Value) -> Value:
        """The vector at `pointer`, which need not be aligned to more than an element."""
        return self.b.load(pointer, align=self.bytes, typ=self.vector)

    def store(self, value: Value, pointer: Value) -> None:
        """Store a vector at `pointer`, which need not be aligned to more than an element."""
        self.b.store(value, self.b.bitcast(pointer, value.type.as_pointer()), align=self.bytes)

    def store_rounded(self, value: Value, base: Value, offset: Value) -> None:
        """Store a vector as bfloat16, `offset` of these after `base`."""
        new, base = self.rounded(value), self.b.bitcast(base, _HALF.as_pointer())
        pointer = self.b.gep(base, [offset], source_etype=_HALF if base.type.is_opaque else None)
        self.b.store(new, self.b.bitcast(pointer, new.type.as_pointer()), align=2)

    def load_scalar(self, pointer: Value) -> Value:
        """The element at `pointer`."""
        return self.b.load(pointer, align=self.bytes, typ=self.scalar)

    def store_scalar(self, value: Value, pointer: Value) -> None:
        """Store one element at `pointer`."""
        self.b.store(value, pointer, align=self.bytes)

    # control

    def loop(
        self,
        stop: int | Value,
        body: Callable[[Value, Sequence[Value]], Sequence[Value] | None],
        start: int | Value = 0,
        step: int | Value = 1,
        carry: Sequence[Value] = (),
    ) -> tuple[Value, Sequence[Value]]:
        """for i in range(start, stop, step): carry = body(i, carry). Returns the first i past the end, and carry."""
        b, before = self.b, self.b.block
        head, inner, after = (b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(self.i64(start), before)
        carried = [b.phi(c.type) for c in carry]
        for phi, c in zip(carried, carry, strict=True):
            phi.add_incoming(c, before)
        b.cbranch(b.icmp_signed("<", i, self.i64(stop)), inner, after)
        b.position_at_end(inner)
        values = body(i, carried) or ()
        i.add_incoming(b.add(i, self.i64(step), flags=("nsw",)), b.block)
        for phi, v in zip(carried, values, strict=True):
            phi.add_incoming(v, b.block)
        b.branch(head)
        b.position_at_end(after)
        return i, carried

    def when(self, condition: Value, then: Callable[[], object]) -> None:
        """if condition: then()."""
        with self.b.if_then(condition):
            then()

    def spin(self, done: Callable[[Value], Value]) -> None:
        """Wait until `done(tries)`, an i1 that is computed anew at every try, holds.

        Who waits long gives the processor away at every try, so that a machine with more threads than processors
        goes on.
        """
        b, before = self.b, self.b.block
        look, wait, give, after = (b.append_basic_block() for _ in range(4))
        b.branch(look)
        b.position_at_end(look)
        tries = b.phi(I64)
        tries.add_incoming(I64(0), before)
        holds = done(tries)
        b.cbranch(holds, after, wait)
        b.position_at_end(wait)
        b.asm(ir.FunctionType(ir.VoidType(), []), machine.host().pause, "", [], True)
        more = b.add(tries, I64(1))
        tries.add_incoming(more, wait)
        b.cbranch(b.icmp_signed("<", tries, I64(SPINS)), look, give)
        b.position_at_end(give)
        self.call("sched_yield", I32)
        tries.add_incoming(more, give)
        b.branch(look)
        b.position_at_end(after)

    def barrier(self, counter: Value, threads: int | Value, goal: int | Value) -> None:
        """Wait until `goal` arrivals are counted at `counter`, an i64*; nothing when threads == 1.

        The n-th barrier of a kernel has the goal n * threads, so the counter is never set back. What a thread wrote
        before it, every thread sees after it.
        """
        b = self.b
        with b.if_then(b.icmp_signed(">", self.i64(threads), I64(1))):
            b.atomic_rmw("add", counter, I64(1), "acq_rel")
            self.spin(lambda _: b.icmp_signed(">=", b.load_atomic(counter, "acquire", 8, typ=I64), self.i64(goal)))


class _Splat(ir.Constant):
    """A vector of equal elements, in the short form: written out, they would be most of what LLVM has to read."""

    def __init__(self, kind: ir.VectorType, v: float):
        self.type, self.constant = kind, ir.Constant(kind.element, v)

    def _get_reference(self) -> str:
        return f"splat ({self.constant})"
