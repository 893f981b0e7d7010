"""The options of a model, met at the door."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from celda import cells
from celda.checks import whole_number
from celda.data.scaling import KINDS
from celda.data.table import check_horizon
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.losses import LOSSES

_COUNTS = ("input_size", "hidden_size", "num_layers", "season", "patch", "batch_size", "epochs", "val_size")
NUMBER = int | float | np.integer | np.floating
_TAKEN = ("unique_id", "ds", "cutoff", "y", "ridge", "seasonal_naive")  # columns of a table of forecasts


def check_options(forecaster: Any) -> None:
    """Raise CeldaError, in one line, for an option that cannot be used whatever the table."""
    given = forecaster.get_params(deep=False)
    check_horizon(given["h"])
    for name in _COUNTS:
        if given[name] is not None:
            check_count(name, given[name])
    cell = check_cell(given["cell"], "a forecast")
    if cell.name in _TAKEN:
        raise CeldaError(
            f"A cell cannot be called {cell.name!r} here: its forecast is a column of that name, beside one that is "
            "called so already: rename the function."
        )
    check_probability("dropout", given["dropout"])
    for name, known in (("loss", LOSSES), ("scaler", KINDS)):
        if given[name] not in known:
            raise CeldaError(f"There is no {name} {given[name]!r}: write one of {', '.join(map(repr, known))}.")
    _check_level(given["level"])
    if given["loss"] != "quantile" and len(given["level"]) and not forecaster.calibrates:
        raise CeldaError(
            f"loss={given['loss']!r} without calibration gives no intervals: write level=(), calibrate=None or "
            "loss='quantile'."
        )


def check_cell(given: Any, what: str) -> Cell:
    """The cell that the user gave for `what`. Raises CeldaError where it is none, or wants further inputs."""
    if not isinstance(given, str | Cell):
        raise CeldaError(f"cell={given!r} is no cell: write cell='lstm', or give a cell of your own (@cell).")
    cell = cells.find(given)
    if len(cell.inputs) > 1:
        further = ", ".join(cell.inputs[1:])
        raise CeldaError(
            f"The cell {cell.name} wants a further input ({further}), which {what} has not: write cell='lstm', or "
            f"another cell of one input."
        )
    return cell


def check_probability(name: str, value: Any) -> None:
    """Raise CeldaError where `value`, which the user calls `name`, is no share of values that may be dropped."""
    if not isinstance(value, NUMBER) or not 0 <= value < 1:
        raise CeldaError(f"{name}={value!r} is no probability below 1: write for example {name}=0.1.")


def check_count(name: str, value: Any) -> None:
    """Raise CeldaError where `value`, which the user calls `name`, is not a whole number of at least 1."""
    if whole_number(value) is None:
        raise CeldaError(f"{name}={value!r} cannot be used: it is a whole number of at least 1.")


class NotFitted(CeldaError, NotFittedError):
    """The error of a model that was asked before it was fitted, for scikit-learn too."""


def check_fitted(model: Any) -> None:
    """Raise CeldaError where the model was not fitted."""
    if not hasattr(model, "options_"):
        name = type(model).__name__
        raise NotFitted(f"This {name} is not fitted yet: call fit first, or load a model with celda.load.")


def settled(forecaster: Any) -> Any:
    """A copy of a forecaster's options that nobody else holds, with Python's own numbers in the place of NumPy's."""
    given = forecaster.get_params(deep=False)
    return type(forecaster)(**{name: _pythonic(value) for name, value in given.items()})


def to_plain(forecaster: Any) -> dict[str, Any]:
    """The options as JSON can hold them; of a cell, the name."""
    return {name: _plain(value) for name, value in forecaster.get_params(deep=False).items()}


class OwnCellError(CeldaError):
    """A model was trained with a cell of the user's, called `name`, which was not given."""

    def __init__(self, name: str, told: str) -> None:
        super().__init__(told)
        self.name = name


def from_plain(plain: dict[str, Any], known: set[str], cell: Cell | None) -> dict[str, Any]:
    """The options that `to_plain` gave, with the cell of the user where it was not one of Celda's."""
    if unknown := sorted(set(plain) - known):
        raise CeldaError(
            f"It was written by another version of Celda, with an option that this one has not: {unknown[0]}."
        )
    name = plain["cell"]
    if cell is None and name not in cells.CELLS:
        raise OwnCellError(
            name,
            f"It was trained with a cell of yours, {name!r}, and equations are not read from files: give cell={name} "
            "with its definition, from Python.",
        )
    return {**{key: _from_plain(value) for key, value in plain.items()}, "cell": cell or name}


def check_equations(cell: str | Cell, trained: str, equations: list[str]) -> None:
    """Raise CeldaError where a cell is not the one, called `trained`, of these equations that a model has."""
    found = cells.find(cell)
    if found.equations().splitlines() != equations:
        raise CeldaError(
            f"The model was trained with a cell {trained!r} of other equations than {found.name!r}: give that cell."
        )


def _plain(value: Any) -> Any:
    value = value.name if isinstance(value, Cell) else _pythonic(value)
    if isinstance(value, dict):
        return {"pairs": [[key, one] for key, one in value.items()]}  # the keys of JSON are strings, and these any
    return list(value) if isinstance(value, tuple) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(value["pairs"])
    return tuple(value) if isinstance(value, list) else value


def _pythonic(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(_pythonic(one) for one in value)
    if isinstance(value, dict):
        return {_pythonic(key): _pythonic(one) for key, one in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _check_level(level: Any) -> None:
    if isinstance(level, str | NUMBER):
        raise CeldaError(f"level={level!r} is no list of levels: write for example level=(80, 95).")
    for one in level:
        if isinstance(one, bool) or not isinstance(one, NUMBER) or not 0 < one < 100:
            raise CeldaError(f"The level {one!r} is no per cent between 0 and 100: write for example level=(80, 95).")
        if one < 1:
            raise CeldaError(
                f"The level {one!r} is less than one per cent: write it in per cent, as level=({100 * one:g},)."
            )
    if len(set(level)) < len(level):
        raise CeldaError(f"level={tuple(level)} names a level twice: write each once.")
