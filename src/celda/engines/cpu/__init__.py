"""The CPU engine: a cell's graph as machine code, forward and backward, for the processor it runs on."""

from celda.engines.cpu.kernels import DTYPES
from celda.engines.cpu.run import run
from celda.engines.cpu.streaming import Streaming

__all__ = ["DTYPES", "Streaming", "run"]
