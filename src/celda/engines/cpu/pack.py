"""Weights as the kernels read them: panels, in which what one tile multiplies lies end to end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F


def groups(blocks: int, units: int) -> Iterator[tuple[int, int, int]]:
    """The unit blocks as a tile takes them: (first, last + 1, how many at once)."""
    whole = blocks // units * units
    if whole:
        yield 0, whole, units
    if whole < blocks:
        yield whole, blocks, 1


def forward_panel(blocks: list[Tensor], lanes: int, padded: int, units: int) -> Tensor:
    """Blocks (H, K) of a matrix as [unit group][k][unit][block][lane]."""
    hidden, depth = blocks[0].shape
    stacked = torch.stack(blocks)
    if padded != hidden:
        stacked = F.pad(stacked, (0, 0, 0, padded - hidden))
    parts = []
    for first, last, u in groups(padded // lanes, units):
        part = stacked[:, first * lanes : last * lanes].view(len(blocks), -1, u, lanes, depth)
        parts.append(part.permute(1, 4, 2, 0, 3).reshape(-1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def backward_panel(block: Tensor, lanes: int, padded: int, units: int) -> Tensor:
    """A block (H, H) for its transposed product, as [unit group][row][unit][lane]: rows are the depth now."""
    depth, width = block.shape
    if padded != width:
        block = F.pad(block, (0, padded - width))
    parts = []
    for first, last, u in groups(padded // lanes, units):
        parts.append(block[:, first * lanes : last * lanes].reshape(depth, -1, u * lanes).transpose(0, 1).reshape(-1))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def padded_vector(vector: Tensor, padded: int) -> Tensor:
    """A vector (H,) filled up with zeros."""
    return F.pad(vector, (0, padded - vector.shape[0])).contiguous()
