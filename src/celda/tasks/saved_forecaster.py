"""A fitted forecaster as a model directory, and back."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import celda
from celda import cells
from celda.data import Preprocessor
from celda.language import Cell
from celda.tasks.corrections import Corrections
from celda.tasks.model_card import forecaster_card
from celda.tasks.model_directory import StoredModel, write_model
from celda.tasks.options import check_equations, from_plain, settled, to_plain
from celda.tasks.phases import build_network
from celda.tasks.predictor import Predictor
from celda.tasks.sizes import Sizes

if TYPE_CHECKING:
    from celda.tasks.forecaster import Forecaster

TASK = "forecast"


def save(forecaster: Forecaster, directory: Path) -> None:
    """Write a fitted forecaster."""
    forecaster = copy(forecaster).set_params(**forecaster.options_.get_params(deep=False))  # not what was set since
    predictor = forecaster.predictor_
    corrections = predictor.corrections
    cell = cells.find(forecaster.cell)
    config = {
        "celda": celda.__version__,
        "parameters": to_plain(forecaster),
        "equations": cell.equations().splitlines(),
        "sizes": asdict(forecaster.sizes_),
        "epochs": forecaster.epochs_,
        "corrections": {"moves": corrections.moves.tolist(), "units": dict(corrections.units)},
        "columns": forecaster.columns_,
        "naive_scale": {name: None if np.isnan(one) else one for name, one in forecaster.naive_scale_.items()},
        "trained_until": {name: _plain(stamp) for name, stamp in forecaster.trained_until_.items()},
    }
    stored = StoredModel(TASK, config, predictor.preprocessor.to_dict(), predictor.network.state_dict())
    write_model(directory, stored, forecaster_card(forecaster, directory))


def restore(stored: StoredModel, cell: Cell | None) -> Forecaster:
    """The forecaster of a directory. `cell`: the cell of its user, whose equations the directory cannot run."""
    from celda.tasks.forecaster import Forecaster

    config = stored.config
    forecaster = Forecaster(**from_plain(config["parameters"], set(Forecaster(1).get_params()), cell))
    check_equations(forecaster.cell, config["parameters"]["cell"], config["equations"])
    forecaster.options_ = options = settled(forecaster)
    forecaster.sizes_, forecaster.epochs_ = Sizes(**config["sizes"]), config["epochs"]
    forecaster.histories_, forecaster.notes_, forecaster._table = {}, (), None
    preprocessor = Preprocessor.from_dict(stored.preprocessor)
    network = build_network(options, forecaster.sizes_, preprocessor)
    network.load_state_dict(stored.tensors)
    moves = np.array(config["corrections"]["moves"]).reshape(len(options.level), options.h)
    corrections = Corrections(moves, config["corrections"]["units"])
    forecaster.predictor_ = Predictor(network.eval(), preprocessor, corrections)
    forecaster.columns_ = config["columns"]
    forecaster.naive_scale_ = {name: np.nan if one is None else one for name, one in config["naive_scale"].items()}
    forecaster.trained_until_ = {
        name: stamp if isinstance(stamp, int) else pd.Timestamp(stamp)
        for name, stamp in config["trained_until"].items()
    }
    return forecaster


def _plain(stamp: Any) -> Any:
    """A time stamp as JSON can hold it."""
    return stamp.isoformat() if isinstance(stamp, pd.Timestamp) else stamp
