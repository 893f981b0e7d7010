"""Keras's weights: kernels transposed, gates in its order, mostly one bias.

Source: the code and documentation of keras.layers.LSTM, GRU, SimpleRNN and Bidirectional (Keras 2 and 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celda.errors import CeldaError
from celda.interchange.arrays import Array, checked, gates_of, places, read, reordered, write
from celda.layers import Recurrent

# The order of Keras's gates, by the names that they have here. Keras calls the LSTM's g `c`, the GRU's n `h`.
ORDERS = {"lstm": "ifgo", "gru": "zrn", "gru_2014": "zrn", "rnn": "h", "rnn_relu": "h"}
_TWO_BIASES = ("gru",)  # with reset_after=True the reset gate is between the two


def to_keras(layer: Recurrent) -> list[list[Array]]:
    """What `set_weights` of each Keras layer takes: a list a layer, `[kernel, recurrent_kernel, bias]`.

    The kernel is (I, gates x H), the recurrent kernel (H, gates x H). The bias is (gates x H,), the sum of the two
    that a layer keeps here; for the cell `gru`, Keras's GRU with `reset_after=True`, it is (2, 3H). `gru_2014` is
    Keras's GRU with `reset_after=False`, `rnn_relu` its SimpleRNN with `activation="relu"`. Without biases
    (`use_bias=False`) the third array is left out. Of a bidirectional layer there are six arrays, as
    `keras.layers.Bidirectional` has them: forward, then backward.

    Raises CeldaError where Keras has no such cell (a peephole LSTM, a cell of your own).
    """
    cell, order = gates_of(layer, ORDERS, "Keras")
    return [[a for suffix in suffixes for a in _direction(layer, cell, order, suffix)] for suffixes in places(layer)]


def from_keras(layer: Recurrent, arrays: Sequence[Sequence[Array]]) -> None:
    """Fill a layer with the weights of Keras layers, a list for each layer, as `get_weights` gives it; see `to_keras`.

    `from_keras(layer, [lstm.get_weights()])` for one layer. Where a layer keeps two biases and Keras one, the second
    becomes 0. Raises CeldaError, before anything is changed, where the arrays do not fit the layer.
    """
    cell, order = gates_of(layer, ORDERS, "Keras")
    wanted = 3 if layer.bias else 2
    rows, hidden = len(order) * layer.hidden_size, layer.hidden_size
    named: object = arrays
    if isinstance(named, str):
        raise CeldaError("A file of Keras is read by Keras: give a list for each layer, [layer.get_weights()].")
    if len(arrays) != layer.num_layers:
        raise CeldaError(
            f"There are {len(arrays)} lists of arrays and the layer has num_layers={layer.num_layers}: give one list "
            "for each, [first.get_weights(), second.get_weights(), ...], also where there is only one."
        )
    values: dict[str, Array] = {}
    for number, (given, suffixes) in enumerate(zip(arrays, places(layer), strict=True)):
        if len(given) != wanted * len(suffixes):
            told = "kernel, recurrent_kernel" + (", bias" if layer.bias else "")
            raise CeldaError(
                f"Layer {number} has {len(given)} arrays: give {wanted * len(suffixes)}, [{told}]"
                + (" forward, then backward." if len(suffixes) == 2 else ".")
                + (" This layer has no biases (bias=False)." if not layer.bias else "")
            )
        for direction, suffix in enumerate(suffixes):
            kernel, recurrent, *bias = given[direction * wanted : (direction + 1) * wanted]
            columns = getattr(layer, f"weight_ih{suffix}").shape[1]
            where = f"of layer {number}" + (", backward" if direction else "")
            kernel = checked(kernel, f"The kernel {where}", (columns, rows), "(inputs, gates x hidden_size)")
            recurrent = checked(
                recurrent, f"The recurrent kernel {where}", (hidden, rows), "(hidden_size, gates x hidden_size)"
            )
            values[f"weight_ih{suffix}"] = reordered(layer, kernel.T, order)
            values[f"weight_hh{suffix}"] = reordered(layer, recurrent.T, order)
            if bias:
                both = _two_biases(bias[0], f"The bias {where}", cell, rows)
                values[f"bias_ih{suffix}"] = reordered(layer, both[0], order)
                values[f"bias_hh{suffix}"] = reordered(layer, both[1], order)
    write(layer, values)


def _direction(layer: Recurrent, cell: str, order: Sequence[str], suffix: str) -> list[Array]:
    found = [np.ascontiguousarray(read(layer, f"{name}{suffix}", order).T) for name in ("weight_ih", "weight_hh")]
    if layer.bias:
        both = [read(layer, f"{name}{suffix}", order) for name in ("bias_ih", "bias_hh")]
        found.append(np.stack(both) if cell in _TWO_BIASES else both[0] + both[1])
    return found


def _two_biases(given: Array, what: str, cell: str, rows: int) -> Array:
    """The biases (2, rows) of a direction."""
    if cell in _TWO_BIASES:
        if np.shape(given) == (rows,):
            raise CeldaError(
                f"{what} has shape ({rows},), as in a GRU with reset_after=False: that is the cell 'gru_2014', and "
                "this layer has 'gru' (reset_after=True)."
            )
        return checked(given, what, (2, rows), "(2, gates x hidden_size)")
    if cell == "gru_2014" and np.shape(given) == (2, rows):
        raise CeldaError(
            f"{what} has shape (2, {rows}), as in a GRU with reset_after=True: that is the cell 'gru', and this layer "
            "has 'gru_2014' (reset_after=False)."
        )
    bias = checked(given, what, (rows,), "(gates x hidden_size,)")
    return np.stack([bias, np.zeros_like(bias)])
