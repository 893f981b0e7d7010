"""The reference engine: the equations, evaluated with torch operations step by step. It is the ground truth."""

from celda.engines.reference.run import run

__all__ = ["run"]
