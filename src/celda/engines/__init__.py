"""Which engine runs a call, and why: never silently.

An engine is a function from a `Call` to a `Result`. `reference` runs anything; `cpu` is compiled for the cell and the
processor. `CELDA_ENGINE=reference` (or `cpu`) in the environment decides for every layer that was left at "auto"; an
empty `CELDA_ENGINE` is none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.autograd import forward_ad

from celda.engines import library
from celda.engines.call import Call, Engine, Result
from celda.engines.forks import forked
from celda.engines.library import know
from celda.engines.reference import run as reference
from celda.engines.stream import Bound, Stream, onlooker
from celda.errors import CeldaError
from celda.language import Cell

NAMES = ("reference", "cpu")
PLANNED = {"gpu": "not built yet; on a GPU the reference runs"}  # engines to be, and what is there meanwhile
_HAS_COMPILER = find_spec("llvmlite") is not None


@dataclass(frozen=True)
class Plan:
    """The engine that runs a call, and the reason in words; `operator`: by an operator of torch that others can see."""

    engine: str
    reason: str
    operator: bool = False

    def __str__(self) -> str:
        return f"engine: {self.engine}\nwhy: {self.reason}"

    def run(self, call: Call) -> Result:
        """Run `call` on the chosen engine."""
        if self.engine == "reference":
            return reference(call)
        return library.run(call) if self.operator else _engine(self.engine)(call)

    def bound(
        self,
        cell: Cell,
        sizes: tuple[int, int, int],
        hidden: int,
        dtype: torch.dtype,
        arrays: tuple[str, ...],
        reverse: bool,
    ) -> Bound | None:
        """Passes of one layer and direction over (T, B, width) = `sizes`, without gradients; None: only by a `Call`."""
        if self.engine != "cpu" or self.operator:
            return None
        from celda.engines import cpu

        return cpu.bound(cell, sizes, hidden, dtype, arrays, reverse)

    def stream(self, calls: Sequence[Call]) -> Stream | None:
        """A stack of layers, given by their first `calls`, to be run step by step; None: only a call at a time."""
        if self.engine != "cpu" or self.operator:
            return None
        from celda.engines import cpu

        return cpu.Streaming(calls)


def check_engine(engine: str, given: str = "engine") -> None:
    """`engine`, which was given as `given`, is "auto" or names an engine."""
    if engine not in ("auto", *NAMES):
        told = PLANNED.get(engine, "there is no such engine") if isinstance(engine, str) else "there is no such engine"
        raise CeldaError(f"{given}={engine!r}: {told}. Write 'auto', {', '.join(map(repr, NAMES))}.")


def choose(engine: str, x: Tensor, others: Sequence[Tensor] = ()) -> Plan:
    """The plan for the input `x` of a layer that was asked for `engine`; `others`: what else the call is given.

    Raises CeldaError where the cpu engine was asked for by name and cannot run the input.
    """
    asked = engine
    if engine == "auto" and (asked := os.environ.get("CELDA_ENGINE") or "auto") != "auto":
        check_engine(asked, "CELDA_ENGINE")
    check_engine(asked)
    if asked == "reference":
        return Plan("reference", f"{_by(engine, asked)} was asked for")
    tensors = (x, *others)
    hindrance = _hindrance(x, tensors)
    if hindrance is None:
        if x.numel() == 0:
            return Plan("reference", "the batch is empty, so there is nothing to compute")
        seen = library.seen(tensors)
        make = _fused if seen else _fused_once  # a compiler cannot look into a cache
        return make(engine, asked, forked(), seen)
    if engine == "cpu":
        raise CeldaError(f"{_by(engine, asked)} was asked for, but {hindrance}: write engine='auto'.")
    unheeded = f"{_by(engine, asked)} cannot be followed: " if asked == "cpu" else ""
    return Plan("reference", f"{unheeded}torch operations in a loop, because {hindrance}")


def _by(engine: str, asked: str) -> str:
    return f"CELDA_ENGINE={asked}" if engine == "auto" else f"engine={engine!r}"


def _fused(engine: str, asked: str, alone: bool, seen: bool) -> Plan:
    reason = (
        "kernels compiled for this cell and processor" if asked == "auto" else f"{_by(engine, asked)} was asked for"
    )
    reason += ", on one thread because this process is the child of a fork" if alone else ""
    return Plan("cpu", f"{reason}, as the operator celda::sequence" if seen else reason, seen)


_fused_once = cache(_fused)


def _hindrance(x: Tensor, tensors: Sequence[Tensor]) -> str | None:
    """Why the cpu engine cannot run `x`, which is the first of `tensors`, or None where it can."""
    if not x.is_cpu:
        return f"the input is on {x.device} and the fused kernels run on the CPU"
    if x.dtype not in (torch.float32, torch.float64):
        return f"the input is {x.dtype} and the fused kernels compute in float32 and float64"
    if torch._C._are_functorch_transforms_active():
        return "torch.func transforms see through torch operations only"
    if forward_ad._current_level >= 0:
        return "derivatives in forward mode see through torch operations only"
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return "torch.jit.trace sees torch operations only"
    dtype = x.dtype
    for tensor in tensors:
        if type(tensor) not in library.PLAIN and not isinstance(tensor, library.TRACED):
            return f"there is a {type(tensor).__name__} and the fused kernels read plain tensors"
        if tensor.dtype is not dtype or not tensor.is_cpu:
            return f"the input is {dtype} on {x.device}, and with it comes {tensor.dtype} on {tensor.device}"
    return None if _HAS_COMPILER else "llvmlite is not installed (pip install llvmlite)"


def empty_cache() -> None:
    """Give back the memory that engines keep for the next calls, as `torch.cuda.empty_cache` does.

    It is at most about 1.2 GiB on the CPU: buffers of training passes, and what calls of small layers work in. Compiled
    kernels stay.
    """
    if cpu := sys.modules.get("celda.engines.cpu"):
        cpu.empty_cache()


@cache
def _engine(name: str) -> Callable[[Call], Result]:
    from celda.engines import cpu  # the compiler is started when it is first needed

    return lambda call: cpu.run(call, reference)


__all__ = [
    "NAMES",
    "PLANNED",
    "Bound",
    "Call",
    "Engine",
    "Plan",
    "Result",
    "Stream",
    "check_engine",
    "choose",
    "empty_cache",
    "know",
    "onlooker",
]
