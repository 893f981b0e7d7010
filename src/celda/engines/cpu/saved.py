"""The two passes with all that goes from one to the other in a single tensor, whose size the sizes of a call decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import pool
from celda.engines.cpu.function import gradients
from celda.engines.cpu.given import by_unit, given
from celda.engines.cpu.kernels import forward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.passes import Passed, forward
from celda.engines.cpu.shield import shielded
from celda.engines.derivatives import Upstream
from celda.engines.program import ForwardProgram


def width(call: Call) -> int:
    """How many numbers are saved a step and sequence."""
    hidden = int(call.states[0].shape[1])
    lanes = shape_of(call.states[0].dtype, hidden).lanes
    program = _program(call)
    return (len(program.record) + len(program.operands)) * -(-hidden // lanes) * lanes


@shielded
def sequence(call: Call, training: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The output (T, B, H), the last states (states, B, H), what was kept (kept, T, B, H), and what a gradient needs.

    The last is (T * B * width,), also where sequences are shorter; empty unless `training`.
    """
    steps, batch, hidden = *call.inputs[call.cell.inputs[0]].shape[:2], call.states[0].shape[1]
    new = call.states[0].new_empty
    saved = pool.lasting((steps * batch * width(call),), call.states[0].dtype) if training else new(0)
    passed = forward(call, training, _parts(saved) if training else None)
    nodes = [call.cell.named[name] for name in call.keep]
    kept = torch.stack([passed.shown(node) for node in nodes]) if nodes else new(0, steps, batch, hidden)
    return passed.layout.output(passed.output), torch.stack(passed.final), kept, saved


@shielded
def sequence_backward(
    call: Call,
    output: Tensor,
    saved: Tensor,
    d_output: Tensor | None,
    d_states: Tensor | None,
    d_kept: Tensor | None,
    wants: Sequence[bool],
) -> list[Tensor]:
    """The gradients of those inputs, states and weights, in this order, that are wanted.

    Where nothing was saved of what is needed, the forward pass is run again.
    """
    complete = saved.numel() or not width(call)
    passed = _passed(call, output, saved) if complete else forward(replace(call, keep=()), True)
    tensors = (*call.inputs.values(), *call.states, *call.weights.values())
    upstream = Upstream.of(call, d_output, d_states, d_kept)
    found = zip(tensors, gradients(passed, call, wants, upstream), wants, strict=True)
    return [t.new_zeros(t.shape) if d is None else _own(d) for t, d, want in found if want]


def _program(call: Call) -> ForwardProgram:
    return forward_program(call.cell, tuple(call.cell.named[name] for name in call.keep), True)


def _parts(saved: Tensor) -> Callable[..., pool.Lease]:
    """Buffers cut off a tensor one by one."""
    used = 0

    def lease(size: Sequence[int], _: torch.dtype) -> pool.Lease:
        nonlocal used
        begin, used = used, used + prod(size)
        return pool.Lease(saved[begin:used].view(*size), None)

    return lease


def _passed(call: Call, output: Tensor, saved: Tensor) -> Passed:
    """What the forward pass left, from its output and what was saved."""
    lanes, program = shape_of(output.dtype, output.shape[2]).lanes, _program(call)
    layout, lease = Layout.of(call, lanes), _parts(saved)
    states = layout.initial(call.states)
    around, whole = layout.around(call.states[0])
    whole.copy_(output.flatten(0, 1))
    record = lease((layout.rows, len(program.record), layout.padded), output.dtype)
    operands = [lease((layout.rows, layout.padded), output.dtype) for _ in program.operands]
    read = given(program, call, layout), by_unit(program, call)
    return Passed(program, layout, *read, states, whole, (), around, record, operands)


def _own(gradient: Tensor) -> Tensor:
    """A gradient, contiguous, that shares its memory with no other."""
    alone = gradient.is_contiguous() and gradient.untyped_storage().nbytes() == gradient.nbytes
    return gradient if alone else gradient.clone(memory_format=torch.contiguous_format)
