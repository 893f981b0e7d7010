"""The kernels as a function that torch can differentiate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from celda.engines.call import Call, Engine, Result
from celda.engines.derivatives import Upstream, again, batched, refilled, without_tensors
from celda.engines.gpu.passes import Passed, forward, sweep


class Sweep(torch.autograd.Function):
    """apply(call, reference, *inputs, *states, *weights) -> output, final states, traced values; see `Call` for shapes.

    `call` holds the same tensors. A gradient that shall itself be differentiated is taken through `reference`.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, reference: Engine, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the kernels, keeping what a gradient needs."""
        passed = forward(call, _wanted(call, ctx.needs_input_grad[2:]), True)
        output = _alone(passed.output)
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
            passed = forward(replace(call, keep=()), _wanted(call, wants), True)
        return (None, None, *_gradients(passed, call, wants, upstream))


def run(call: Call, reference: Engine) -> Result:
    """The outputs and states of `call`, by Triton's kernels.

    `reference` is the engine that second derivatives are taken through.
    """
    tensors = (*call.inputs.values(), *call.states, *call.weights.values())
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        output, *rest = Sweep.apply(call, reference, *tensors)
        final, shown = rest[: len(call.states)], rest[len(call.states) :]
        return Result(output, tuple(final), dict(zip(call.keep, shown, strict=True)))
    passed = forward(call, frozenset(), False)
    return Result(passed.output, passed.final, {name: passed.shown(call.cell.named[name]) for name in call.keep})


def _alone(tensor: Tensor) -> Tensor:
    """The same memory as a tensor that is no view of another, so that a caller may change it in place."""
    place = tensor.untyped_storage(), tensor.storage_offset()
    found: Tensor = tensor.new_empty(0).set_(*place, tensor.shape)  # type: ignore[call-overload]
    return found


def _names(call: Call) -> list[str | None]:
    return [*call.inputs, *(None for _ in call.states), *call.weights]


def _wanted(call: Call, wants: Sequence[bool]) -> frozenset[str]:
    return frozenset(name for name, want in zip(_names(call), wants, strict=True) if want and name is not None)


def _gradients(passed: Passed, call: Call, wants: Sequence[bool], upstream: Upstream) -> list[Tensor | None]:
    """The gradients of inputs, states and weights; None: zero, or not wanted."""
    plan, h = passed.plan, passed.rows.hidden
    swept = sweep(passed, call, upstream)
    told = swept.adjoint if plan.told == plan.maps else swept.adjoint[:, :, [plan.maps.index(m) for m in plan.told]]
    rest = swept.adjoint[:, :, [plan.maps.index(m) for m in plan.rest]]
    d_rest = rest.sum((0, 1), dtype=torch.float32).to(rest.dtype)
    found = swept.found | passed.ahead.gradients(told, d_rest)
    rows = swept.adjoint.view(-1, len(plan.maps) * h)
    wanted = _wanted(call, wants)
    for q, block, m, count in plan.program.products:
        if plan.program.is_given(q.operand) or q.weight not in wanted:
            continue
        part = rows[:, m * h : (m + count) * h].t() @ passed.value(q.operand).flatten(0, 1)
        whole = found.setdefault(q.weight, torch.zeros_like(call.weights[q.weight]))
        whole[block * h : (block + count) * h] += part
    return [*map(found.get, call.inputs), *swept.states, *map(found.get, call.weights)]
