"""Memory that shows when it is read before it is written, after it was given back, or written past its ends."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor

from celda.engines.cpu import pool
from celda.engines.cpu.launches import Launch, Ready, forget

BITS = {torch.float32: (torch.int32, 0x7FC0DEAD), torch.float64: (torch.int64, 0x7FF8DEADDEADDEAD)}  # each a NaN
LINE = 64  # bytes in a cache line, and of each guard


def poison(tensor: Tensor) -> Tensor:
    """Fill a tensor of floats with NaN; others are left alone."""
    return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor


class _Guarded:
    """A lease with a guard on either side, looked at when it ends."""

    def __init__(self, size: Sequence[int], dtype: torch.dtype, lease: Callable[..., pool.Lease], broken: list) -> None:
        guard, count = LINE // dtype.itemsize, prod(size)
        self._lease, self._broken, self._size = lease((count + 2 * guard,), dtype), broken, tuple(size)
        integers, self._bits = BITS[dtype]
        self._all = self._lease.tensor.view(integers).fill_(self._bits)
        self._guards = self._all[:guard], self._all[guard + count :]
        self.tensor = self._lease.tensor[guard : guard + count].view(*size)

    def refill(self) -> None:
        """Look at the guards, and poison it anew."""
        if any((guard != self._bits).any() for guard in self._guards):
            self._broken.append(self._size)
        self._all.fill_(self._bits)

    __del__ = refill


@contextmanager
def poisoned() -> Iterator[None]:
    """Every buffer that is not filled when it is made holds NaN, and those of the pool lie between guards.

    The pool holds small buffers too then, so that what reads one that was given back finds NaN in it. So does a launch
    that takes something of the call before from the buffers it waited with.
    """
    broken: list[tuple[int, ...]] = []
    lease, give_back = pool.lease, Ready.give_back

    def filled(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, **options: poison(make(*args, **options))

    def guarded(size: Sequence[int], dtype: torch.dtype) -> Any:
        return _Guarded(size, dtype, lease, broken)

    def poisoned_meanwhile(ready: Ready, launch: Launch) -> None:
        if isinstance(launch._lease, _Guarded):
            launch._lease.refill()
        give_back(ready, launch)

    forget()  # launches that wait have their memory from elsewhere
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ready, "give_back", poisoned_meanwhile)
        for owner, name in (
            (torch, "empty"),
            (torch, "empty_like"),
            (torch, "empty_strided"),
            (Tensor, "new_empty"),
            (Tensor, "new_empty_strided"),
        ):
            patch.setattr(owner, name, filled(getattr(owner, name)))
        patch.setattr(pool, "SMALLEST", 2 * LINE)
        patch.setattr(pool, "lease", guarded)
        yield
    forget()
    assert not broken, f"written past the ends of buffers of sizes {broken}"
