"""How well a classifier does on a test, beside its baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score, log_loss

from celda import cells
from celda.data.labelled import Labelled
from celda.tasks.sequences.calibration import calibration_error
from celda.tasks.sequences.classification_baselines import logistic_regression

if TYPE_CHECKING:
    from celda.tasks.sequences.classifier import Classifier


@dataclass(frozen=True)
class Evaluation:
    """A test of a classifier or a tagger.

    scores: a row a model, a column a metric. frame: a row a sequence (or step), with its label, what was predicted and
    how probable that was. by_class: precision, recall, F1 and count of each class. confusion: (C, C) counts, a row the
    true class, a column the predicted one. what: what was predicted, in words.
    """

    scores: pd.DataFrame
    frame: pd.DataFrame
    by_class: pd.DataFrame
    confusion: np.ndarray
    classes: np.ndarray
    model: str
    notes: tuple[str, ...]
    what: str = "sequences"


def evaluation(model: Classifier, data: Labelled) -> Evaluation:
    """Test a fitted classifier on labelled sequences."""
    name, classes = cells.find(model.options_.cell).name, model.classes_
    probabilities = {name: model.predict_proba(data)}
    if model._learnt_from is not None:
        other, regression = logistic_regression(model._learnt_from)
        probabilities[other] = regression.predict_proba(data.inputs)
    probabilities["most frequent"] = np.tile(model.prior_, (len(data), 1))
    rows = {who: _row(data.labels, found, classes) for who, found in probabilities.items()}
    scores = pd.DataFrame.from_dict(rows, orient="index")
    own = probabilities[name]
    predicted = classes[own.argmax(1)]
    ids = data.ids or [str(place) for place in range(len(data))]
    columns = {"id": ids, "label": data.labels, "predicted": predicted, "probability": own.max(1)}
    return Evaluation(
        scores,
        pd.DataFrame(columns),
        by_class(data.labels, predicted, classes),
        confusion_matrix(data.labels, predicted, labels=classes),
        classes,
        name,
        (_READING, *beaten(scores, name), *data.notes),
    )


def by_class(labels: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> pd.DataFrame:
    """Precision, recall, F1 and count of each class; NaN for one that was neither there nor predicted."""
    counts = confusion_matrix(labels, predicted, labels=classes)
    right, there, told = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {"precision": right / told, "recall": right / there, "F1": 2 * right / (told + there), "count": there}
    return pd.DataFrame(columns, index=[str(one) for one in classes])


def beaten(scores: pd.DataFrame, model: str) -> list[str]:
    """A warning where a baseline is more accurate."""
    accuracy = scores["accuracy"]
    better = [f"{name} ({value:.3g})" for name, value in accuracy.items() if value > accuracy[model]]
    if not better:
        return []
    return [
        f"On this test {' and '.join(better)} was more accurate than {model} ({accuracy[model]:.3g}): the simpler "
        "model is the better one here; more data or other options may change that."
    ]


_READING = (
    "accuracy and F1 (the mean over classes): higher is better; log-loss and ECE (how far confidence and accuracy lie "
    "apart): lower is better."
)


def _row(labels: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    predicted = classes[probabilities.argmax(1)]
    right = predicted == labels
    return {
        "accuracy": float(right.mean()),
        "F1": float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0)),
        "log-loss": float(log_loss(labels, probabilities, labels=classes)),
        "ECE": calibration_error(probabilities.max(1), right),
    }
