"""Long time lags without noise."""

from __future__ import annotations

import random

import torch
from torch.nn.functional import cross_entropy, one_hot

from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, Training, learn, weights

LAG = 100


def sequences() -> torch.Tensor:
    """The task's two sequences, (LAG + 1, 2): x or y, then always 1 ... LAG - 1, then the first symbol once more."""
    middle = torch.arange(LAG - 1).unsqueeze(1).expand(-1, 2)
    ends = torch.tensor([[LAG - 1, LAG]])
    return torch.cat([ends, middle, ends])


def once(training: Training, seed: int) -> Figures:
    """Learn sequence by sequence, until no output of either is .25 or more from its target."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    both = sequences()
    x, following = one_hot(both[:-1], LAG + 1).float(), both[1:]
    target = one_hot(following, LAG + 1)
    net = Network(training.cell, LAG + 1, training.hidden_size, LAG + 1, init=training.init)

    def loss() -> torch.Tensor:
        which = rng.randrange(2)
        scores, _ = net(x[:, which : which + 1])
        return cross_entropy(scores.squeeze(1), following[:, which])

    @torch.no_grad()
    def worst() -> float:
        return (net(x)[0].softmax(-1) - target).abs().max().item()

    used = learn(net, training, loss, lambda _: worst() < 0.25)
    return {"solved": float(used is not None), "sequences": used, "worst": worst(), "weights": weights(net)}


EXPERIMENT = Experiment(
    title="A lag of 100 steps without noise",
    source="Hochreiter & Schmidhuber 1997, experiment 2a",
    claim="""There are two sequences, x 1 2 ... 99 x and y 1 2 ... 99 y: the last symbol repeats the first, 100 steps
later. It is solved when no output is ever .25 or more from its target. The paper's LSTM always solves it, after
5,040 sequences; recurrent learning in real time (RTRL) solves 78 % at a lag of 4 and nothing at 10.""",
    setting="""A modern cell, Adam, softmax. Both sequences are judged, which are all there are. "Worst" is the largest
error of any output at the end.""",
    columns=(
        Column("solved", "solved", over="count"),
        Column("sequences", "sequences needed"),
        Column("worst", "worst", ".2f"),
        Column("weights", "weights"),
    ),
    runs=tuple(
        Run(cell, Training(cell, 16, learning_rate=0.01, limit=10_000, init=init, check=100), once, published)
        for cell, init, published in (
            ("lstm", "chrono:100", "100 %; 5,040 sequences"),
            ("rnn", "torch", "0 % at a lag of 10 (RTRL)"),
        )
    ),
    checks=(
        Check("The LSTM solves it from every seed", lambda r: r["lstm"].count("solved", 1) == 5, ("lstm",)),
        Check("The plain network never does", lambda r: r["rnn"].count("solved", 1) == 0, ("rnn",)),
    ),
    why="",
)
