"""What a text is made of, as numbers: characters, words or subwords. Joined, the tokens are the text again."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np

from celda.errors import CeldaError

UNKNOWN = "<unk>"
# A word or a run of one sign, with the blank before it; other white space by itself.
_WORD = re.compile(r" ?\w+(?:['’]\w+)*| ?([^\w\s])\1*|\s")


class Vocabulary(ABC):
    """Numbers the tokens of a text, from 0 to `size` - 1.

    `unknown` is the number of whatever is not among them, or None where nothing can be unknown; `rare` says whether the
    text that it was learnt from had such tokens.
    """

    kind: ClassVar[str]
    default_size: ClassVar[int | None]
    unknown: ClassVar[int | None] = 0
    rare: bool = False

    @property
    @abstractmethod
    def size(self) -> int:
        """How many tokens there are, the unknown one included."""

    @classmethod
    @abstractmethod
    def fit(cls, blocks: Iterable[str], size: int | None) -> Self:
        """Learn the vocabulary from a text; its most frequent tokens where there are more than `size`."""

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The tokens of a text: (N,) integers."""

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """The text that tokens stand for."""

    def stranger(self, text: str) -> str | None:
        """The first token of a text that is unknown, as it is written; None where all are known."""
        return None

    @abstractmethod
    def to_json(self) -> Any:
        """What JSON can hold of it; `from_json` undoes it."""

    @classmethod
    @abstractmethod
    def from_json(cls, content: Any) -> Self:
        """Undo `to_json`."""


class Characters(Vocabulary):
    """One token a character (code point)."""

    kind, default_size = "character", None

    def __init__(self, characters: str, rare: bool = False) -> None:
        self.characters, self.rare = "".join(sorted(characters)), rare
        self._codes = _codes(self.characters)

    @property
    def size(self) -> int:
        """The characters and the unknown one."""
        return 1 + len(self.characters)

    @classmethod
    def fit(cls, blocks: Iterable[str], size: int | None) -> Self:
        """See `Vocabulary.fit`."""
        counts: Counter[str] = Counter()
        for block in blocks:
            codes, numbers = np.unique(_codes(block), return_counts=True)
            counts.update(dict(zip(map(chr, codes.tolist()), numbers.tolist(), strict=True)))
        kept, rare = _most_frequent(counts, size)
        return cls("".join(kept), rare)

    def encode(self, text: str) -> np.ndarray:
        """See `Vocabulary.encode`."""
        codes = _codes(text)
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return np.where(self._codes[places] == codes, places + 1, 0)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Vocabulary.decode`."""
        return "".join(self.characters[token - 1] if token else UNKNOWN for token in tokens)

    def stranger(self, text: str) -> str | None:
        """See `Vocabulary.stranger`."""
        return next((one for one in text if one not in self.characters), None)

    def to_json(self) -> Any:
        """The characters, less the unknown one."""
        return {"characters": self.characters, "rare": self.rare}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Undo `to_json`."""
        return cls(**content)


class Words(Vocabulary):
    """One token a word or a run of a sign, with the blank before it, or another white space."""

    kind, default_size = "word", 10_000

    def __init__(self, words: Sequence[str], rare: bool = False) -> None:
        self.words, self.rare = [UNKNOWN, *words], rare
        self._places = {word: place for place, word in enumerate(self.words)}

    @property
    def size(self) -> int:
        """The words and the unknown one."""
        return len(self.words)

    @classmethod
    def fit(cls, blocks: Iterable[str], size: int | None) -> Self:
        """See `Vocabulary.fit`."""
        counts: Counter[str] = Counter()
        for block in blocks:
            counts.update(match.group() for match in _WORD.finditer(block))
        return cls(*_most_frequent(counts, size))

    def encode(self, text: str) -> np.ndarray:
        """See `Vocabulary.encode`."""
        return np.array([self._places.get(match.group(), 0) for match in _WORD.finditer(text)], dtype=np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Vocabulary.decode`."""
        return "".join(self.words[token] for token in tokens)

    def stranger(self, text: str) -> str | None:
        """See `Vocabulary.stranger`."""
        return next((m.group() for m in _WORD.finditer(text) if m.group() not in self._places), None)

    def to_json(self) -> Any:
        """The words, less the unknown one."""
        return {"words": self.words[1:], "rare": self.rare}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Undo `to_json`."""
        return cls(**content)


class Subwords(Vocabulary):
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019): frequent words whole, others in parts.

    Any text can be encoded, as its bytes are tokens too. Needs the package `tokenizers`.
    """

    kind, default_size, unknown = "subword", 4_000, None
    _BYTES = 256

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """The bytes and what was merged from them."""
        return int(self._tokenizer.get_vocab_size())

    @classmethod
    def fit(cls, blocks: Iterable[str], size: int | None) -> Self:
        """See `Vocabulary.fit`."""
        package = _tokenizers()
        wanted = cls.default_size if size is None else size
        if wanted < cls._BYTES:
            raise CeldaError(
                f"vocab_size={wanted} is too few subwords, as each of the {cls._BYTES} bytes is one: write "
                f"vocab_size={cls._BYTES} or more."
            )
        tokenizer = package.Tokenizer(package.models.BPE())
        tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = package.decoders.ByteLevel()
        alphabet = package.pre_tokenizers.ByteLevel.alphabet()
        trainer = package.trainers.BpeTrainer(vocab_size=wanted, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(blocks, trainer)
        return cls(tokenizer)

    def encode(self, text: str) -> np.ndarray:
        """See `Vocabulary.encode`."""
        return np.array(self._tokenizer.encode(text).ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `Vocabulary.decode`; bytes that are no whole character are U+FFFD."""
        return str(self._tokenizer.decode(list(tokens)))

    def to_json(self) -> Any:
        """The merges, as the package writes them."""
        return json.loads(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Undo `to_json`."""
        return cls(_tokenizers().Tokenizer.from_str(json.dumps(content)))


KINDS: dict[str, type[Vocabulary]] = {one.kind: one for one in (Characters, Words, Subwords)}


def _codes(text: str) -> np.ndarray:
    """The code points of a text; a lone surrogate, which no file can hold, is one too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _most_frequent(counts: Counter[str], size: int | None) -> tuple[list[str], bool]:
    """The most frequent tokens, one fewer than `size`, to leave a place for the unknown, and whether others are left.

    What is equally frequent is in alphabetic order.
    """
    ordered = sorted(counts, key=lambda token: (-counts[token], token))
    most = len(ordered) if size is None else size - 1
    return ordered[:most], most < len(ordered)


def _tokenizers() -> Any:
    try:
        return import_module("tokenizers")
    except ModuleNotFoundError:
        raise CeldaError(
            "Subwords need the package tokenizers, which is not installed: pip install 'celda[subword]', or write "
            "tokenizer='word'."
        ) from None
