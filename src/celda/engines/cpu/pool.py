"""Large buffers that are used again: the pages of a fresh one cost more than all that is written into it."""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from math import prod

import torch
from torch import Tensor

SMALLEST = 2**18  # bytes below which the allocator does as well
LIMIT = 2**30  # bytes that may lie unused
LARGEST = 2**20  # bytes above which the allocator may give pages back to the system when a tensor is freed


class Lease:
    """A buffer for as long as this object lives; nobody may hold `tensor` longer."""

    def __init__(self, tensor: Tensor, whole: Tensor | None) -> None:
        self.tensor, self._whole = tensor, whole

    def __del__(self) -> None:
        if self._whole is not None:
            _give_back(self._whole)


# by size, each with the number of its return, the oldest first; a deque's methods need no lock
_free: defaultdict[tuple[torch.dtype, int], deque[tuple[int, Tensor]]] = defaultdict(deque)
_returns = count()


def lease(size: Sequence[int], dtype: torch.dtype) -> Lease:
    """A buffer with anything in it."""
    elements = prod(size)
    if elements * dtype.itemsize < SMALLEST:
        return Lease(torch.empty(size, dtype=dtype), None)
    eighth = 1 << (elements.bit_length() - 4)
    rounded = -(-elements // eighth) * eighth  # batches of nearly one size share buffers
    try:
        _, whole = _free[dtype, rounded].pop()
    except IndexError:
        with torch.inference_mode(False):  # whoever takes it next may be training
            whole = torch.empty(rounded, dtype=dtype)
    return Lease(whole[:elements].view(*size), whole)


def lasting(size: Sequence[int], dtype: torch.dtype) -> Tensor:
    """A tensor on a buffer, which comes back when nobody holds the tensor's memory, views of it neither.

    It is no view itself, so that a caller may change it in place.
    """
    whole = lease(size, dtype)
    array = whole.tensor.numpy()
    weakref.finalize(array, _end, whole)
    tensor = torch.from_numpy(array)
    return tensor.zero_() if torch.are_deterministic_algorithms_enabled() else tensor  # as torch.empty does


def empty(like: Tensor, *size: int) -> Tensor:
    """A tensor for the caller with anything in it, on a buffer if it is large."""
    if prod(size) * like.itemsize <= LARGEST:
        return like.new_empty(size)
    return lasting(size, like.dtype)


def _end(_: Lease) -> None:
    """The lease was held until now."""


def unused() -> int:
    """Bytes that lie ready."""
    return sum(tensor.nbytes for queue in tuple(_free.values()) for _, tensor in tuple(queue))


def _give_back(whole: Tensor) -> None:
    if whole.nbytes > LIMIT:
        return
    excess = whole.nbytes + unused() - LIMIT
    while excess > 0 and (gone := _oldest()) is not None:
        excess -= gone.nbytes
    _free[whole.dtype, whole.numel()].append((next(_returns), whole))


def _oldest() -> Tensor | None:
    """Take away the buffer that has lain unused for the longest."""
    with suppress(ValueError, IndexError):  # there is none; another thread took it
        queue = min((queue for queue in tuple(_free.values()) if queue), key=lambda queue: queue[0][0])
        return queue.popleft()[1]
    return None


def clear() -> None:
    """Give all unused buffers back to the system."""
    _free.clear()
