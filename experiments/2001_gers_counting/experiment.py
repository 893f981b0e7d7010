"""Counting: a^n b^n and a^n b^n c^n."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pad_sequence

from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, Training, learn, weights
from experiments.tasks import counting

TRAINED, TESTED = 10, 400


@dataclass(frozen=True)
class Counting(Training):
    """A setting with the letters of the language."""

    letters: str = "ab"


def longest(net: Network, letters: str) -> int:
    """The largest n up to which every string is accepted: at each step just the legal symbols have outputs above .5."""
    for n in range(1, TESTED + 1):
        x, legal = counting.encoded(n, letters)
        if not bool(((net(x.unsqueeze(1))[0].squeeze(1) > 0) == legal).all()):
            return n - 1
    return TESTED


def once(training: Counting, seed: int) -> Figures:
    """Learn the strings of n = 1 ... 10, all ten in each step."""
    torch.manual_seed(seed)
    strings = [counting.encoded(n, training.letters) for n in range(1, TRAINED + 1)]
    x, legal = (pad_sequence([one[part] for one in strings]) for part in (0, 1))
    real = x.any(-1)
    net = Network(training.cell, x.shape[-1], training.hidden_size, x.shape[-1])

    def loss() -> torch.Tensor:
        return binary_cross_entropy_with_logits(net(x)[0][real], legal[real].float())

    learn(net, training, loss, lambda _: False)
    with torch.no_grad():
        n = longest(net, training.letters)
    return {"n": n, "weights": weights(net)}


def setting(letters: str, hidden_size: int, limit: int) -> Counting:
    """The same for all but what is named here."""
    return Counting("peephole_lstm", hidden_size, 0.01, limit, batch_size=TRAINED, decay=True, letters=letters)


EXPERIMENT = Experiment(
    title="Counting",
    source="Gers & Schmidhuber 2001",
    claim="""From the strings a^n b^n, or a^n b^n c^n, with n up to 10, an LSTM with peepholes learns to count: it
accepts strings much longer than it has seen. A string is accepted if at every step just the legal next symbols are
predicted.""",
    setting="""Adam with a learning rate that falls to 0, all ten strings in every step, logistic outputs with the set
of legal symbols as the target, a fixed number of steps. n is the largest for which this and all shorter strings
are accepted; it is tested up to 400.""",
    columns=(Column("n", "n", over="best"), Column("n", "n of all seeds"), Column("weights", "weights")),
    runs=(
        Run("anbn", setting("ab", 4, 100_000), once),
        Run("anbncn", setting("abc", 6, 150_000), once),
    ),
    checks=(
        Check("a^n b^n: the best of 5 seeds reaches n = 30", lambda r: max(r["anbn"].of("n")) >= 30, ("anbn",)),
        Check("a^n b^n c^n: the best of 5 seeds reaches n = 18", lambda r: max(r["anbncn"].of("n")) >= 18, ("anbncn",)),
    ),
    why="""Every seed counts further than the strings that it learned from, n = 10. How far differs widely: the count is
a number in a memory, which must neither leak nor saturate, and nothing in the training says so beyond 10.""",
)
