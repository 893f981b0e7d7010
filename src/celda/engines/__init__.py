"""Which engine runs a call, and why: never silently.

An engine is a function from a `Call` to a `Result`. `reference` runs anything; `cpu` is compiled for the cell and the
processor; `gpu` is printed for the cell, and compiled by Triton. `CELDA_ENGINE=reference` (or `cpu`, `gpu`) in the
environment decides for every layer that was left at "auto"; an empty `CELDA_ENGINE` is none.
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

from celda.engines import library, noise
from celda.engines.call import Call, Engine, Result
from celda.engines.forks import forked
from celda.engines.library import know
from celda.engines.reference import run as reference
from celda.engines.stream import Bound, Stream, onlooker
from celda.errors import CeldaError
from celda.language import Cell

NAMES = ("reference", "cpu", "gpu")
UNTRIED = "the gpu engine has not run on a GPU yet, only in Triton's interpreter"
_HAS_COMPILER = find_spec("llvmlite") is not None
_HAS_TRITON = find_spec("triton") is not None
_OLDEST = (8, 0)  # compute capability: tensor cores for bfloat16 and TF32


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
        keep: tuple[str, ...] = (),
        bfloat16: bool = False,
    ) -> Bound | None:
        """Passes of one layer and direction over (T, B, width) = `sizes`, without gradients; None: only by a `Call`.

        `keep` are the gates and states that a trace asks for, `arrays` the names of the weights, `bfloat16` is that of
        a call.
        """
        if self.engine != "cpu" or self.operator:
            return None
        from celda.engines import cpu

        return cpu.bound(cell, sizes, hidden, dtype, arrays, reverse, keep, bfloat16)

    def multiplies_bfloat16(self, cell: Cell) -> bool:
        """Whether products of a float32 call of the cell are of bfloat16 where the call allows it."""
        if self.engine != "cpu":
            return False
        from celda.engines.cpu import kernels

        return kernels.multiplies_bfloat16(cell)

    def stream(self, calls: Sequence[Call]) -> Stream | None:
        """A stack of layers, given by their first `calls`, to be run step by step; None: only a call at a time."""
        if self.engine != "cpu" or self.operator:
            return None
        from celda.engines import cpu

        return cpu.Streaming(calls)

    def pieces(self, seed: Tensor, count: int, below: int) -> Tensor:
        """`celda.engines.noise.pieces`: the same numbers, whoever finds them."""
        if self.engine != "cpu" or self.operator:
            return noise.pieces(seed, count, below)
        from celda.engines import cpu

        return cpu.pieces(int(seed.item()), count, below)


def check_engine(engine: str, given: str = "engine") -> None:
    """`engine`, which was given as `given`, is "auto" or names an engine."""
    if engine not in ("auto", *NAMES):
        raise CeldaError(f"{given}={engine!r}: there is no such engine. Write 'auto', {', '.join(map(repr, NAMES))}.")


def choose(engine: str, x: Tensor, others: Sequence[Tensor] = ()) -> Plan:
    """The plan for the input `x` of a layer that was asked for `engine`; `others`: what else the call is given.

    Raises CeldaError where the cpu or the gpu engine was asked for by name and cannot run the input.
    """
    if (asked := _asked(engine)) == "reference":
        return Plan("reference", f"{_by(engine, asked)} was asked for")
    tensors = (x, *others)
    fused = asked if asked != "auto" else "gpu" if x.is_cuda else "cpu"
    if (stopped := hindrance(fused, x, others)) is None:
        if x.numel() == 0:
            return Plan("reference", "the batch is empty, so there is nothing to compute")
        if fused == "gpu":
            return _printed(engine, asked, interpreted())
        seen = library.seen(tensors)
        make = _fused if seen else _fused_once  # a compiler cannot look into a cache
        return make(engine, asked, forked(), seen)
    if engine == fused:
        raise CeldaError(f"{_by(engine, asked)} was asked for, but {stopped}: write engine='auto'.")
    unheeded = f"{_by(engine, asked)} cannot be followed: " if asked == fused else ""
    return Plan("reference", f"{unheeded}torch operations in a loop, because {stopped}")


def working_dtype(engine: str, like: Tensor) -> torch.dtype:
    """The dtype in which a layer asked for `engine`, with weights like this one, is computed.

    It is theirs but on a CPU, whose kernels know nothing below float32 and where the reference is slow: half precision
    is computed there in float32, and rounded at the end.
    """
    halves = like.is_cpu and like.dtype in (torch.bfloat16, torch.float16)
    return torch.float32 if halves and _asked(engine) in ("auto", "cpu") else like.dtype


def hindrance(engine: str, x: Tensor, others: Sequence[Tensor] = ()) -> str | None:
    """Why the engine "cpu" or "gpu" cannot run the input `x` and what else a call is given; None where it can."""
    return (_gpu_hindrance if engine == "gpu" else _cpu_hindrance)(x, (x, *others))


def interpreted() -> bool:
    """Whether Triton's kernels run in its interpreter, on the CPU: for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _asked(engine: str) -> str:
    """The engine that was asked for, by a layer or, where that leaves it open, by the environment."""
    asked = engine
    if engine == "auto" and (asked := os.environ.get("CELDA_ENGINE") or "auto") != "auto":
        check_engine(asked, "CELDA_ENGINE")
    check_engine(asked)
    return asked


