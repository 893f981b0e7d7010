"""ONNX's weights: W, R, B and, for peepholes, P; directions stacked, gates in its order.

Source: the operators LSTM, GRU and RNN of the ONNX specification, version 14 and later. Needs no `onnx`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from celda.errors import CeldaError
from celda.interchange.arrays import Array, checked, gates_of, places, plain, read, reordered, write
from celda.layers import Recurrent

# The order of ONNX's gates, by the names that they have here. ONNX calls the LSTM's g `c`, the GRU's n `h`.
ORDERS = {"lstm": "iofg", "peephole_lstm": "iofg", "gru": "zrn", "gru_2014": "zrn", "rnn": "h", "rnn_relu": "h"}
_OPERATOR = {"lstm": "LSTM", "peephole_lstm": "LSTM", "gru": "GRU", "gru_2014": "GRU", "rnn": "RNN", "rnn_relu": "RNN"}
_PEEPHOLES = {"peephole_lstm": "iof"}


def onnx_operator(layer: Recurrent) -> tuple[str, dict[str, Any]]:
    """The ONNX operator that computes one layer of `layer`, and its attributes: `("LSTM", {"hidden_size": 16, ...})`.

    For `onnx.helper.make_node(operator, ["X", "W", "R", "B"], ["Y"], **attributes)`. `layout` is ONNX's own, X (T, B,
    I) -> Y (T, directions, B, H), whatever `batch_first` is.
    """
    cell, _ = gates_of(layer, ORDERS, "ONNX")
    attributes: dict[str, Any] = {"hidden_size": layer.hidden_size}
    attributes["direction"] = "bidirectional" if layer.bidirectional else "forward"
    if _OPERATOR[cell] == "GRU":
        attributes["linear_before_reset"] = int(cell == "gru")
    if cell == "rnn_relu":
        attributes["activations"] = ["Relu"] * (1 + layer.bidirectional)
    return _OPERATOR[cell], attributes


def to_onnx(layer: Recurrent) -> list[dict[str, Array]]:
    """The inputs W, R, B of the ONNX operator, a dictionary a layer; the operator is what `onnx_operator` says.

    W is (directions, gates x H, I), R (directions, gates x H, H), B (directions, 2 x gates x H), the input's biases and
    then the state's; without biases B is left out. A peephole LSTM has P besides, (directions, 3H), the peepholes of
    the input, output and forget gate. Raises CeldaError where ONNX has no such cell.
    """
    cell, order = gates_of(layer, ORDERS, "ONNX")
    found = []
    for suffixes in places(layer):
        arrays = {
            "W": np.stack([read(layer, f"weight_ih{s}", order) for s in suffixes]),
            "R": np.stack([read(layer, f"weight_hh{s}", order) for s in suffixes]),
        }
        if layer.bias:
            biases = [[read(layer, f"{name}{s}", order) for name in ("bias_ih", "bias_hh")] for s in suffixes]
            arrays["B"] = np.stack([np.concatenate(both) for both in biases])
        if cell in _PEEPHOLES:
            peepholes = [[plain(getattr(layer, f"diagonal_{g}{s}")) for g in _PEEPHOLES[cell]] for s in suffixes]
            arrays["P"] = np.stack([np.concatenate(each) for each in peepholes])
        found.append(arrays)
    return found


def from_onnx(layer: Recurrent, arrays: Sequence[Mapping[str, Array]]) -> None:
    """Fill a layer with the inputs W, R, B (and P) of ONNX operators, a dictionary for each layer; see `to_onnx`.

    A missing B or P is all zeros, as in ONNX. The attributes of the operator must be those of `onnx_operator`. Raises
    CeldaError, before anything is changed, where the arrays do not fit the layer.
    """
    cell, order = gates_of(layer, ORDERS, "ONNX")
    if isinstance(arrays, Mapping) or len(arrays) != layer.num_layers:
        told = "is one dictionary" if isinstance(arrays, Mapping) else f"are {len(arrays)} dictionaries"
        raise CeldaError(
            f"There {told} and the layer has num_layers={layer.num_layers}: give a list with one dictionary for "
            "each layer, also where there is only one."
        )
    allowed = ("W", "R", *(("B",) if layer.bias else ()), *(("P",) if cell in _PEEPHOLES else ()))
    rows, hidden, values = len(order) * layer.hidden_size, layer.hidden_size, {}
    for number, (given, suffixes) in enumerate(zip(arrays, places(layer), strict=True)):
        _check_names(given, allowed, number, cell)
        n, columns = len(suffixes), getattr(layer, f"weight_ih{suffixes[0]}").shape[1]
        where = f"of layer {number}"
        w = checked(given["W"], f"W {where}", (n, rows, columns), "(directions, gates x hidden_size, inputs)")
        r = checked(given["R"], f"R {where}", (n, rows, hidden), "(directions, gates x hidden_size, hidden_size)")
        b, p = given.get("B", np.zeros((n, 2 * rows))), given.get("P", np.zeros((n, 3 * hidden)))
        b = checked(b, f"B {where}", (n, 2 * rows), "(directions, 2 x gates x hidden_size)")
        p = checked(p, f"P {where}", (n, 3 * hidden), "(directions, 3 x hidden_size)")
        for k, suffix in enumerate(suffixes):
            values[f"weight_ih{suffix}"] = reordered(layer, w[k], order)
            values[f"weight_hh{suffix}"] = reordered(layer, r[k], order)
            if layer.bias:
                values[f"bias_ih{suffix}"] = reordered(layer, b[k, :rows], order)
                values[f"bias_hh{suffix}"] = reordered(layer, b[k, rows:], order)
            for gate, part in zip(_PEEPHOLES.get(cell, ""), p[k].reshape(3, hidden), strict=False):
                values[f"diagonal_{gate}{suffix}"] = part
    write(layer, values)


def _check_names(given: Mapping[str, Array], allowed: tuple[str, ...], number: int, cell: str) -> None:
    """W and R are there, and nothing that the layer has no place for."""
    if missing := [name for name in ("W", "R") if name not in given]:
        raise CeldaError(f"Layer {number} has no {' and no '.join(missing)}: give {', '.join(allowed)}.")
    for name in given:
        if name not in allowed:
            reason = {
                "B": "the layer was made with bias=False",
                "P": f"the cell {cell} has no peepholes: make the layer with 'peephole_lstm'",
            }.get(name, "ONNX keeps no weights under that name")
            raise CeldaError(f"Layer {number} has {name}, but {reason}; here it takes {', '.join(allowed)}.")
