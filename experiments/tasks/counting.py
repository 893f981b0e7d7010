"""The languages a^n b^n and a^n b^n c^n, as next symbols to predict (Gers & Schmidhuber 2001)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def string(n: int, letters: str) -> str:
    """S, each letter n times, T."""
    return "S" + "".join(letter * n for letter in letters) + "T"


def legal(n: int, letters: str) -> list[set[str]]:
    """What may come after each symbol but the last: while a's come nobody knows when they end."""
    last = letters + "T"
    after = [{letters[0]}, *([{letters[0], letters[1]}] * n)]
    for place, letter in enumerate(letters[1:], 1):
        after += [{letter}] * (n - 1) + [{last[place + 1]}]
    return after


def encoded(n: int, letters: str) -> tuple[Tensor, Tensor]:
    """The string without its T, (T, symbols), and which symbols may follow, bool (T, symbols)."""
    symbols = "S" + letters + "T"
    x = one_hot(torch.tensor([symbols.index(s) for s in string(n, letters)[:-1]]), len(symbols)).float()
    return x, torch.tensor([[s in following for s in symbols] for following in legal(n, letters)])
