"""What a classifier must beat: the most frequent class, and a logistic regression that knows no order."""

from __future__ import annotations

from collections import Counter

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from celda.data.labelled import Labelled
from celda.data.words import words_of


def logistic_regression(data: Labelled) -> tuple[str, Pipeline]:
    """A name and a fitted logistic regression: on the words of texts, or on statistics of series."""
    if data.kind == "text":
        texts = Counter(word for text in data.inputs for word in set(words_of(text)))
        rare = 2 if len(data) > 20 and max(texts.values(), default=0) > 1 else 1
        counts = TfidfVectorizer(analyzer=words_of, min_df=rare, sublinear_tf=True)
        name, regression = "bag of words", make_pipeline(counts, LogisticRegression(C=10, max_iter=2000))
    else:
        steps = (FunctionTransformer(statistics), StandardScaler(), LogisticRegression(max_iter=2000))
        name, regression = "statistics", make_pipeline(*steps)
    return name, regression.fit(data.inputs, data.labels)


def statistics(series: list[np.ndarray]) -> np.ndarray:
    """Of each series (T, D) its length and, of each feature, mean, deviation, least, most, first, last, the mean size
    of a step and the share that is missing: (N, 1 + 8 D).
    """
    return np.stack([_of_one(one) for one in series])


def _of_one(one: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(one)
    filled = np.where(seen, one, np.where(seen, one, 0).sum(0) / np.maximum(seen.sum(0), 1))
    moves = np.abs(np.diff(filled, axis=0)).mean(0) if len(one) > 1 else np.zeros(one.shape[1])
    parts = (
        filled.mean(0),
        filled.std(0),
        filled.min(0),
        filled.max(0),
        filled[0],
        filled[-1],
        moves,
        1 - seen.mean(0),
    )
    return np.concatenate([[len(one)], *parts])
