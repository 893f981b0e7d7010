"""A call on the CPU engine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from celda.engines.call import Call, Engine, Result
from celda.engines.cpu import pool
from celda.engines.cpu.function import PASSES
from celda.engines.cpu.passes import forward
from celda.engines.derivatives import differentiable


def run(call: Call, reference: Engine) -> Result:
    """The outputs and states of `call`, by the fused kernels: float32 or float64 tensors on the CPU.

    `reference` is the engine that second derivatives are taken through.
    """
    if (result := differentiable(call, PASSES, reference)) is not None:
        return result
    passed = forward(call, False, _lasting if call.keep else None)
    kept = {name: passed.seen(call.cell.named[name]) for name in call.keep}
    return Result(passed.layout.output(passed.output), passed.final, kept)


def _lasting(size: Sequence[int], dtype: torch.dtype) -> pool.Lease:
    """Memory that the caller may look at for as long as they hold it: what a trace shows is not copied."""
    return pool.Lease(pool.lasting(size, dtype), None)