def _by(engine: str, asked: str) -> str:
    return f"CELDA_ENGINE={asked}" if engine == "auto" else f"engine={engine!r}"


def _fused(engine: str, asked: str, alone: bool, seen: bool) -> Plan:
    reason = (
        "kernels compiled for this cell and processor" if asked == "auto" else f"{_by(engine, asked)} was asked for"
    )
    reason += ", on one thread because this process is the child of a fork" if alone else ""
    return Plan("cpu", f"{reason}, as the operator celda::sequence" if seen else reason, seen)


_fused_once = cache(_fused)


@cache
def _printed(engine: str, asked: str, interpreted: bool) -> Plan:
    reason = "Triton kernels printed for this cell" if asked == "auto" else f"{_by(engine, asked)} was asked for"
    where = ", in Triton's interpreter" if interpreted else ""
    return Plan("gpu", f"{reason}{where}; {UNTRIED}")


def _cpu_hindrance(x: Tensor, tensors: Sequence[Tensor]) -> str | None:
    """Why the cpu engine cannot run `x`, which is the first of `tensors`, or None where it can."""
    if not x.is_cpu:
        return f"the input is on {x.device} and the fused kernels run on the CPU"
    if x.dtype not in (torch.float32, torch.float64):
        return f"the input is {x.dtype} and the fused kernels compute in float32 and float64"
    return _any_hindrance(tensors) or (None if _HAS_COMPILER else "llvmlite is not installed (pip install llvmlite)")


def _gpu_hindrance(x: Tensor, tensors: Sequence[Tensor]) -> str | None:
    """Why the gpu engine cannot run `x`, which is the first of `tensors`, or None where it can."""
    if not _HAS_TRITON:
        return "triton is not installed (pip install triton)"
    if not (x.is_cuda or (x.is_cpu and interpreted())):
        return f"the input is on {x.device} and Triton's kernels run on a GPU (in tests, with TRITON_INTERPRET=1, here)"
    if x.is_cuda and torch.version.cuda and torch.cuda.get_device_capability(x.device) < _OLDEST:
        return "the GPU has no tensor cores for bfloat16 and TF32, which Triton's kernels are printed for"
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"the input is {x.dtype} and Triton's kernels compute in float32, float16 and bfloat16"
    if x.dtype is torch.bfloat16 and interpreted():
        return "Triton's interpreter multiplies bfloat16 wrongly"
    if library.seen(tensors):
        return "something looks on (a compiler, a dispatch mode, hooks), and Triton's kernels are no operator of torch"
    return _any_hindrance(tensors)


def _any_hindrance(tensors: Sequence[Tensor]) -> str | None:
    """Why no fused kernels can run the first of `tensors`, of a dtype and on a device that they are for."""
    if torch._C._are_functorch_transforms_active():
        return "torch.func transforms see through torch operations only"
    if forward_ad._current_level >= 0:
        return "derivatives in forward mode see through torch operations only"
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return "torch.jit.trace sees torch operations only"
    x = tensors[0]
    dtype, on_cpu = x.dtype, x.is_cpu
    for tensor in tensors:
        if type(tensor) not in library.PLAIN and not isinstance(tensor, library.TRACED):
            return f"there is a {type(tensor).__name__} and the fused kernels read plain tensors"
        if tensor.dtype is not dtype or tensor.is_cpu is not on_cpu or not (on_cpu or tensor.device == x.device):
            return f"the input is {dtype} on {x.device}, and with it comes {tensor.dtype} on {tensor.device}"
    return None


def empty_cache() -> None:
    """Give back the memory that engines keep for the next calls, as `torch.cuda.empty_cache` does.

    It is at most about 1.3 GiB on the CPU: buffers of training passes, and what calls of small layers work in. Compiled
    kernels stay.
    """
    if cpu := sys.modules.get("celda.engines.cpu"):
        cpu.empty_cache()


@cache
def _engine(name: str) -> Callable[[Call], Result]:
    if name == "gpu":
        from celda.engines import gpu

        return lambda call: gpu.run(call, reference)
    from celda.engines import cpu  # the compiler is started when it is first needed

    return lambda call: cpu.run(call, reference)


__all__ = [
    "NAMES",
    "UNTRIED",
    "Bound",
    "Call",
    "Engine",
    "Plan",
    "Result",
    "Stream",
    "check_engine",
    "choose",
    "empty_cache",
    "hindrance",
    "know",
    "onlooker",
]
