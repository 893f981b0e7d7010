"""The GPU engine: a cell's graph as Triton source, forward and backward.

It has run in Triton's interpreter only, on the CPU, and on no GPU yet.
"""

from celda.engines.gpu.function import run

__all__ = ["run"]
