"""The language of cells: what a cell is, written once as its equations. It knows no torch.

from celda.language import cell, gate, linear, sigmoid, tanh
"""

from celda.language.cell import Cell, LinearMap, Term, Weight
from celda.language.errors import CellError
from celda.language.operations import (
    abs,
    exp,
    identity,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    stop_gradient,
    tanh,
    where,
)
from celda.language.tracing import cell, diagonal, gate, linear, parameter, time

__all__ = [
    "Cell", "CellError", "LinearMap", "Term", "Weight",
    "abs", "cell", "diagonal", "exp", "gate", "identity", "linear", "log", "maximum", "minimum", "parameter", "relu",
    "sigmoid", "softplus", "sqrt", "stop_gradient", "tanh", "time", "where",
]  # fmt: skip
