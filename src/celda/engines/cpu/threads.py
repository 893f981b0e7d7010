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
them are running. None waits in step 2 for ever, as the first member's patience ends. None waits in a barrier for ever,
as every one of the others is in the same kernel and waits for nobody outside. This holds whoever calls whom, and rests
on no promise but this: the function given to `torch_parallel_for` is called once for every piece of the range before
it returns.

After a fork the child has none of the threads which its copy of the OpenMP runtime believes in: it runs alone.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from llvmlite import ir

from celda.engines import forks
from celda.engines.cpu import cache
from celda.engines.cpu.emit import I64, Emit, Value

COUNTERS = 8  # counters for barriers a kernel is given
LINE = 8  # i64 in a cache line: the counters lie that far apart

PATIENCE = 20_000  # tries of the first member, nearly all of them yielding: about ten milliseconds
_CLOSED = 1 << 31
_MEMBERS = _CLOSED - 1
_RANGE = 32  # the state is members | closed | length of the range that came in, from this bit on

_WORDS = I64.as_pointer()
KERNEL = ir.FunctionType(ir.VoidType(), [I64, I64, _WORDS, _WORDS])
_PIECE = ir.FunctionType(ir.VoidType(), [I64, I64, _WORDS])
_PARALLEL_FOR = ir.FunctionType(ir.VoidType(), [I64, I64, I64, _PIECE.as_pointer(), _WORDS])

# a call in memory, in i64: the counters, the state in a line of its own, and what stays as it is
_STATE = COUNTERS * LINE
_SLOTS, _KERNEL, _ARGUMENTS, _SIZE = _STATE + LINE, _STATE + LINE + 1, _STATE + LINE + 2, _STATE + 2 * LINE


def run(kernel: int, arguments: int, slots: int) -> None:
    """Run the kernel at the address `kernel` on up to `slots` of torch's threads, and return when it has ended.

    The kernel is `void kernel(i64 slot, i64 slots, void *arguments, i64 *counters)`, of which it may leave the last
    out. It is called for every slot from 0 to slots - 1, all at the same time; `slots` there is how many these are: at
    least 1, at most what was asked for here, and less where fewer threads can be had. `counters` are COUNTERS zeros,
    LINE elements apart, made anew for this call. `arguments` is the address handed through.
    """
    _runner()(_parallel_for(), kernel, arguments, 1 if forks.forked() else slots)


def bound(kernel: int, arguments: int, slots: int) -> Callable[[], None]:
    """`run` with these arguments, for many calls."""
    if slots > 1:
        return partial(run, kernel, arguments, slots)
    values = (ctypes.c_int64 * 4)(0, kernel, arguments, 1)  # each one that ctypes hands over takes it time
    again = partial(_runner().again, ctypes.addressof(values))
    again.values = values  # type: ignore[attr-defined]  # the one lives as long as the other
    return again


def script(words: int, count: int) -> None:
    """`run` for `count` kernels one after another, in one call.

    `words` is the address of what is said of each: its address, that of its arguments, its slots, how many words
    follow, and these, a place in the arguments, in bytes, and what is written there before, in turn.
    """
    _runner().script(_parallel_for(), words, count, int(forks.forked()))


@functools.cache
def _parallel_for() -> int:
    name = {"win32": "torch_cpu.dll", "darwin": "libtorch_cpu.dylib"}.get(sys.platform, "libtorch_cpu.so")
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / name))
    address = ctypes.cast(library.torch_parallel_for, ctypes.c_void_p).value
    assert address is not None  # ctypes would have raised
    return address


@functools.cache
def _runner() -> Any:
    code = cache.load("threads", _module, ["run", "again", "script"])
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)  # i64 all; ctypes converts addresses the fastest
    runner: Any = function(code.address("run"))
    runner.again = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("again"))
    runner.script = function(code.address("script"))
    runner.code = code  # the one lives as long as the other
    return runner


