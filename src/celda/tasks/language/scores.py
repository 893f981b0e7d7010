"""How well a text is foretold: nats a token, perplexity, bits a character."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import torch

from celda.data import StreamChunks, Tokens
from celda.models import LanguageNetwork
from celda.models.language import State, surprise

_STREAM = 10_000  # tokens of a parallel stream, at least: each begins knowing nothing, which costs the first few more
_MOST_STREAMS = 32
_STEPS = 256  # of a chunk


@dataclass(frozen=True)
class Score:
    """What it takes to foretell `tokens` tokens of a text of so many `characters`: `nats` in all."""

    nats: float
    tokens: int
    characters: float

    @property
    def loss(self) -> float:
        """The mean cross-entropy in nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        """Among how many tokens, equally likely, one would be as uncertain."""
        return math.exp(self.loss)

    @property
    def bits_per_character(self) -> float:
        """The mean cross-entropy in bits a character, which models of different tokens can be compared by."""
        return self.nats / self.characters / math.log(2)


def score(network: LanguageNetwork, tokens: Tokens) -> Score:
    """Score a text but for its first token, which nothing foretells; the state goes on along it.

    A text of 20,000 tokens or more is read as parallel streams of 10,000 or more.
    """
    batch = max(1, min(_MOST_STREAMS, tokens.count // _STREAM))
    pieces = StreamChunks(tokens, batch, _STEPS)
    device, nats, count = network.embedding.weight.device, 0.0, 0
    state: State | None = None
    network.eval()
    with torch.no_grad():
        for piece in pieces.all():
            scores, state = network(piece["x"].to(device), state, piece["start"])
            nats += surprise(scores, piece["y"].to(device))
            count += piece["y"].numel()
    return Score(nats, count, count * tokens.characters / tokens.count)


def table(scores: dict[str, Score]) -> pd.DataFrame:
    """A row a model: the loss in nats a token, the perplexity, the bits a character."""
    rows = {
        name: {"loss": one.loss, "perplexity": one.perplexity, "bits-per-character": one.bits_per_character}
        for name, one in scores.items()
    }
    return pd.DataFrame(rows).T
