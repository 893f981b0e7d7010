"""Which steps of the input an output stands on: integrated gradients (Sundararajan, Taly & Yan 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from celda.checks import whole_number
from celda.errors import CeldaError


@dataclass(frozen=True)
class Attribution:
    """`values`: of the input's shape; what each number of it adds to the output, beside the baseline's.

    `output`, `baseline` (B,): what the function gives for the input and for the baseline. Their difference is what the
    values of a sequence sum up to (the paper's axiom of completeness), but for `gap`.
    """

    values: Tensor
    output: Tensor
    baseline: Tensor

    @property
    def gap(self) -> float:
        """The largest error of completeness, as a part of the largest difference from the baseline."""
        difference = self.output - self.baseline
        summed = self.values.flatten(1).sum(1)
        return float((summed - difference).abs().max() / difference.abs().max().clamp(min=1e-12))


def integrated_gradients(
    function: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor | float = 0.0, *, points: int = 32
) -> Attribution:
    """What each number of an input adds to an output, along the straight line from a baseline.

    The integral over the gradient is Gauss and Legendre's sum, which for a smooth function is right to many digits at
    32 points; where the function has kinks, as with `relu`, give more and look at `gap`.

    Args:
        function: from (B, ...) to (B,), each output of its own sequence; in evaluation, so that nothing is drawn.
        x: (B, ...) of floating point. baseline: of the same shape, or one number: an input that says nothing.
        points: at how many points of the line the gradient is taken.

    Raises:
        CeldaError: `x` or `baseline` is no such tensor, the function gives something else or has no gradient, or the
            numbers are not finite.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        told = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise CeldaError(f"The input is {told}: give a tensor of floating point, (batch, steps, ...).")
    if not torch.isfinite(x).all():
        raise CeldaError("The input holds NaN or infinity, along which there is no line: fill or leave out these.")
    if whole_number(points) is None:
        raise CeldaError(f"points={points!r} is no number of points: write a whole number of at least 1.")
    if not len(x):
        raise CeldaError("The input holds no sequence: give one or more.")
    start = _baseline(baseline, x)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    total = torch.zeros_like(x)
    with torch.enable_grad():
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            at = (start + float(node) * (x - start)).detach().requires_grad_()
            output = _checked(function(at), x)
            (gradient,) = torch.autograd.grad(output.sum(), at, allow_unused=True) if output.requires_grad else (None,)
            if gradient is None:
                raise CeldaError(
                    "The output has no gradient with respect to the input: let the function use its argument, in "
                    "torch's operations, and without torch.no_grad, detach or numpy."
                )
            total += float(weight) * gradient
    with torch.no_grad():
        output, before = _checked(function(x), x), _checked(function(start.contiguous()), x)
    return Attribution(total * (x - start), output, before)


def _baseline(given: Any, x: Tensor) -> Tensor:
    """The baseline as a tensor like the input."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number and not (isinstance(given, Tensor) and given.shape == x.shape):
        told = f"of shape {tuple(given.shape)}" if isinstance(given, Tensor) else repr(given)
        raise CeldaError(f"The baseline is {told}: give one number, or a tensor of the input's shape {tuple(x.shape)}.")
    start = torch.as_tensor(given, dtype=x.dtype, device=x.device).expand_as(x)
    if not torch.isfinite(start).all():
        raise CeldaError("The baseline holds NaN or infinity, from which there is no line: give finite numbers.")
    return start


def _checked(output: object, x: Tensor) -> Tensor:
    if not isinstance(output, Tensor):
        raise CeldaError(f"The function gives a {type(output).__name__}: let it give a tensor, one number a sequence.")
    if output.shape != x.shape[:1]:
        raise CeldaError(
            f"The function gives {tuple(output.shape)} for an input of {len(x)} sequences: let it give one number each."
        )
    if not torch.isfinite(output).all():
        raise CeldaError("The function gives NaN or infinity on the line from the baseline to the input: look for it.")
    return output
