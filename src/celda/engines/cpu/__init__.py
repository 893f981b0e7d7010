"""The CPU engine: a cell's graph as machine code, forward and backward, for the processor it runs on."""

from celda.engines.cpu import launches, pool
from celda.engines.cpu.bound import Bound, bound
from celda.engines.cpu.kernels import DTYPES
from celda.engines.cpu.noise import pieces
from celda.engines.cpu.run import run
from celda.engines.cpu.streaming import Streaming


def empty_cache() -> None:
    """Give back the memory that is kept for the next calls."""
    bound.cache_clear()
    launches.forget()
    pool.clear()


__all__ = ["DTYPES", "Bound", "Streaming", "bound", "empty_cache", "pieces", "run"]
