"""A fitted classifier or tagger as a model directory, and back."""

from __future__ import annotations

from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import celda
from celda import cells
from celda.data.labelled import Form
from celda.data.series import SeriesEncoder
from celda.data.words import WordEncoder
from celda.language import Cell
from celda.tasks.model_directory import StoredModel, write_model
from celda.tasks.options import check_equations, from_plain, settled, to_plain
from celda.tasks.sequences.card import sequence_card
from celda.tasks.sequences.estimator import SequenceEstimator

_ENCODERS: dict[str, Any] = {"series": SeriesEncoder, "words": WordEncoder}


def save(estimator: SequenceEstimator, directory: Path) -> None:
    """Write a fitted classifier or tagger."""
    options = estimator.options_
    config = {
        "celda": celda.__version__,
        "parameters": to_plain(options),
        "equations": cells.find(options.cell).equations().splitlines(),
        "form": asdict(estimator._form),
        "classes": estimator.classes_.tolist(),
        "epochs": estimator.epochs_,
        "n_features_in": getattr(estimator, "n_features_in_", None),
        **estimator._kept(),
    }
    stored = StoredModel(estimator.TASK, config, estimator.encoder_.to_dict(), estimator.network_.state_dict())
    write_model(directory, stored, sequence_card(estimator, directory))


def restore(kind: type[SequenceEstimator], stored: StoredModel, cell: Cell | None) -> SequenceEstimator:
    """The estimator of a directory. `cell`: the cell of its user, whose equations the directory cannot run."""
    config = stored.config
    estimator = kind(**from_plain(config["parameters"], set(kind().get_params()), cell))
    check_equations(estimator.cell, config["parameters"]["cell"], config["equations"])
    estimator.options_ = settled(copy(estimator))
    form = config["form"]
    columns = None if form["columns"] is None else tuple(form["columns"])
    estimator._form = Form(form["kind"], columns, form["rate"])
    estimator.kind_, estimator.classes_ = form["kind"], np.array(config["classes"])
    if columns is not None:
        estimator.feature_names_in_ = np.array(columns, dtype=object)
    estimator.epochs_, estimator.histories_, estimator.notes_ = config["epochs"], {}, ()
    estimator._learnt_from = None
    if config["n_features_in"] is not None:
        estimator.n_features_in_ = config["n_features_in"]
    estimator.encoder_ = _ENCODERS[stored.preprocessor["kind"]].from_dict(stored.preprocessor)
    estimator.network_ = estimator.options_.build_network(estimator.encoder_, len(estimator.classes_))
    estimator.network_.load_state_dict(stored.tensors)
    estimator.network_.eval()
    estimator._take_up(config)
    return estimator
