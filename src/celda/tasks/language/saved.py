"""A fitted language model as a model directory, and back."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import celda
from celda import cells
from celda.data.vocabulary import KINDS
from celda.language import Cell
from celda.tasks.language.card import model_card
from celda.tasks.model_directory import StoredModel, write_model
from celda.tasks.options import check_equations, from_plain, settled, to_plain
from celda.training import History

if TYPE_CHECKING:
    from celda.tasks.language.model import LanguageModel

TASK = "language"


def save(model: LanguageModel, directory: Path) -> None:
    """Write a fitted language model."""
    model = copy(model).set_params(**model.options_.get_params(deep=False))  # not what was set since
    config = {
        "celda": celda.__version__,
        "parameters": to_plain(model),
        "equations": cells.find(model.cell).equations().splitlines(),
        "epochs": model.epochs_,
        "scores": model.scores_.to_dict("index"),
        "tested": model.tested_,
    }
    vocabulary = {"tokenizer": model.vocabulary_.kind, "vocabulary": model.vocabulary_.to_json()}
    weights = model.network_.state_dict()
    if "output.weight" in weights and model.network_.output.weight is model.network_.embedding.weight:
        del weights["output.weight"]  # tied: it is the embedding
    write_model(directory, StoredModel(TASK, config, vocabulary, weights), model_card(model, directory))


def restore(stored: StoredModel, cell: Cell | None) -> LanguageModel:
    """The language model of a directory. `cell`: the cell of its user, whose equations the directory cannot run."""
    from celda.tasks.language.model import LanguageModel, build_network

    config = stored.config
    model = LanguageModel(**from_plain(config["parameters"], set(LanguageModel().get_params()), cell))
    check_equations(model.cell, config["parameters"]["cell"], config["equations"])
    model.options_ = settled(model)
    model.vocabulary_ = KINDS[stored.preprocessor["tokenizer"]].from_json(stored.preprocessor["vocabulary"])
    model.network_ = build_network(model.options_, model.vocabulary_)
    missing, _ = model.network_.load_state_dict(stored.tensors, strict="output.weight" in stored.tensors)
    assert set(missing) <= {"output.weight"}  # the checksums of the directory hold
    model.network_.eval()
    model.history_, model.epochs_ = History(), config["epochs"]
    model.scores_, model.tested_, model.notes_ = pd.DataFrame(config["scores"]).T, config["tested"], ()
    return model
