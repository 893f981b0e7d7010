"""The tokens of a text on the disk, and the chunks of the parallel streams that they are laid out as."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from celda.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """`count` tokens in a file, of a text of so many `characters`; how many of them are `unknown`."""

    path: Path
    dtype: str
    count: int
    characters: int
    unknown: int
    sha256: str

    @classmethod
    def write(cls, path: Path, blocks: Iterable[str], vocabulary: Vocabulary) -> Tokens:
        """Encode a text into a file, block by block."""
        dtype = next(kind for kind in ("uint8", "uint16", "uint32") if vocabulary.size - 1 <= np.iinfo(kind).max)
        count, characters, unknown, digest = 0, 0, 0, hashlib.sha256()
        with path.open("wb") as file:
            for block in blocks:
                tokens = vocabulary.encode(block)
                data = tokens.astype(dtype).tobytes()
                file.write(data)
                digest.update(data)
                count, characters = count + len(tokens), characters + len(block)
                if vocabulary.unknown is not None:
                    unknown += int((tokens == vocabulary.unknown).sum())
        return cls(path, dtype, count, characters, unknown, digest.hexdigest())

    def map(self) -> np.ndarray:
        """The tokens, mapped from the file: what is not looked at is not read.

        Keep a copy of what is needed and let go of the map: pages that were read count as memory as long as it lives.
        """
        return np.memmap(self.path, self.dtype, "r") if self.count else np.empty(0, self.dtype)


class StreamChunk(TypedDict):
    """The tokens `x` and those that follow them, `y`, (T, B) each; the place of its first step in the streams."""

    x: Tensor
    y: Tensor
    start: int


class StreamChunks:
    """One stream as `batch_size` parallel ones, in chunks of `steps`: the data set of truncated BPTT.

    Each sample is a chunk. Gone through in order, every stream goes on where it was.
    """

    def __init__(self, tokens: Tokens, batch_size: int, steps: int) -> None:
        self.tokens, self.batch_size = tokens, batch_size
        self.length = (tokens.count - 1) // batch_size  # of each stream
        self.steps = min(steps, self.length)

    def __len__(self) -> int:
        """Whole chunks; what is left at the end of a stream is no sample."""
        return self.length // self.steps

    def __getitem__(self, index: int) -> StreamChunk:
        return self._between(index * self.steps, (index + 1) * self.steps)

    def __getitems__(self, indices: Sequence[int]) -> StreamChunk:
        """The chunk at the one index, which is a batch by itself."""
        (index,) = indices
        return self[index]

    def all(self) -> Iterator[StreamChunk]:
        """Every chunk in order, with the shorter one at the end."""
        for start in range(0, self.length, self.steps):
            yield self._between(start, min(start + self.steps, self.length))

    def _between(self, start: int, stop: int) -> StreamChunk:
        tokens = self.tokens.map()  # anew, so that no pages pile up
        starts = range(0, self.batch_size * self.length, self.length)
        rows = torch.from_numpy(np.stack([tokens[s + start : s + stop + 1] for s in starts], 1).astype(np.int64))
        return {"x": rows[:-1], "y": rows[1:], "start": start}
