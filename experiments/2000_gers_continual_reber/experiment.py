"""Continual embedded Reber grammar, with forget gates and without."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, one_hot

from celda.language import cell, gate, linear, sigmoid, tanh
from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, weights
from experiments.tasks import reber
from experiments.tasks.reber import SYMBOLS


@cell
def lstm_without_forget_gates(x, h, c):  # type: ignore[no-untyped-def]
    """LSTM whose memory is never forgotten, as before forget gates (Gers, Schmidhuber & Cummins 2000)."""
    i = gate("i", sigmoid, linear(x, h))
    g = gate("g", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    c = c + i * g
    return o * tanh(c), c


CELLS = {"lstm": "lstm", "lstm_without_forget_gates": lstm_without_forget_gates}


@dataclass(frozen=True)
class Stream:
    """A setting: `chunks` of `strings` strings each; the gradient ends where a chunk begins, the state goes on."""

    cell: str
    hidden_size: int = 12
    learning_rate: float = 0.01
    chunks: int = 2_000
    strings: int = 6
    clip: float = 1.0


def outer_places(strings: list[str]) -> list[int]:
    """Where in the strings, one after another, the second T or P is the next symbol."""
    places, begin = [], 0
    for string in strings:
        places.append(begin + len(string) - 3)
        begin += len(string)
    return places


def once(setting: Stream, seed: int) -> Figures:
    """Learn from one stream without end, then go on through 1,000 more strings and count."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    net = Network(CELLS[setting.cell], len(SYMBOLS), setting.hidden_size, len(SYMBOLS))
    optimizer = torch.optim.Adam(net.parameters(), lr=setting.learning_rate)
    state, last = None, ""

    def chunk(strings: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """The symbols from the last one of the chunk before on, and the one after each."""
        symbols = reber.encode(last + "".join(strings))
        return one_hot(symbols[:-1], len(SYMBOLS)).float().unsqueeze(1), symbols[1:]

    for _ in range(setting.chunks):
        strings = [reber.embedded(rng) for _ in range(setting.strings)]
        x, following = chunk(strings)
        scores, state = net(x, state)
        optimizer.zero_grad()
        cross_entropy(scores.squeeze(1), following).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), setting.clip)
        optimizer.step()
        state, last = tuple(s.detach() for s in state), strings[-1][-1]
    strings = [reber.embedded(rng) for _ in range(1000)]
    x, following = chunk(strings)
    with torch.no_grad():
        scores, (_, memory) = net(x, state)
    right = scores.squeeze(1).argmax(-1) == following
    places = [place + len(last) for place in outer_places(strings)]
    return {"outer": right[places].float().mean().item(), "memory": memory.abs().mean().item(), "weights": weights(net)}


EXPERIMENT = Experiment(
    title="Continual embedded Reber grammar",
    source="Gers, Schmidhuber & Cummins 2000",
    claim="""Strings of the embedded Reber grammar follow one another without end, and nobody says where one begins:
the network has to empty its memory by itself. Of 100 nets in the paper, 18 become perfect with forget gates (62
with a decaying learning rate), none without; 74 of those whose memory is emptied from outside.""",
    setting="""A smaller trial than the paper's: 12 cells, Adam, one stream of 12,000 strings, learned in chunks of
six. Then 1,000 more strings come, and the second T or P is to be predicted, which is right in half of all cases by
guessing. "Memory" is the mean |c| at the end. The cell without forget gates is written in the experiment's own
file, as its equations.""",
    columns=(
        Column("outer", "outer T/P right", ".1%"),
        Column("memory", "memory", ".1f"),
        Column("weights", "weights"),
    ),
    runs=(
        Run("lstm", Stream("lstm"), once, "18-62 % perfect"),
        Run("without_forget_gates", Stream("lstm_without_forget_gates"), once, "0 % perfect"),
    ),
    checks=(
        Check(
            "With forget gates at least 95 % of the outer T/P, on 5 seeds",
            lambda r: min(r["lstm"].of("outer")) >= 0.95,
            ("lstm",),
        ),
        Check(
            "Without them at most 70 %",
            lambda r: max(r["without_forget_gates"].of("outer")) <= 0.7,
            ("without_forget_gates",),
        ),
    ),
    why="""Agrees. Nothing ever leaves a memory without forget gates, which therefore grows as long as the stream goes
on, until the output's tanh is saturated; then the net guesses. With them it stays at about 1. Adam, and a
judgement by the outer symbols alone, make our nets better than the paper's, which counts a net as perfect only if
it makes no mistake in a million symbols.""",
)
