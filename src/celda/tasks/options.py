"""The options of a forecaster, met at the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celda import cells
from celda.data.scaling import KINDS
from celda.data.table import check_horizon
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.losses import LOSSES

_COUNTS = ("input_size", "hidden_size", "num_layers", "season", "patch", "batch_size", "epochs", "val_size")
_TAKEN = ("unique_id", "ds", "cutoff", "y", "ridge", "seasonal_naive")  # columns of a table of forecasts


def check_options(forecaster: Any) -> None:
    """Raise CeldaError, in one line, for an option that cannot be used whatever the table."""
    given = forecaster.get_params(deep=False)
    check_horizon(given["h"])
    for name in _COUNTS:
        if given[name] is not None:
            check_count(name, given[name])
    if not isinstance(given["cell"], str | Cell):
        raise CeldaError(f"cell={given['cell']!r} is no cell: write cell='lstm', or give a cell of your own (@cell).")
    cell = cells.find(given["cell"])
    if len(cell.inputs) > 1:
        further = ", ".join(cell.inputs[1:])
        raise CeldaError(
            f"The cell {cell.name} wants a further input ({further}), which a forecast has not: write cell='lstm', or "
            f"another cell of one input."
        )
    if cell.name in _TAKEN:
        raise CeldaError(
            f"A cell cannot be called {cell.name!r} here: its forecast is a column of that name, beside one that is "
            "called so already: rename the function."
        )
    if not isinstance(given["dropout"], int | float) or not 0 <= given["dropout"] < 1:
        raise CeldaError(f"dropout={given['dropout']!r} is no probability below 1: write for example dropout=0.1.")
    for name, known in (("loss", LOSSES), ("scaler", KINDS)):
        if given[name] not in known:
            raise CeldaError(f"There is no {name} {given[name]!r}: write one of {', '.join(map(repr, known))}.")
    _check_level(given["level"])
    if given["loss"] != "quantile" and len(given["level"]) and not forecaster.calibrates:
        raise CeldaError(
            f"loss={given['loss']!r} without calibration gives no intervals: write level=(), calibrate=None or "
            "loss='quantile'."
        )


def check_count(name: str, value: Any) -> None:
    """Raise CeldaError where `value`, which the user calls `name`, is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CeldaError(f"{name}={value!r} cannot be used: it is a whole number of at least 1.")


def check_fitted(forecaster: Any) -> None:
    """Raise CeldaError where the forecaster was not fitted."""
    if not hasattr(forecaster, "predictor_"):
        raise CeldaError("This Forecaster is not fitted yet: call fit first, or load a model with celda.load.")


def _check_level(level: Sequence[float]) -> None:
    if isinstance(level, str | int | float):
        raise CeldaError(f"level={level!r} is no list of levels: write for example level=(80, 95).")
    for one in level:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 < one < 100:
            raise CeldaError(f"The level {one!r} is no per cent between 0 and 100: write for example level=(80, 95).")
    if len(set(level)) < len(level):
        raise CeldaError(f"level={tuple(level)} names a level twice: write each once.")
