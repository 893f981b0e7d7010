"""The language of cells: what a cell is, written once as its equations. It knows no torch.

from celda.language import cell, gate, linear, sigmoid, tanh
"""

from celda.language.cell import Cell, LinearMap, Mask, Term, Weight
from celda.language.definition import cell
from celda.language.errors import CellError
from celda.language.operations import (
    abs,
    deviation,
    exp,
    identity,
    log,
    maximum,
    mean,
    minimum,
    normalize,
    relu,
    sigmoid,
    softplus,
    sqrt,
    stop_gradient,
    tanh,
    where,
)
from celda.language.patterns import Groups, Narrow, Pattern
from celda.language.tracing import diagonal, gate, group, linear, mask, parameter, time
from celda.language.transforms import (
    candidate_dropout,
    clip_state,
    couple,
    heads,
    layer_norm,
    projection,
    recurrent_dropout,
    weight_drop,
    zoneout,
)

__all__ = [
    "Cell",
    "CellError",
    "Groups",
    "LinearMap",
    "Mask",
    "Narrow",
    "Pattern",
    "Term",
    "Weight",
    "abs",
    "candidate_dropout",
    "cell",
    "clip_state",
    "couple",
    "deviation",
    "diagonal",
    "exp",
    "gate",
    "group",
    "heads",
    "identity",
    "layer_norm",
    "linear",
    "log",
    "mask",
    "maximum",
    "mean",
    "minimum",
    "normalize",
    "parameter",
    "projection",
    "recurrent_dropout",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "stop_gradient",
    "tanh",
    "time",
    "weight_drop",
    "where",
    "zoneout",
]  # fmt: skip
