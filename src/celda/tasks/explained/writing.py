"""A language model, opened: how it reads a text, and what its next token stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from celda import cells
from celda.data import Text
from celda.errors import CeldaError
from celda.models import LanguageNetwork
from celda.tasks.explained.parts import Layer, Line
from celda.tasks.language import LanguageModel
from celda.tasks.language.model import Source
from celda.tasks.language.options import Parts

_SEQUENCES = 64  # pieces of the text that are looked at
_LONGEST = 8  # characters of a token, in the mean
_VOWELS = frozenset("aeiouáéíóúàèìòùâêîôûäëïöüæøåãõ")
_ENDS = frozenset(".!?…")


@dataclass(frozen=True)
class NextToken:
    """What the probability of the token that came next stands on; see `celda.insight.Question`."""

    network: LanguageNetwork
    tokens: Tensor  # (T,)
    following: int
    words: str
    labels: Sequence[str]
    series: None = None
    unit: float = 1.0
    unit_words: str = "nats"
    baseline_words: str = "a text in which every token is the mean of all"

    @property
    def x(self) -> Tensor:
        """The piece, embedded: (1, T, E)."""
        found: Tensor = self.network.embedding(self.tokens).detach().unsqueeze(0)
        return found

    @property
    def baseline(self) -> Tensor:
        """The mean embedding at every step."""
        return self.network.embedding.weight.detach().mean(0).expand_as(self.x)

    def output(self, x: Tensor) -> Tensor:
        """The logarithm of the probability of the token that came: (B,)."""
        y, _ = self.network.recurrent(x.transpose(0, 1))
        return self.network.scores(y[-1]).log_softmax(-1)[:, self.following]


@dataclass(frozen=True)
class Explained:
    """A language model and pieces (T + 1, B) of a text, one after another; see `celda.insight.Subject`."""

    model: LanguageModel
    pieces: Tensor
    source: str

    @property
    def network(self) -> LanguageNetwork:
        """The trained network."""
        return self.model.network_

    @property
    def unit(self) -> str:
        """What one token is."""
        return self.model.vocabulary_.kind

    @property
    def title(self) -> str:
        """What the report is about."""
        return f"Inside a trained network: {self._cell} foretelling a text, {self.unit} by {self.unit}"

    @property
    def facts(self) -> dict[str, str]:
        """What was looked at."""
        layer, (steps, count) = self.network.recurrent, self.pieces.shape
        return {
            "Foretells": f"the next {self.unit} of a text, from those before it",
            "Data": self.source,
            "Network": f"{self._cell}, {layer.hidden_size} units, layers: {layer.num_layers}; a {self.unit} enters as "
            f"{self.network.embedding.embedding_dim} numbers that were learned",
            "A step": f"one {self.unit}",
            "Shown": f"the last piece, of {steps - 1} steps",
            "Looked at": f"{count} pieces, one after another; each begins with nothing in memory",
        }

    def run(self) -> Tensor:
        """Score what follows, in all pieces."""
        scores: Tensor = self.network(self.pieces[:-1])[0]
        return scores

    @property
    def parts(self) -> tuple[Layer]:
        """The recurrent layers."""
        columns = tuple(f"number {k + 1} of the {self.unit}" for k in range(self.network.embedding.embedding_dim))
        return (
            Layer(
                "recurrent",
                "Reading the text",
                f"a {self.unit}",
                self._texts[:-1, -1].tolist(),
                columns,
                self._targets(),
                Line(
                    f"surprise at the {self.unit} that follows, in nats", np.arange(len(self._surprise)), self._surprise
                ),
            ),
        )

    @property
    def question(self) -> NextToken:
        """What the last token of the last piece was foretold by."""
        piece, labels = self.pieces[:, -1], self._texts[:, -1].tolist()
        words = f"the log-probability that {_shown(labels[-1])} comes next"
        return NextToken(self.network, piece[:-1], int(piece[-1]), words, labels[:-1])

    @property
    def _cell(self) -> str:
        return cells.find(self.model.options_.cell).name

    @cached_property
    def _surprise(self) -> np.ndarray:
        """Less the log-probability of what came after each step of the last piece."""
        with torch.no_grad():
            scores = self.network(self.pieces[:-1, -1:])[0][:, 0].log_softmax(-1)
        found: np.ndarray = -scores.gather(1, self.pieces[1:, -1:])[:, 0].numpy()
        return found

    @cached_property
    def _texts(self) -> np.ndarray:
        """Every token as it is written: (T + 1, B)."""
        decode = self.model.vocabulary_.decode
        found: np.ndarray = np.vectorize(lambda token: decode([token]), otypes=[object])(self.pieces.numpy())
        return found

    def _targets(self) -> dict[str, np.ndarray]:
        """What units may follow at each step: (T, B) each."""
        texts = self._texts[:-1]
        of_each = lambda test: np.vectorize(test, otypes=[bool])(texts)  # noqa: E731
        found = {
            "a capital letter": of_each(lambda text: text.strip()[:1].isupper()),
            "a digit": of_each(lambda text: text.strip()[:1].isdigit()),
            "the end of a line": of_each(lambda text: "\n" in text),
            "the end of a sentence": of_each(lambda text: text.strip()[-1:] in _ENDS and bool(text.strip())),
            "steps since the end of a line": _since(of_each(lambda text: "\n" in text)),
        }
        if self.unit == "character":
            blank = of_each(str.isspace)
            found |= {
                "a blank": blank,
                "a vowel": of_each(lambda text: text.lower() in _VOWELS),
                "a mark": of_each(lambda text: not text.isalnum() and not text.isspace()),
                "steps since a blank": _since(blank),
            }
        return found


def subject(model: LanguageModel, source: Source, *, held_out: bool) -> Explained:
    """A language model and the beginning of a text; `held_out`: of its test part.

    Raises CeldaError where the text is too short for one piece.
    """
    text = Text.of(source, model.options_.encoding)
    begin = Parts.of(model.options_, text.length).valid if held_out else 0
    steps = model.options_.steps
    end = min(text.length, begin + _LONGEST * (_SEQUENCES * steps + 1))
    tokens = model.vocabulary_.encode("".join(text.blocks(begin, end)))
    steps = min(steps, len(tokens) - 1)
    if steps < 1:
        raise CeldaError(f"{text.name} holds {len(tokens)} token(s), and none follows another: give a longer text.")
    count = min((len(tokens) - 1) // steps, _SEQUENCES)
    each = np.arange(count)[:, None] * steps + np.arange(steps + 1)  # the last token of one is the first of the next
    model.network_.cpu().eval()
    return Explained(model, torch.from_numpy(tokens[each].astype(np.int64)).T.contiguous(), text.name)


def _shown(token: str) -> str:
    return {" ": "a blank", "\n": "the end of the line"}.get(token, f"“{token}”")


def _since(marks: np.ndarray) -> np.ndarray:
    """How many steps ago a mark was, (T, B); NaN before the first."""
    steps = np.arange(len(marks))[:, None]
    last = np.maximum.accumulate(np.where(marks, steps, -1))
    return np.where(last < 0, np.nan, steps - last)
