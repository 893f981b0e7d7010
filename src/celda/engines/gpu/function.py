"""The two passes of Triton's kernels, as torch is given them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from celda.engines.call import Call, Engine, Result
from celda.engines.derivatives import Passes, Upstream, alone, differentiable
from celda.engines.gpu.passes import Passed, forward, sweep


def run(call: Call, reference: Engine) -> Result:
    """The outputs and states of `call`, by Triton's kernels.

    `reference` is the engine that second derivatives are taken through.
    """
    if (result := differentiable(call, PASSES, reference)) is not None:
        return result
    passed = forward(call, frozenset(), False)
    return Result(passed.output, passed.final, {name: passed.shown(call.cell.named[name]) for name in call.keep})


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
    rows = swept.adjoint.flatten(2).flatten(0, 1)
    wanted = _wanted(call, wants)
    for q, block, m, count in plan.program.products:
        if plan.program.is_given(q.operand) or q.weight not in wanted:
            continue
        part = rows[:, m * h : (m + count) * h].t() @ passed.value(q.operand).flatten(0, 1)
        whole = found.setdefault(q.weight, torch.zeros_like(call.weights[q.weight]))
        whole[block * h : (block + count) * h] += part
    return [*map(found.get, call.inputs), *swept.states, *map(found.get, call.weights)]


PASSES = Passes(
    forward=lambda call, wants: forward(call, _wanted(call, wants), True),
    output=lambda passed: alone(passed.output, passed.output.shape),
    gradients=_gradients,
)
