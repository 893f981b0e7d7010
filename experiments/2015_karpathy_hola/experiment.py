"""One word, one letter at a time."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, one_hot

from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, Training, learn, weights

WORD = "hola"


def encode(letters: str) -> torch.Tensor:
    """One-hot, (T, 1, 4)."""
    return one_hot(torch.tensor([[WORD.index(letter)] for letter in letters]), len(WORD)).float()


@torch.no_grad()
def write(net: Network, letter: str) -> str:
    """The letter, and what the network writes after it: each time its best guess, which it is then given."""
    stepper, written = net.layer.stepper(1), letter
    while len(written) < len(WORD):
        scores = net.readout(stepper(encode(written[-1])[0]))
        written += WORD[int(scores.argmax())]
    return written


def once(training: Training, seed: int) -> Figures:
    """Learn to say o after h, l after o and a after l; then write from h on."""
    torch.manual_seed(seed)
    net = Network(training.cell, len(WORD), training.hidden_size, len(WORD))
    x, target = encode(WORD[:-1]), torch.tensor([WORD.index(letter) for letter in WORD[1:]])
    used = learn(net, training, lambda: cross_entropy(net(x)[0].squeeze(1), target), lambda mean: mean < 0.01)
    return {"steps": used, "writes": float(write(net, "h") == WORD), "weights": weights(net)}


EXPERIMENT = Experiment(
    title="hola",
    source='after Karpathy 2015, "The unreasonable effectiveness of recurrent neural networks"',
    claim="""The smallest example: given h, o and l, one letter at a time, a network learns to say which letter comes
next. Then it is given h alone and writes by itself, each letter fed back as the next input.""",
    setting="""Four letters, four units, Adam, until the mean cross-entropy is below .01. No letter comes twice, so no
memory is needed.""",
    columns=(
        Column("writes", 'writes "hola"', over="count"),
        Column("steps", "steps of learning"),
        Column("weights", "weights"),
    ),
    runs=tuple(
        Run(cell, Training(cell, 4, learning_rate=0.05, limit=2_000, check=10), once, seeds=10)
        for cell in ("rnn", "gru", "lstm")
    ),
    checks=(
        Check(
            'Every cell writes "hola", from every seed',
            lambda r: all(result.count("writes", 1) == 10 for result in r.values()),
            ("rnn", "gru", "lstm"),
        ),
    ),
    why="""As expected. Each letter is followed by one other, so a plain network does as well as any; the rest of this
page is about what it cannot do.""",
)
