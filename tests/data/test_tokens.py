"""Tokens on the disk, and the chunks of parallel streams."""

import numpy as np
import pytest

from celda.data import StreamChunks, Tokens
from celda.data.vocabulary import Characters, Words

TEXT = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def tokens(tmp_path):
    return Tokens.write(tmp_path / "tokens", [TEXT[:10], TEXT[10:]], Characters(TEXT))


def test_tokens_are_counted(tmp_path):
    tokens = Tokens.write(tmp_path / "tokens", ["a b ", "c é"], Characters("abc "))
    assert (tokens.count, tokens.characters, tokens.unknown, tokens.dtype) == (7, 7, 1, "uint8")
    assert tokens.map().tolist() == [2, 1, 3, 1, 4, 1, 0]
    many = Words([f"w{number}" for number in range(70_000)])
    large = Tokens.write(tmp_path / "large", ["w69999"], many)
    assert (large.dtype, large.map().tolist()) == ("uint32", [70_000])
    assert Tokens.write(tmp_path / "none", [], many).map().tolist() == []


def test_every_stream_goes_on_where_it_was(tokens):
    chunks = StreamChunks(tokens, batch_size=3, steps=3)
    assert (len(chunks), chunks.length) == (2, 8)
    x = np.concatenate([piece["x"].numpy() for piece in chunks.all()])
    y = np.concatenate([piece["y"].numpy() for piece in chunks.all()])
    assert x.T.tolist() == [[*range(1, 9)], [*range(9, 17)], [*range(17, 25)]]
    assert np.array_equal(y, x + 1)  # what follows, from stream to stream too
    assert [piece["start"] for piece in chunks.all()] == [0, 3, 6]
    assert chunks[1]["x"].tolist() == chunks.__getitems__([1])["x"].tolist() == x[3:6].tolist()


def test_a_chunk_is_no_longer_than_the_stream(tokens):
    chunks = StreamChunks(tokens, batch_size=5, steps=100)
    assert (len(chunks), chunks[0]["x"].shape) == (1, (5, 5))
