"""Values by lag: how many steps before the end of its own sequence each lies."""

from __future__ import annotations

import torch
from torch import Tensor


def by_lag(values: Tensor, lengths: Tensor | None) -> Tensor:
    """(T, B, ...) by time to (T, B, ...) by lag, 0 at the last step of each sequence; NaN before its first."""
    steps, batch = values.shape[:2]
    device = values.device
    ends = torch.full((batch,), steps, device=device) if lengths is None else lengths.to(device)
    at = ends - 1 - torch.arange(steps, device=device).unsqueeze(1)
    moved = values[at.clamp(min=0), torch.arange(batch, device=device)]
    there = (at >= 0).reshape(steps, batch, *(1,) * (values.dim() - 2))
    return torch.where(there, moved, torch.nan)


def root_mean(squares: Tensor) -> Tensor:
    """The root of the mean over the sequences, (T, B, ...) to (T, ...), of those that are long enough."""
    return squares.nanmean(1).sqrt()
