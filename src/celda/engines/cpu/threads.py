"""A kernel on several of torch's threads at once, without Python in any of them.

A kernel with barriers needs its slots to run side by side: one that waits for a slot which is not running waits for
ever. `torch_parallel_for` promises no such thing. It hands out the range 0..slots in pieces, and gives several slots to
one thread where there are fewer threads than asked for: inside another parallel region, after `torch.set_num_threads`,
where the pool is taken by others. So nobody is given a slot before the team is known:

1. A thread that comes in adds itself, and the length of its piece of the range, to the state of the call, in one atomic
   step; it is refused where the team is closed, and then returns at once.
2. It waits until the team is closed, or the pieces that came in make up the whole range.
3. The first to come in waits so long only; then it closes the team with those who are there.

Either event fixes the state for good: after a closing every change is refused, and after the whole range has come in
nobody is left to come. So all members read the same count, each runs the kernel for one slot of that many, and all of
them are running. None waits in step 2 for ever, as the first member's patience ends. None waits in a barrier for ever, as
every one of the others is in the same kernel and waits for nobody outside. This holds whoever calls whom, and rests on
no promise but this: the function given to `torch_parallel_for` is called for all pieces before it returns.

After a fork the child has none of the threads which its copy of the OpenMP runtime believes in: it runs alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from llvmlite import ir

from celda.engines.cpu import jit
from celda.engines.cpu.emit import I64, Emit, Value

COUNTERS = 8  # counters for barriers a kernel is given
LINE = 8  # i64 in a cache line: the counters lie that far apart

PATIENCE = 20_000  # tries of the first member, most of them yielding: tens of milliseconds
_CLOSED = 1 << 31
_MEMBERS = _CLOSED - 1
_RANGE = 32  # the state is members | closed | length of the range that came in, from this bit on

_POINTER = ir.PointerType()
KERNEL = ir.FunctionType(ir.VoidType(), [I64, I64, _POINTER, I64.as_pointer()])
_PIECE = ir.FunctionType(ir.VoidType(), [I64, I64, _POINTER])
_PARALLEL_FOR = ir.FunctionType(ir.VoidType(), [I64, I64, I64, _POINTER, _POINTER])
_CALL = ir.LiteralStructType([ir.ArrayType(I64, COUNTERS * LINE), ir.ArrayType(I64, LINE), I64, _POINTER, _POINTER])


def run(kernel: int, arguments: int, slots: int) -> None:
    """Run the kernel at the address `kernel` on up to `slots` of torch's threads, and return when it has ended.

    The kernel is `void kernel(i64 slot, i64 slots, void *arguments, i64 *counters)`, of which it may leave the last
    out. It is called for every slot from 0 to slots - 1, all at the same time; `slots` there is how many these are: at
    least 1, at most what was asked for here, and less where fewer threads can be had. `counters` are COUNTERS zeros, LINE
    elements apart, made anew for this call. `arguments` is the address handed through.
    """
    _runner()(_parallel_for(), kernel, arguments, 1 if _forked else slots)


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


@cache
def _parallel_for() -> int:
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
    return ctypes.cast(library.torch_parallel_for, ctypes.c_void_p).value or 0


@cache
def _runner() -> Callable[[int, int, int, int], None]:
    code = jit.compile(_module(), ["run"])
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    run = function(code.address("run"))
    run.code = code  # lives as long
    return run


def _module() -> ir.Module:
    module = ir.Module("threads")
    piece = _piece(module)
    start = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _POINTER, I64])
    f = ir.Function(module, start, "run")
    parallel_for, kernel, arguments, slots = f.args
    b = ir.IRBuilder(f.append_basic_block())
    call = b.alloca(_CALL)
    call.align = 8 * LINE
    b.store(ir.Constant(_CALL, None), call)
    for field, v in zip((2, 3, 4), (slots, kernel, arguments), strict=True):
        b.store(v, _field(b, call, field))
    with b.if_else(b.icmp_signed(">", slots, I64(1))) as (several, alone):
        with several:
            _call(b, _PARALLEL_FOR, parallel_for, I64(0), slots, I64(1), piece, call)
        with alone:
            _call(b, KERNEL, kernel, I64(0), I64(1), arguments, _field(b, call, 0))
    b.ret_void()
    return module


def _piece(module: ir.Module) -> ir.Function:
    """What torch calls: for the pieces from `first` to `last` of the range, as one member of the team."""
    f = ir.Function(module, _PIECE, "piece")
    f.linkage = "internal"
    first, last, call = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, module, "float32", 1)
    counters, state, slots, kernel, arguments = (_field(b, call, k) for k in range(5))
    slots = b.load(slots, typ=I64)

    refused = f.append_basic_block()
    ask, enter, joined = (f.append_basic_block() for _ in range(3))
    b.branch(ask)
    b.position_at_end(ask)
    found = b.load_atomic(state, "acquire", 8, typ=I64)
    b.cbranch(_holds(b, found, _CLOSED), refused, enter)
    b.position_at_end(refused)
    b.ret_void()
    b.position_at_end(enter)
    mine = b.add(b.shl(b.sub(last, first), I64(_RANGE)), I64(1))
    swapped = b.cmpxchg(state, found, b.add(found, mine), "acq_rel", "acquire")
    b.cbranch(b.extract_value(swapped, 1), joined, ask)

    b.position_at_end(joined)
    ticket = b.and_(found, I64(_MEMBERS))

    def known(tries: Value) -> Value:
        now = b.load_atomic(state, "acquire", 8, typ=I64)
        impatient = b.and_(b.icmp_signed("==", ticket, I64(0)), b.icmp_signed(">", tries, I64(PATIENCE)))
        e.when(impatient, lambda: b.cmpxchg(state, now, b.or_(now, I64(_CLOSED)), "acq_rel", "acquire"))
        return b.or_(_holds(b, now, _CLOSED), b.icmp_signed("==", b.lshr(now, I64(_RANGE)), slots))

    e.spin(known)
    members = b.and_(b.load_atomic(state, "acquire", 8, typ=I64), I64(_MEMBERS))
    # the same thread has the same slot in every call where it can: its part of the weights may still be in its cache
    slot = b.select(b.icmp_signed("==", members, slots), first, ticket)
    _call(b, KERNEL, b.load(kernel, typ=_POINTER), slot, members, b.load(arguments, typ=_POINTER), counters)
    b.ret_void()
    return f


def _field(b: ir.IRBuilder, call: Value, k: int) -> Value:
    return b.gep(call, [ir.IntType(32)(0), ir.IntType(32)(k)], source_etype=_CALL)


def _holds(b: ir.IRBuilder, state: Value, bit: int) -> Value:
    return b.icmp_signed("!=", b.and_(state, I64(bit)), I64(0))


def _call(b: ir.IRBuilder, kind: ir.FunctionType, function: Value, *args: Value) -> None:
    b.call(b.bitcast(function, kind.as_pointer()), args)
