"""The n-grams beside a network are right, by hand and as probabilities."""

import numpy as np
import pytest

from celda.data import Tokens
from celda.data.vocabulary import Characters
from celda.tasks.language.baselines import baselines, ngram_losses


def test_witten_bell_by_hand():
    # learnt: 0 1 0 1 1; size 3. Unigrams: N = 5, T = 2, P'(w) = 1/3.
    losses = ngram_losses(np.array([0, 1, 0, 1, 1]), np.array([0, 1, 2]), 3)
    p1 = {0: (2 + 2 / 3) / 7, 1: (3 + 2 / 3) / 7, 2: (2 / 3) / 7}
    assert losses[0] == pytest.approx(-np.mean([np.log(p1[1]), np.log(p1[2])]))
    # bigrams: 0 -> 1 twice, T = 1; 1 -> 0 once, 1 -> 1 once, T = 2
    p2 = [(2 + 1 * p1[1]) / 3, (0 + 2 * p1[2]) / 4]
    assert losses[1] == pytest.approx(-np.log(p2).mean())


def test_all_that_may_follow_add_up_to_one():
    learnt = np.random.default_rng(0).integers(0, 4, 60)
    for order in range(8):
        chances = [np.exp(-ngram_losses(learnt, np.array([*learnt[:3], w]), 4)[order] * 3) for w in range(4)]
        shared = [np.exp(-ngram_losses(learnt, learnt[:3], 4)[order] * 2)] * 4
        assert sum(c / s for c, s in zip(chances, shared, strict=True)) == pytest.approx(1)


def test_the_order_is_that_which_validates_best(tmp_path):
    text = "abcabd" * 400
    letters = Characters("abcd")
    train, valid, test = (
        Tokens.write(tmp_path / str(n), [part], letters) for n, part in enumerate((text[:2000], text[2000:2200], text))
    )
    found = baselines(train, valid, test, letters.size)
    assert list(found) == ["8-gram", "unigram"]  # deterministic from the fourth on, and surer with each
    assert found["8-gram"].loss < 0.02
    assert found["unigram"].loss == pytest.approx(1.33, abs=0.01)
