"""The options of tasks that learn from labelled sequences, met at the door."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from celda.errors import CeldaError
from celda.models.pooling import KINDS
from celda.tasks.options import NUMBER, check_cell, check_count, check_probability, settled
from celda.training import TrainingConfig

_COUNTS = ("hidden_size", "num_layers", "embedding_size", "min_count", "max_length", "batch_size", "epochs")
_SHARES = ("dropout", "word_dropout")
_MISSING = ("error", "mask")
_SWITCHES = ("bidirectional", "crf", "wide", "calibrate")


def check_sequence_options(estimator: Any) -> None:
    """Raise CeldaError, in one line, for an option of a Classifier or a Tagger that can never be used."""
    given = estimator.get_params(deep=False)
    for name in _COUNTS:
        if given.get(name) is not None:
            check_count(name, given[name])
    check_cell(given["cell"], "a labelled sequence")
    for name in _SHARES:
        if given[name] is not None:
            check_probability(name, given[name])
    if not _within(given["validation"], 0, 0.9):
        raise CeldaError(
            f"validation={given['validation']!r} is no share of the data: write for example validation=0.2, or 0 for "
            "none."
        )
    if not _within(given["noise"], 0, float("inf")):
        raise CeldaError(f"noise={given['noise']!r} is no deviation: write 0, or for example noise=0.1.")
    if given["missing"] not in _MISSING:
        raise CeldaError(f"missing={given['missing']!r} is not known: write 'error' or 'mask'.")
    if given.get("pooling") not in (None, *KINDS):
        raise CeldaError(f"There is no pooling {given['pooling']!r}: write one of {', '.join(map(repr, KINDS))}.")
    weight = given["class_weight"]
    if weight is not None and weight != "balanced" and not isinstance(weight, dict):
        raise CeldaError(f"class_weight={weight!r} is not known: write None, 'balanced' or a dict, weight by class.")
    for label, one in weight.items() if isinstance(weight, dict) else ():
        if isinstance(one, bool) or not isinstance(one, NUMBER) or not 0 < one < math.inf:
            raise CeldaError(f"class_weight gives {label!r} the weight {one!r}: write a number above 0.")
    for name in _SWITCHES:
        if not isinstance(given.get(name, False), bool | np.bool_):
            raise CeldaError(f"{name}={given[name]!r} is neither True nor False: write one of them.")
    training_config(settled(estimator), epochs=1)


def training_config(options: Any, epochs: int) -> TrainingConfig:
    """How a network is trained with these options. Raises CeldaError where one of them cannot be."""
    return TrainingConfig(
        epochs=epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        warmup=0.2,
        seed=options.seed,
        device=options.device,
    )


def _within(value: Any, least: float, below: float) -> bool:
    try:
        return not isinstance(value, bool) and bool(least <= value < below)
    except TypeError:
        return False
