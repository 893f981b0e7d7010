"""The language model that a network has to beat: counts of n-grams, smoothed."""

from __future__ import annotations

import numpy as np

from celda.data import Tokens
from celda.tasks.language.scores import Score

_MOST_ORDER = 8
_LEARNT, _SCORED = 5_000_000, 1_000_000  # tokens, the last of the training part and the first of the others, at most


def ngram_losses(train: np.ndarray, text: np.ndarray, size: int) -> np.ndarray:
    """The mean loss in nats a token, over `text` but for its first token, of n-gram models for n = 1, 2, ..., 8.

    Witten-Bell smoothing (1991), interpolated: with N(c, w) how often w followed the context c in `train`, T(c) how
    many different tokens did, and P' the model of one order less (at the end 1 / `size`),

        P(w | c) = (N(c, w) + T(c) P'(w)) / (N(c) + T(c)),    P'(w) where c never came.
    """
    tokens = np.concatenate([train, text]).astype(np.int64)
    learnt = np.arange(len(tokens)) < len(train)
    context = np.zeros(len(tokens), dtype=np.int64)
    probability = np.full(len(tokens), 1 / size)
    losses = []
    for _ in range(_MOST_ORDER):
        _, gram = np.unique(context * size + tokens, return_inverse=True)
        seen = np.bincount(gram[learnt], minlength=gram.max() + 1)
        before = np.bincount(context[learnt], minlength=context.max() + 1)[context]
        # each n-gram that was learnt is counted once, where it comes first
        _, places = np.unique(gram[learnt], return_index=True)
        kinds = np.bincount(context[learnt][places], minlength=context.max() + 1)[context]
        total = before + kinds
        smoothed = (seen[gram] + kinds * probability) / np.maximum(total, 1)
        probability = np.where(total > 0, smoothed, probability)
        losses.append(-np.log(probability[len(train) + 1 :]).mean())
        context = np.concatenate([[gram.max() + 1], gram[:-1]])  # of the next order: this n-gram, one token earlier
    return np.array(losses)


def baselines(train: Tokens, valid: Tokens, test: Tokens, size: int) -> dict[str, Score]:
    """The scores on the test part of counting tokens alone, and of n-grams of the order that validates best."""
    learnt = np.array(train.map()[-_LEARNT:])
    best = int(ngram_losses(learnt, np.array(valid.map()[:_SCORED]), size).argmin())
    losses = ngram_losses(learnt, np.array(test.map()[:_SCORED]), size)
    count = test.count - 1
    characters = count * test.characters / test.count
    names = {0: "unigram"} | {best: f"{best + 1}-gram"}
    return {name: Score(float(losses[order]) * count, count, characters) for order, name in reversed(names.items())}
