"""Which steps of the input an output stands on: integrated gradients (Sundararajan, Taly & Yan 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        CeldaError: `x` is no such tensor, the function gives another shape, or the numbers are not finite.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        told = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise CeldaError(f"The input is {told}: give a tensor of floating point, (batch, steps, ...).")
    if not torch.isfinite(x).all():
        raise CeldaError("The input holds NaN or infinity, along which there is no line: fill or leave out these.")
    if whole_number(points) is None:
        raise CeldaError(f"points={points!r} is no number of points: write a whole number of at least 1.")
    start = torch.as_tensor(baseline, dtype=x.dtype, device=x.device).expand_as(x)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    total = torch.zeros_like(x)
    with torch.enable_grad():
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            at = (start + float(node) * (x - start)).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(_checked(function(at), x).sum(), at)
            total += float(weight) * gradient
    with torch.no_grad():
        output, before = _checked(function(x), x), _checked(function(start.contiguous()), x)
    return Attribution(total * (x - start), output, before)


def _checked(output: Tensor, x: Tensor) -> Tensor:
    if output.shape != x.shape[:1]:
        raise CeldaError(
            f"The function gives {tuple(output.shape)} for an input of {len(x)} sequences: let it give one number each."
        )
    return output