def _module() -> ir.Module:
    module = ir.Module("threads")
    piece = _piece(module)
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64, I64, I64, I64]), "run")
    parallel_for, kernel, arguments, slots = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, module, "float64", 1)
    memory = b.alloca(ir.ArrayType(I64, _SIZE))
    memory.align = 8 * LINE
    b.store(ir.Constant(ir.ArrayType(I64, _SIZE), None), memory)
    call = b.bitcast(memory, _WORDS)
    for k, v in ((_SLOTS, slots), (_KERNEL, kernel), (_ARGUMENTS, arguments)):
        b.store(v, e.at(call, k))
    with b.if_else(b.icmp_signed(">", slots, I64(1))) as (several, alone):
        with several:
            b.call(b.inttoptr(parallel_for, _PARALLEL_FOR.as_pointer()), [I64(0), slots, I64(1), piece, call])
        with alone:
            b.call(b.inttoptr(kernel, KERNEL.as_pointer()), [I64(0), I64(1), b.inttoptr(arguments, _WORDS), call])
    b.ret_void()
    again = ir.Function(module, ir.FunctionType(ir.VoidType(), [_WORDS]), "again")  # run(*values)
    b = ir.IRBuilder(again.append_basic_block())
    b.call(f, [b.load(b.gep(again.args[0], [I64(k)])) for k in range(4)])
    b.ret_void()
    _script(module, f)
    return module


def _script(module: ir.Module, run: ir.Function) -> None:
    """`script(parallel_for, words, how many kernels, alone)`; see there."""
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * 4), "script")
    parallel_for, first, count, alone = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, module, "float64", 1)
    words = b.inttoptr(first, _WORDS)

    def word(place: Value, further: int = 0) -> Value:
        return b.load(b.gep(words, [b.add(place, I64(further))]))

    def entry(_: Value, carried: Sequence[Value]) -> list[Value]:
        place = carried[0]
        kernel, arguments, slots, told = (word(place, k) for k in range(4))
        begin = b.add(place, I64(4))
        end = b.add(begin, told)

        def tell(k: Value, _: object) -> None:
            b.store(word(k, 1), b.inttoptr(b.add(arguments, word(k)), _WORDS))

        e.loop(end, tell, start=begin, step=2)
        b.call(run, [parallel_for, kernel, arguments, b.select(b.icmp_signed("!=", alone, I64(0)), I64(1), slots)])
        return [end]

    e.loop(count, entry, carry=[I64(0)])
    b.ret_void()


def _piece(module: ir.Module) -> ir.Function:
    """What torch calls: for the piece from `first` to `last` of the range, as one member of the team."""
    f = ir.Function(module, _PIECE, "piece")
    f.linkage = "internal"
    first, last, call = f.args
    start, ask, refused, enter, joined = (f.append_basic_block() for _ in range(5))
    b = ir.IRBuilder(start)
    e = Emit(b, module, "float64", 1)
    state = e.at(call, _STATE)
    slots, kernel, arguments = (b.load(e.at(call, k)) for k in (_SLOTS, _KERNEL, _ARGUMENTS))

    def closed(s: Value) -> Value:
        return b.icmp_signed("!=", b.and_(s, I64(_CLOSED)), I64(0))

    b.branch(ask)
    b.position_at_end(ask)
    found = b.load_atomic(state, "acquire", 8)
    b.cbranch(closed(found), refused, enter)
    b.position_at_end(refused)
    b.ret_void()
    b.position_at_end(enter)
    mine = b.add(b.shl(b.sub(last, first), I64(_RANGE)), I64(1))
    swapped = b.cmpxchg(state, found, b.add(found, mine), "acq_rel", "acquire")
    b.cbranch(b.extract_value(swapped, 1), joined, ask)
    b.position_at_end(joined)
    ticket = b.and_(found, I64(_MEMBERS))

    def known(tries: Value) -> Value:
        now = b.load_atomic(state, "acquire", 8)
        impatient = b.and_(b.icmp_signed("==", ticket, I64(0)), b.icmp_signed(">", tries, I64(PATIENCE)))
        e.when(impatient, lambda: b.cmpxchg(state, now, b.or_(now, I64(_CLOSED)), "acq_rel", "acquire"))
        return b.or_(closed(now), b.icmp_signed("==", b.lshr(now, I64(_RANGE)), slots))

    e.spin(known)
    members = b.and_(b.load_atomic(state, "acquire", 8), I64(_MEMBERS))
    # the same thread has the same slot in every call where it can: its part of the weights may still be in its cache
    slot = b.select(b.icmp_signed("==", members, slots), first, ticket)
    b.call(b.inttoptr(kernel, KERNEL.as_pointer()), [slot, members, b.inttoptr(arguments, _WORDS), call])
    b.ret_void()
    return f
