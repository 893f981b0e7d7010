"""The kernels as a function that torch can differentiate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from celda.engines.call import Call, Engine
from celda.engines.cpu.given import through
from celda.engines.cpu.passes import Passed, Wanted, forward, sweep
from celda.engines.derivatives import Upstream, again, batched, refilled, without_tensors


class Fused(torch.autograd.Function):
    """apply(call, reference, *inputs, *states, *weights) -> output, final states, traced values; see `Call` for shapes.

    `call` holds the same tensors. A gradient that shall itself be differentiated is taken through `reference`.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, reference: Engine, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the kernel, keeping what a gradient needs."""
        passed = forward(call, any(ctx.needs_input_grad))
        output = passed.layout.output(passed.output)
        ctx.save_for_backward(*tensors, call.lengths, call.resets, output)
        # What is returned holds on to this object: kept here, they would hold each other for ever.
        ctx.shell, ctx.reference, ctx.passed = without_tensors(call), reference, replace(passed, final=())
        shown = {name: passed.shown(call.cell.named[name]) for name in call.keep}
        ctx.mark_non_differentiable(*(value for name, value in shown.items() if name not in call.cell.states))
        ctx.set_materialize_grads(False)
        return output, *passed.final, *shown.values()

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, *d_rest: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of every tensor that wants one."""
        *tensors, lengths, resets, _ = ctx.saved_tensors  # torch says where one was changed in place since
        call, wants = replace(refilled(ctx.shell, tensors), lengths=lengths, resets=resets), ctx.needs_input_grad[2:]
        count = len(call.states)
        kept = {name: d for name, d in zip(call.keep, d_rest[count:], strict=True) if d is not None}
        upstream = Upstream(d_output, d_rest[:count], kept)
        if torch.is_grad_enabled() or batched(d_output, *d_rest):
            return (None, None, *again(call, ctx.reference, wants, upstream))
        passed, ctx.passed = ctx.passed, None
        if passed is None:  # a second time through the same graph
            passed = forward(replace(call, keep=()), True)
        return (None, None, *gradients(passed, call, wants, upstream))


def gradients(passed: Passed, call: Call, wants: Sequence[bool], upstream: Upstream) -> list[Tensor | None]:
    """The gradients of inputs, states and weights, those that `wants` says at least; None: zero."""
    names = (*call.inputs, *(None for _ in call.states), *call.weights)
    asked = frozenset(name for name, want in zip(names, wants, strict=True) if want and name is not None)
    states = any(wants[len(call.inputs) : len(call.inputs) + len(call.states)])
    wanted = Wanted(asked & call.inputs.keys(), asked & call.weights.keys(), states)
    d_given, d_states, found = sweep(passed, call, upstream, wanted)
    found |= through(passed.program, call, passed.layout, d_given)
    return [*map(found.get, call.inputs), *d_states, *map(found.get, call.weights)]
