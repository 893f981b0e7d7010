"""A text so short and a network so small that a fit takes a moment."""

import numpy as np
import pytest

import celda

LINES = [
    "En un lugar de la Mancha, de cuyo nombre no quiero acordarme.\n",
    "No ha mucho tiempo que vivía un hidalgo.\n",
    "¿Qué dices, señor? -- preguntó la niña.\n",
    "Caminante, no hay camino, se hace camino al andar.\n",
]


def text(lines=120, seed=0):
    """Lines of Spanish in an order of chance."""
    return "".join(LINES[n] for n in np.random.default_rng(seed).integers(0, len(LINES), lines))


def tiny(*args, **options):
    """A language model of a few weights, trained for a moment."""
    small = {"hidden_size": 24, "embedding_size": 8, "epochs": 3, "batch_size": 4, "steps": 20, "learning_rate": 0.02}
    return celda.LanguageModel(*args, **{**small, **options})


@pytest.fixture(scope="session")
def fitted():
    return tiny().fit(text())
