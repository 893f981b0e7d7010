"""The weights of a layer as NumPy arrays, their gates in any order: read, and written all at once or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celda.cells import CELLS
from celda.errors import CeldaError
from celda.layers import Recurrent

Array = NDArray[Any]


def gates_of(layer: Recurrent, orders: Mapping[str, str], whose: str) -> tuple[str, tuple[str, ...]]:
    """The cell of the layer and the order in which `whose` gates stand. Raises CeldaError where it has no such cell."""
    if not isinstance(layer, Recurrent):
        raise CeldaError(
            f"This is a {type(layer).__name__}: give a layer of Celda, celda.LSTM or celda.Recurrent; "
            "one of torch.nn's goes into it with load_state_dict(layer.state_dict())."
        )
    name = layer.cell.name
    # by its equations: a cell of the user's may have the name of one of ours
    if name not in orders or layer.cell.fingerprint != CELLS[name].fingerprint:
        raise CeldaError(
            f"{whose} has no layer with the equations of the cell {layer.cell.name}: only {', '.join(orders)} have one."
            " Where options were added that have no weights, such as zoneout, load its state_dict into a layer without."
        )
    if layer.connections and layer.num_layers > 1:
        raise CeldaError(
            f"{whose} keeps the arrays of each layer and not the {layer.connections} connections between them: take "
            "connections=None."
        )
    return name, tuple(orders[name])


def places(layer: Recurrent) -> Iterator[tuple[str, ...]]:
    """The suffixes of the arrays of each layer, a suffix a direction."""
    for number in range(layer.num_layers):
        yield tuple(f"_l{number}{end}" for end in (("", "_reverse") if layer.bidirectional else ("",)))


def read(layer: Recurrent, name: str, order: Sequence[str]) -> Array:
    """An array of the layer, (gates x H, ...), with its blocks in this order of the gates."""
    array: torch.Tensor = getattr(layer, name)
    parts = plain(array).reshape(len(order), layer.hidden_size, *array.shape[1:])
    return np.concatenate([parts[k] for k in _turn(layer, order)])


def plain(array: torch.Tensor) -> Array:
    """A tensor as an array, which may share its memory; bfloat16, which NumPy has not, as float32."""
    array = array.detach().cpu()
    return np.asarray((array.float() if array.dtype == torch.bfloat16 else array).numpy())


def reordered(layer: Recurrent, array: Array, order: Sequence[str]) -> Array:
    """The blocks of an array (gates x H, ...) that stand in this order, as the layer has them."""
    parts = array.reshape(len(order), layer.hidden_size, *array.shape[1:])
    there = _turn(layer, order)
    return np.concatenate([parts[there.index(k)] for k in range(len(order))])


def _turn(layer: Recurrent, order: Sequence[str]) -> list[int]:
    """For each gate of the order, the place where the layer has it."""
    own = list(layer.cell.gates)
    return [own.index(gate) for gate in order]


def checked(given: object, what: str, wanted: tuple[int, ...], meaning: str) -> Array:
    """`given` as an array of floating-point numbers of this shape; `meaning` says in words what the sizes are."""
    try:
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError):  # rows of unequal length; a tensor that NumPy cannot look into
        raise CeldaError(f"{what} is no array: give one of shape {wanted}, {meaning}.") from None
    if array.dtype.kind not in "fiu":
        raise CeldaError(f"{what} holds {array.dtype}: give an array of numbers of shape {wanted}, {meaning}.")
    if array.shape != wanted:
        raise CeldaError(f"{what} has shape {array.shape}: for this layer it must be {wanted}, {meaning}.")
    # torch has neither NumPy's other byte order nor its long double
    return array if array.dtype in (np.float16, np.float32, np.float64) else array.astype(np.float64)


def write(layer: Recurrent, values: Mapping[str, Array]) -> None:
    """Copy arrays over those of the layer, in its dtype and on its device; gradients and optimizers stay in place."""
    own = dict(layer.named_parameters(recurse=False))
    computed = [name for name in values if name not in own]
    if computed:
        raise CeldaError(
            f"{computed[0]} of this layer is computed from another array (a parametrization), so it cannot be written: "
            "fill the layer first, then parametrize it."
        )
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(torch.tensor(value))  # a copy: NumPy's may be read-only
