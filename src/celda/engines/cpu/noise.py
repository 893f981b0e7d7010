"""Random masks by machine code: see `celda.engines.noise`."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from llvmlite import ir
from torch import Tensor

from celda.engines.cpu import cache as disk
from celda.engines.cpu import jit, machine, threads
from celda.engines.cpu.emit import I64, Emit, Value
from celda.engines.cpu.shield import shielded
from celda.engines.noise import GAMMA, LAST, MIX, PIECES, signed

ALONE = 2**16  # elements up to which waking a second thread costs more than it brings


@shielded
def pieces(seed: int, count: int, below: int) -> Tensor:
    """Whether each of the first `count` quarters of SplitMix64's numbers, as a signed one, is below; bool, (count,)."""
    block = PIECES * _lanes()
    blocks = -(-count // block)
    found = torch.empty(blocks * block, dtype=torch.bool)
    arguments = (ctypes.c_int64 * 4)(seed, below, blocks, found.data_ptr())
    slots = torch.get_num_threads() if count > ALONE else 1
    code = _code()  # held: of two threads that compile it at once, one has it alone
    threads.run(code.address("noise"), ctypes.addressof(arguments), slots)
    return found[:count]


def _lanes() -> int:
    return machine.host().lanes("float64")


@cache
def _code() -> jit.Compiled:
    return disk.load("noise", module, ["noise"])


def module() -> ir.Module:
    """`noise(slot, slots, arguments, counters)` with the arguments seed, bound, number of blocks, where they go: blocks
    of one vector of numbers, of which each slot does a range."""
    m, lanes = ir.Module("noise"), _lanes()
    f = ir.Function(m, threads.KERNEL, "noise")
    slot, slots, arguments, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, m, "float64", lanes)
    seed, below, blocks, there = (b.load(e.at(arguments, k)) for k in range(4))
    small, byte = ir.IntType(16), ir.IntType(8)
    halves = ir.VectorType(small, PIECES * lanes)
    limit = e.broadcast(b.trunc(below, small), PIECES * lanes)
    steps = b.mul(ir.Constant(e.ivector, list(range(1, lanes + 1))), e.iconst(signed(GAMMA)))
    out = b.inttoptr(there, ir.PointerType())

    def mixed(z: Value, shift: int) -> Value:
        return b.xor(z, b.lshr(z, e.iconst(shift)))

    def block(k: Value, _: object) -> None:
        first = b.add(seed, b.mul(b.mul(k, I64(lanes)), I64(signed(GAMMA))))
        z = b.add(e.broadcast(first), steps)
        for shift, factor in MIX:
            z = b.mul(mixed(z, shift), e.iconst(signed(factor)))
        found = b.icmp_signed("<", b.bitcast(mixed(z, LAST), halves), limit)
        place = b.gep(out, [b.mul(k, I64(PIECES * lanes))], source_etype=byte)
        b.store(b.zext(found, ir.VectorType(byte, PIECES * lanes)), place, align=1)

    end = b.udiv(b.mul(b.add(slot, I64(1)), blocks), slots)
    e.loop(end, block, start=b.udiv(b.mul(slot, blocks), slots))
    b.ret_void()
    return m
