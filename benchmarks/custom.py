"""Cells that are measured and that Celda does not ship."""

# mypy: disable-error-code="no-untyped-def"
# a cell reads like its paper

from celda.cells import CELLS
from celda.language import (
    Cell,
    candidate_dropout,
    cell,
    clip_state,
    couple,
    diagonal,
    gate,
    heads,
    layer_norm,
    linear,
    recurrent_dropout,
    sigmoid,
    tanh,
    weight_drop,
    zoneout,
)


@cell
def two_speed(x, h, slow):
    """The cell of the README."""
    z = gate("z", sigmoid, linear(x, h))
    k = gate("k", sigmoid, linear(x, h), bias=-2.0)
    n = gate("n", tanh, linear(x, h) + diagonal(slow))
    slow = slow + 0.1 * k * (n - slow)
    h = (1 - z) * h + z * tanh(n + slow)
    return h, slow


_lstm = CELLS["lstm"]
_dropped = recurrent_dropout(_lstm, 0.25)

# The LSTM with each option, and with two together that draw masks.
OPTED: dict[str, Cell] = {
    made.name: made
    for made in (
        zoneout(_lstm, 0.1),
        _dropped,
        zoneout(_dropped, 0.1),
        candidate_dropout(_lstm, 0.25),
        weight_drop(_lstm, 0.5),
        clip_state(_lstm, 3.0),
        couple(_lstm),
        layer_norm(_lstm),
        heads(_lstm, 4),
    )
}
