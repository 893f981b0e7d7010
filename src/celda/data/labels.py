"""Labels as users write them, and their places among the classes that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets

from celda.errors import CeldaError


def check_labels(labels: Sequence[np.ndarray]) -> None:
    """Raise CeldaError unless arrays of labels, one a sequence, are all of one kind, and tell classes apart."""
    for place, one in enumerate(labels):
        if (gone := pd.isna(one)).any():
            raise CeldaError(
                f"Sequence {place} has no label at step {int(gone.argmax())} ({one[gone.argmax()]}): label each step, "
                "or cut the sequence there."
            )
    kinds = {"strings" if isinstance(label, str) else "numbers" for one in labels for label in one.tolist()}
    if len(kinds) > 1:
        raise CeldaError("The labels are strings and numbers: write all as strings, or all as whole numbers.")
    try:
        check_classification_targets(np.array(np.concatenate(labels).tolist()))
    except ValueError as error:
        raise CeldaError(f"The labels cannot tell classes apart ({error}): write whole numbers, or strings.") from error


def in_terms_of(classes: np.ndarray, labels: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Labels as those of the `classes` that are written alike: "0", as a file has it, as 0. Others stay."""
    known: dict[Any, Any] = {str(label): label for label in classes.tolist()}
    given = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    there = set(classes.tolist())
    found = [label if label in there else known.get(str(label), label) for label in given]
    whole = all(label in there for label in found)
    return np.array(found, dtype=classes.dtype if whole else object)


def places_of(classes: np.ndarray, labels: np.ndarray, name: str, what: str) -> np.ndarray:
    """The place of each label among the classes: (N,). Raises CeldaError where one is not among them.

    name: of the data. what: a word for a label: "class".
    """
    places = {label: place for place, label in enumerate(classes.tolist())}
    if unseen := sorted({str(one) for one in labels.tolist() if one not in places}):
        raise CeldaError(
            f"{name} holds a {what} that the model has not learnt, {unseen[0]!r}: it knows "
            f"{', '.join(map(str, classes[:12]))}; leave those sequences out, or train with them."
        )
    return np.array([places[one] for one in labels.tolist()])
