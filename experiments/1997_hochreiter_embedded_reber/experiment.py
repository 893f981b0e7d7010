"""Embedded Reber grammar."""

from __future__ import annotations

import random

import torch
from torch.nn.functional import cross_entropy

from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, Training, learn, weights
from experiments.tasks import reber
from experiments.tasks.reber import SYMBOLS, Strings


def draw(rng: random.Random) -> tuple[list[str], list[str]]:
    """256 strings to learn from, and 256 that are none of them."""
    train = [reber.embedded(rng) for _ in range(256)]
    test: list[str] = []
    while len(test) < 256:
        if (string := reber.embedded(rng)) not in train:
            test.append(string)
    return train, test


def once(training: Training, seed: int) -> Figures:
    """Learn string by string, until those of both sets are all predicted rightly."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    train, test = draw(rng)
    judged, judged_test = Strings(train + test), Strings(test)
    pairs = [(Strings([string]).x, reber.encode(string[1:])) for string in train]
    net = Network(training.cell, len(SYMBOLS), training.hidden_size, len(SYMBOLS), init=training.init)

    def loss() -> torch.Tensor:
        x, following = rng.choice(pairs)
        return cross_entropy(net(x)[0].squeeze(1), following)

    @torch.no_grad()
    def solved(_: float) -> bool:
        return bool(judged.right(net(judged.x)[0]).all())

    used = learn(net, training, loss, solved)
    with torch.no_grad():
        right = judged_test.right(net(judged_test.x)[0]).float().mean().item()
    return {"solved": float(used is not None), "strings": used, "right": right, "weights": weights(net)}


EXPERIMENT = Experiment(
    title="Embedded Reber grammar",
    source="Hochreiter & Schmidhuber 1997, experiment 1",
    claim="""A string begins with T or P, goes on through Reber's grammar, and ends with the same T or P. It is solved
when in 256 strings that are learned from and 256 others, after every symbol, the legal next symbols are the most
active outputs. The paper's LSTM solves it in 97 to 100 % of its trials, after 8,440 to 39,740 strings on average;
Elman's network never does.""",
    setting="""A modern cell (forget gates, full gradient), Adam, cross-entropy, string by string. All three cells have
the same units, rate and limit. "Right" is the share of the 256 other strings with no mistake at the end.""",
    columns=(
        Column("solved", "solved", over="count"),
        Column("strings", "strings needed"),
        Column("right", "right", ".1%"),
        Column("weights", "weights"),
    ),
    runs=tuple(
        Run(cell, Training(cell, 16, learning_rate=0.01, limit=12_000), once, published, seeds=seeds)
        for cell, published, seeds in (
            ("lstm", "97-100 %; 8,440-39,740 strings", 10),
            ("gru", "", 10),
            ("rnn", '0 % (Elman); "some fraction", 25,000-173,000 (RTRL)', 5),
        )
    ),
    checks=(
        Check(
            "The LSTM solves it from 10 of 10 seeds within 12,000 strings",
            lambda r: r["lstm"].count("solved", 1) == 10,
            ("lstm",),
        ),
    ),
    why="""The LSTM agrees, and needs fewer strings than the paper's: Adam and the full gradient.""",
)
