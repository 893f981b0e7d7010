"""The embedded Reber grammar (Hochreiter & Schmidhuber 1997, figure 4).

A string is B, then T or P, then a string of Reber's grammar, then that T or P again, then E. Whoever predicts the last
but one symbol must remember the second. Wherever two symbols are legal both have probability 1/2.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

SYMBOLS = "BTPSXVE"
# Reber's grammar: of each node, the symbols that leave it and where they lead; -1 is the end.
ARROWS = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": -1},
)


def inner(rng: random.Random) -> str:
    """A string of Reber's grammar."""
    node, string = 0, ""
    while node >= 0:
        symbol = rng.choice(list(ARROWS[node]))
        string, node = string + symbol, ARROWS[node][symbol]
    return string


def embedded(rng: random.Random) -> str:
    """A string of the embedded grammar."""
    outer = rng.choice("TP")
    return f"B{outer}{inner(rng)}{outer}E"


def legal(string: str) -> list[set[str]]:
    """What may come after each symbol of a string of the embedded grammar; nothing after the last.

    Raises ValueError where the string is none of the grammar.
    """
    after, node = [{"T", "P"}, {"B"}], 0
    if len(string) < 5 or string[0] != "B" or string[1] not in "TP":
        raise ValueError(f"{string!r} does not begin as a string of the embedded grammar.")
    for place, symbol in enumerate(string[2:-2]):
        if node < 0 or symbol not in ARROWS[node]:
            raise ValueError(f"{symbol} cannot stand at place {place + 2} of {string!r}.")
        node = ARROWS[node][symbol]
        after.append({string[1]} if node < 0 else set(ARROWS[node]))
    if node >= 0 or string[-2:] != string[1] + "E":
        raise ValueError(f"{string!r} does not end as a string of the embedded grammar.")
    return [*after, {"E"}, set()]


def encode(string: str) -> Tensor:
    """The places of the symbols in `SYMBOLS`, (T,)."""
    return torch.tensor([SYMBOLS.index(symbol) for symbol in string])


class Strings:
    """Strings side by side: `x` (T, B, 7), and which symbols are legal after each step, `legal` (T, B, 7)."""

    def __init__(self, strings: Sequence[str]):
        steps = max(map(len, strings)) - 1  # nothing is predicted after the last symbol
        self.x = torch.zeros(steps, len(strings), len(SYMBOLS))
        self.legal = torch.zeros(steps, len(strings), len(SYMBOLS), dtype=torch.bool)
        for place, string in enumerate(strings):
            self.x[: len(string) - 1, place] = one_hot(encode(string[:-1]), len(SYMBOLS)).float()
            for step, following in enumerate(legal(string)[:-1]):
                self.legal[step, place, [SYMBOLS.index(symbol) for symbol in following]] = True

    def right(self, scores: Tensor) -> Tensor:
        """For each string whether at every step the legal symbols are the most active outputs, (B,)."""
        least_legal = scores.masked_fill(~self.legal, torch.inf).amin(-1)
        most_other = scores.masked_fill(self.legal, -torch.inf).amax(-1)
        return ((least_legal > most_other) | ~self.legal.any(-1)).all(0)
