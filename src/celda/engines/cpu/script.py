"""Kernels one after another in a single call, on memory that is named first and known later.

What Python needs has left the caches when a kernel has gone through its memory: the few lines from one kernel to the
next then take several times as long as they do at once. So what is run on what is written down once, for all calls of
the same sizes, and a call says no more than where its memory lies.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from torch import Tensor

from celda.engines.cpu import threads

TABLES = "tables"  # the name of a script's own


class Place(NamedTuple):
    """So many bytes after the first of the memory that a call brings under a name."""

    name: str
    offset: int = 0


Word = int | Place
Tensors = Mapping[str, Tensor]


class Script:
    """Kernels in their order, and functions of Python between them. Several threads may run it at once."""

    def __init__(self) -> None:
        self._pieces: list[_Kernels | Callable[[Tensors], None]] = []
        self._held: list[object] = []

    def kernel(
        self, code: int, arguments: Place, slots: int, told: Sequence[tuple[int, Word]] = (), held: object = None
    ) -> None:
        """Run a kernel as `threads.run` does. `told`: bytes into its arguments, and what is written there before.

        What is `held` lives as long as the script.
        """
        kernels = self._kernels()
        kernels.words.add((code, arguments, slots, 2 * len(told), *chain.from_iterable(told)))
        kernels.count += 1
        self._held.append(held)

    def table(self, words: Sequence[Word]) -> Place:
        """Words that a kernel may have as its arguments."""
        tables = self._kernels().tables
        place = Place(TABLES, 8 * len(tables))
        tables.add(words)
        return place

    def python(self, function: Callable[[Tensors], None]) -> None:
        """Call a function with what the call brings."""
        self._pieces.append(function)

    def _kernels(self) -> _Kernels:
        """Where the next kernel goes: with those before it, if there is no Python between."""
        if not self._pieces or not isinstance(self._pieces[-1], _Kernels):
            self._pieces.append(_Kernels())
        found = self._pieces[-1]
        assert isinstance(found, _Kernels)
        return found

    def run(self, tensors: Tensors, addresses: Mapping[str, int] | None = None) -> None:
        """Run all of it on these tensors, and on what lies at these addresses."""
        places = {**{name: tensor.data_ptr() for name, tensor in tensors.items()}, **(addresses or {})}
        for piece in self._pieces:
            if isinstance(piece, _Kernels):
                piece.run(places)
            else:
                piece(tensors)


class _Words:
    """Words, some of which are known when a script is run."""

    def __init__(self) -> None:
        self._known: list[int] = []
        self._open: list[tuple[int, str, int]] = []
        self._template: ctypes.Array[ctypes.c_int64] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def add(self, words: Iterable[Word]) -> None:
        for word in words:
            if isinstance(word, Place):
                self._open.append((len(self._known), *word))
                word = 0
            self._known.append(word)

    def filled(self, places: Mapping[str, int]) -> ctypes.Array[ctypes.c_int64]:
        if self._template is None:
            self._template = (ctypes.c_int64 * len(self._known))(*self._known)
        found = type(self._template).from_buffer_copy(self._template)
        for place, name, offset in self._open:
            found[place] = places[name] + offset
        return found


class _Kernels:
    """Those between which there is no Python."""

    def __init__(self) -> None:
        self.words, self.tables, self.count = _Words(), _Words(), 0

    def run(self, places: Mapping[str, int]) -> None:
        tables = self.tables.filled(places)
        words = self.words.filled({**places, TABLES: ctypes.addressof(tables)})
        threads.script(ctypes.addressof(words), self.count)
