"""Words of a text as numbers: a tokenizer, vocabularies, and what the form of a word tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from celda.errors import CeldaError

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
PAD, UNKNOWN = 0, 1  # the first two numbers of every vocabulary
_FIRST = 2


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, and its punctuation marks one by one: "Don't!" gives "don't", "!"."""
    return _WORD.findall(text.lower())


def shape_of(word: str) -> str:
    """How a word is written: "lower", "Title", "UPPER", "mixed", "digits" or "mark"."""
    if word[:1].isdigit() or word[-1:].isdigit():
        return "digits"
    if not any(letter.isalpha() for letter in word):
        return "mark"
    if word.islower():
        return "lower"
    if word.isupper() and len(word) > 1:
        return "UPPER"
    return "Title" if word[0].isupper() and word[1:] == word[1:].lower() else "mixed"


# What is told of a token besides: each has its own vocabulary.
VIEWS: dict[str, Callable[[str], str]] = {
    "word": str.lower,
    "ending": lambda word: word.lower()[-3:],
    "shape": shape_of,
}


@dataclass(frozen=True)
class Vocabulary:
    """Words and their numbers, from 2 on: 0 fills up short sequences, and 1 is any word that is not among them."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_numbers", {word: place + _FIRST for place, word in enumerate(self.words)})

    @classmethod
    def fit(cls, texts: Iterable[Iterable[str]], min_count: int = 1, max_size: int | None = None) -> Self:
        """The words that occur at least `min_count` times, the most frequent first and `max_size` at most."""
        counts = Counter(word for text in texts for word in text)
        ranked = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        return cls(tuple(ranked[:max_size]))

    def __len__(self) -> int:
        return len(self.words) + _FIRST

    def numbers(self, words: Iterable[str]) -> list[int]:
        """The number of each word."""
        known: dict[str, int] = self._numbers  # type: ignore[attr-defined]
        return [known.get(word, UNKNOWN) for word in words]


@dataclass(frozen=True)
class WordEncoder:
    """Turns lists of words into samples for a network.

    `vocabularies`: by view (`VIEWS`). `max_length`: of a longer text the first and the last half of so many words are
    read, as an opinion stands at both ends; None reads all. `spread`: in how many of the texts each word of the first
    view was found, and last how many texts there were, for a bag of words; None: there is no bag.
    """

    vocabularies: dict[str, Vocabulary]
    max_length: int | None = None
    spread: tuple[int, ...] | None = None

    @classmethod
    def fit(
        cls,
        texts: Sequence[Sequence[str]],
        views: Sequence[str] = ("word",),
        *,
        min_count: int = 1,
        max_length: int | None = None,
        bag: bool = False,
    ) -> Self:
        """Learn the vocabularies from texts, each a list of words. bag: whether samples get a bag of words."""
        found = {
            view: Vocabulary.fit(([VIEWS[view](word) for word in text] for text in texts), min_count) for view in views
        }
        if len(found[views[0]]) == _FIRST:
            raise CeldaError(
                f"No word occurs {min_count} times in the texts, so there is nothing to learn: write min_count=1, or "
                "give more texts."
            )
        return cls(found, max_length, _spread(texts, found[views[0]], VIEWS[views[0]]) if bag else None)

    def encode(self, texts: Sequence[Sequence[str]]) -> list[dict[str, Tensor]]:
        """A sample a text: `tokens` (T, V) int64, a number a view. With a bag of words, which holds the whole text,
        also `bag` (U,), the number of each word that is known, and `weight` (U,), its tf-idf, all of them of length 1,
        times the root of how common it is: Adam moves the weights of rare and of common words at the same pace, where
        a logistic regression learns most from the common ones.
        """
        samples = []
        for text in texts:
            words = self.cut(text) or [""]  # a text without a word is one unknown word
            numbers = [table.numbers(map(VIEWS[view], words)) for view, table in self.vocabularies.items()]
            samples.append({"tokens": torch.tensor(numbers).T.contiguous(), **self._bag(text)})
        return samples

    def _bag(self, words: Sequence[str]) -> dict[str, Tensor]:
        if self.spread is None:
            return {}
        view, table = next(iter(self.vocabularies.items()))
        counts = Counter(number for number in table.numbers(map(VIEWS[view], words)) if number != UNKNOWN)
        if not counts:
            return {"bag": torch.tensor([UNKNOWN]), "weight": torch.zeros(1)}
        numbers = np.array(sorted(counts))
        rarity, pace = self._rates
        weights = (1 + np.log([counts[number] for number in numbers])) * rarity[numbers - _FIRST]
        weights *= pace[numbers - _FIRST] / np.linalg.norm(weights)
        return {"bag": torch.from_numpy(numbers), "weight": torch.from_numpy(weights.astype(np.float32))}

    @cached_property
    def _rates(self) -> tuple[np.ndarray, np.ndarray]:
        """How rare each word is, log((1 + texts) / (1 + texts with it)) + 1, and the root of how common it is."""
        *found, texts = self.spread or (0,)
        common = np.array(found)
        return np.log((1 + texts) / (1 + common)) + 1, np.sqrt(common / common.mean())

    def cut(self, words: Sequence[str]) -> Sequence[str]:
        """Those of a text's words that are read."""
        if self.max_length is None or len(words) <= self.max_length:
            return words
        head = self.max_length // 2
        return [*words[:head], *words[len(words) - (self.max_length - head) :]]

    def to_dict(self) -> dict[str, Any]:
        """The encoder as JSON can hold it."""
        tables = {view: list(table.words) for view, table in self.vocabularies.items()}
        return {"kind": "words", "vocabularies": tables, "max_length": self.max_length, "spread": self.spread}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The encoder of which `to_dict` gave this."""
        tables = {view: Vocabulary(tuple(words)) for view, words in plain["vocabularies"].items()}
        return cls(tables, plain["max_length"], None if plain["spread"] is None else tuple(plain["spread"]))


def _spread(texts: Sequence[Sequence[str]], table: Vocabulary, view: Callable[[str], str]) -> tuple[int, ...]:
    found = Counter(word for text in texts for word in {view(word) for word in text})
    return (*(found[word] for word in table.words), len(texts))
