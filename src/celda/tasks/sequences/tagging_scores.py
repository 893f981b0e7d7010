"""How well a tagger does on a test, beside its baselines."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, f1_score

from celda import cells
from celda.data.labelled import Labelled
from celda.tasks.sequences.classification_scores import Evaluation, beaten, by_class

if TYPE_CHECKING:
    from celda.tasks.sequences.tagger import Tagger

_READING = "accuracy: the share of steps with the right label; F1: the mean over labels; higher is better."


def frequencies(data: Labelled) -> dict[str, Any]:
    """What the baselines know: the most frequent label and, with words, that of each word."""
    whole = Counter(one for tags in data.labels for one in tags.tolist())
    found: dict[str, Any] = {"label": _most(whole), "words": None}
    if data.kind == "words":
        counts: defaultdict[str, Counter] = defaultdict(Counter)
        for words, tags in zip(data.inputs, data.labels, strict=True):
            for word, tag in zip(words, tags.tolist(), strict=True):
                counts[word][tag] += 1
        found["words"] = {word: _most(count) for word, count in counts.items()}
    return found


def evaluation(model: Tagger, data: Labelled) -> Evaluation:
    """Test a fitted tagger on labelled sequences."""
    name, classes = cells.find(model.options_.cell).name, model.classes_
    known = model._kept()["frequencies"]
    labels = np.concatenate(data.labels)
    frame = model._rows(data)
    frame.insert(frame.columns.get_loc("predicted"), "label", labels)  # type: ignore[arg-type]
    predicted = {name: frame["predicted"].to_numpy()}
    if known["words"] is not None:
        told = [known["words"].get(word, known["label"]) for sentence in data.inputs for word in sentence]
        predicted["by word"] = np.array(told)
    predicted["most frequent"] = np.full(len(labels), known["label"])
    rows = {who: _row(labels, found, classes) for who, found in predicted.items()}
    scores = pd.DataFrame.from_dict(rows, orient="index")
    each = by_class(labels, predicted[name], classes)
    worst = each["F1"].nsmallest(3)
    said = f"F1 by label, the lowest: {', '.join(f'{label} {value:.3g}' for label, value in worst.items())}."
    counts = confusion_matrix(labels, predicted[name], labels=classes)
    notes = (_READING, said, *beaten(scores, name), *data.notes)
    return Evaluation(scores, frame, each, counts, classes, name, notes, "steps")


def _most(counts: Counter) -> Any:
    return min(counts, key=lambda label: (-counts[label], str(label)))


def _row(labels: np.ndarray, predicted: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    f1 = f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0)
    return {"accuracy": float((predicted == labels).mean()), "F1": float(f1)}
