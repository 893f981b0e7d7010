"""Labelled sequences so plain, and networks so small, that a fit takes a moment."""

import numpy as np

import celda

QUICK = {"hidden_size": 8, "epochs": 15, "batch_size": 8, "learning_rate": 0.02}


def waves(count=60, seed=0, least=8, most=16):
    """Series (T, 2) of a slow or a fast wave beside noise, and which it is."""
    chance = np.random.default_rng(seed)
    labels = np.array(["fast", "slow"])[np.arange(count) % 2]
    series = []
    for label in labels:
        steps = np.arange(chance.integers(least, most + 1))
        wave = np.sin(steps * (2.0 if label == "fast" else 0.5) + chance.uniform(0, 2))
        series.append(np.stack([wave + chance.normal(0, 0.1, len(steps)), chance.normal(size=len(steps))], 1))
    return series, labels


def reviews(count=60, seed=0):
    """Texts in which one word tells the label."""
    chance = np.random.default_rng(seed)
    labels = np.array(["bad", "good"])[np.arange(count) % 2]
    filler = ["the", "film", "was", "and", "plot", "actor", "scene"]
    words = {"bad": ["dull", "awful"], "good": ["lovely", "great"]}
    texts = []
    for label in labels:
        text = list(chance.choice(filler, chance.integers(4, 9)))
        text.insert(int(chance.integers(len(text))), str(chance.choice(words[label])))
        texts.append(" ".join(text))
    return texts, labels


def sentences(count=60, seed=0):
    """Sentences in which the tag of "run" depends on the word before it."""
    chance = np.random.default_rng(seed)
    kinds = [(["the", "run", "ends"], ["D", "N", "V"]), (["we", "run", "home"], ["P", "V", "N"])]
    drawn = [kinds[one] for one in chance.integers(2, size=count)]
    return [words for words, _ in drawn], [tags for _, tags in drawn]


def classifier(**options):
    """A classifier of a few weights, trained for a moment."""
    return celda.Classifier(**{**QUICK, "min_count": 1, "embedding_size": 8, **options})


def tagger(**options):
    """The same of a tagger."""
    return celda.Tagger(**{**QUICK, "embedding_size": 8, **options})
