"""The kernels of each cell, printed when they are first needed, and which of the two ways to run them fits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from celda.engines.gpu import modules
from celda.engines.gpu.backward import backward_source
from celda.engines.gpu.forward import forward_source
from celda.engines.gpu.plan import CELLS, BackwardPlan, ForwardPlan
from celda.engines.gpu.rows import Rows

LEAST = 16  # rows and columns that a product on tensor cores has
STEP = 1024  # numbers of a value that a program holds in a segment of a step: a few a thread
ROOM = 99 * 1024  # bytes of shared memory that a program may have on every GPU since 2020


@lru_cache(2 * CELLS)
def forward_kernels(plan: ForwardPlan, ragged: bool, resets: bool) -> dict[str, Any]:
    """The kernels of a plan by name."""
    return modules.load(f"{plan.cell.name} forward", forward_source(plan, ragged, resets))


@lru_cache(2 * CELLS)
def backward_kernels(
    plan: BackwardPlan, forward: ForwardPlan, ragged: bool, resets: bool, kept: tuple[str, ...]
) -> dict[str, Any]:
    """The kernels of a sweep by name."""
    return modules.load(f"{plan.cell.name} backward", backward_source(plan, forward, ragged, resets, kept))


def padded(hidden: int) -> int:
    """The units that a program holds: a power of two."""
    return max(LEAST, 1 << (hidden - 1).bit_length())


def whole(blocks: int, like: Tensor) -> bool:
    """Whether one program can hold so many blocks of matrices, and a tile of operands, through all steps."""
    room = ROOM
    if like.is_cuda:
        room = getattr(torch.cuda.get_device_properties(like.device), "shared_memory_per_block_optin", ROOM)
    p = padded(like.shape[1])
    return (blocks * p * p + 2 * LEAST * p) * like.element_size() <= room


def precision(like: Tensor) -> str:
    """How float32 is multiplied, as torch's setting says."""
    return "tf32" if like.is_cuda and torch.backends.cuda.matmul.allow_tf32 else "ieee"


def tile(hidden: int, looped: bool) -> int:
    """How many sequences a program takes."""
    return LEAST if looped else max(1, STEP // padded(hidden))


def tiles(rows: Rows, looped: bool) -> int:
    """How many programs there are."""
    return -(-rows.batch // tile(rows.hidden, looped))


def launch(kernel: Any, rows: Rows, values: dict[str, Any], like: Tensor, looped: bool) -> None:
    """Run a kernel over all sequences, on the device and the stream of `like`."""
    p = padded(rows.hidden)
    values = values | {"H": rows.hidden, "P": p, "ROWS": tile(rows.hidden, looped), "PRECISION": precision(like)}
    with torch.cuda.device_of(like):
        kernel[(tiles(rows, looped),)](
            **{name: values[name] for name in kernel.arg_names}, num_warps=4 if p <= 32 else 8, num_stages=1
        )
