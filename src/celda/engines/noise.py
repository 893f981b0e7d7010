"""The numbers that random masks are made of: a SplitMix64's (Steele, Lea & Flood 2014, "Fast splittable pseudorandom
number generators").

Its k-th number is a mix of seed + k times a constant, so all of them can be made side by side. Torch's own generator,
which gives the seed, makes one after the other, and would take a sixth of a training step with zoneout.
"""

from __future__ import annotations

import torch
from torch import Tensor

GAMMA = 0x9E3779B97F4A7C15
MIX = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)  # z = (z ^ (z >> shift)) * factor
LAST = 31  # z ^ (z >> shift)
PIECES = 4  # elements that a number of 64 bits is enough for


def pieces(seed: Tensor, count: int, below: int) -> Tensor:
    """Whether each of the first `count` quarters of its numbers from a seed (1,), as a signed one, is `below`; bool,
    (count,). In operations of torch, which a compiler sees and any device has; see also `celda.engines.cpu.noise`."""
    z = seed + torch.arange(1, (count + PIECES - 1) // PIECES + 1, device=seed.device) * signed(GAMMA)
    for shift, factor in MIX:
        z = (z ^ _shifted(z, shift)) * signed(factor)
    return (z ^ _shifted(z, LAST)).view(torch.int16)[:count] < below


def _shifted(z: Tensor, by: int) -> Tensor:
    """Moved to the right, zeros from the left: torch moves the sign in."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def signed(word: int) -> int:
    """64 bits as a signed number."""
    return word - (1 << 64) if word >> 63 else word
