"""Texts are kept as they are, come in blocks, and say in one line where they cannot be read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celda.data import Text, text
from celda.errors import CeldaError

SPANISH = "En un lugar de la Mancha, de cuyo nombre\r\nno quiero acordarme… «¿qué?», dijo la niña. 🐎\n"


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(text, "_BLOCK", 7)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_the_text_itself(encoding, tmp_path, small_blocks):
    path = tmp_path / "quijote.txt"
    path.write_bytes(SPANISH.encode(encoding))
    of_file, of_string = Text.of(path, encoding.removesuffix("-sig")), Text.of(SPANISH)
    assert of_file.length == of_string.length == len(SPANISH)
    assert "".join(of_file.blocks()) == "".join(of_string.blocks()) == SPANISH
    assert "".join(of_file.blocks(10, 60)) == SPANISH[10:60]


@given(st.text(st.sampled_from("ab \n.é"), min_size=1, max_size=200), st.data())
def test_blocks_are_the_text_and_no_word_is_cut(written, data):
    start = data.draw(st.integers(0, len(written)))
    stop = data.draw(st.integers(start, len(written)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_BLOCK", 5)
        blocks = list(Text(written).blocks(start, stop))
    assert "".join(blocks) == written[start:stop]
    for block in blocks[1:]:
        assert block[0].isspace() or len(block) > 5  # a word that is longer than two blocks is cut


def test_a_string_that_names_a_file_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").write_text("to be")
    assert "".join(Text.of("my.txt").blocks()) == "to be"
    assert "".join(Text.of("to be, or not. To be").blocks()) == "to be, or not. To be"
    with pytest.raises(CeldaError, match=r"yours\.txt does not exist: give a text file"):
        Text.of("yours.txt")


def test_a_sentence_that_ends_like_a_file_is_a_text():
    said = "Nos vemos a las 5 p.m"
    assert "".join(Text.of(said).blocks()) == said
    with pytest.raises(CeldaError, match=r"my book\.TXT does not exist"):
        Text.of("my book.TXT")
    address = "www.example.com"
    with pytest.raises(CeldaError, match=r"if this is the text itself, write celda\.data\.Text\('www\.example\.com'\)"):
        Text.of(address)
    assert "".join(Text.of(Text(address)).blocks()) == address


@pytest.mark.parametrize(
    ("content", "encoding", "answer"),
    [
        (b"", "utf-8", "is empty: give a text with something in it"),
        (b"\xef\xbb\xbf", "utf-8", "is empty"),
        ("la niña".encode("cp1252"), "utf-8", r"is not UTF-8: byte 0xF1 at position 5 cannot be; .*encoding='cp1252'"),
        ("abcdefghij ñ".encode("cp1252"), "utf-8", "byte 0xF1 at position 11 cannot be"),
        ("abcdefgé".encode()[:-1], "utf-8", "byte 0xC3 at position 7 cannot be"),
        ("niña".encode("utf-16"), "utf-8", "encoding='utf-16'"),
        ("nina".encode("utf-16-le"), "utf-8", "holds zero bytes, so it is no text in utf-8"),
        (b"abc", "utf-9", "encoding='utf-9' is unknown: write for example encoding='utf-8'"),
        *(
            (b"abc", no, re.escape(f"encoding={no!r} is unknown"))
            for no in ("rot13", "hex", "undefined", "", "a\0b", None, 3)
        ),
        (
            "niña".encode("utf-16-le"),
            "utf-16",
            "does not begin with a byte order mark.*write encoding='utf-16-le'.*or 'utf-16-be'",
        ),
        ("niña".encode("utf-32-le"), "utf-32", "does not begin with a byte order mark.*or 'utf-32-be'"),
        (b"xn--a\xff", "idna", "is not IDNA"),
    ],
)
def test_what_is_no_text_is_told_in_one_line(content, encoding, answer, tmp_path, small_blocks):
    (tmp_path / "my.txt").write_bytes(content)
    with pytest.raises(CeldaError, match=answer) as error:
        Text.of(tmp_path / "my.txt", encoding)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "answer"),
    [("", "The text is empty"), (3, "A int is no text"), (b"abc", "A bytes is no text")],
)
def test_what_is_no_source_is_told(source, answer):
    with pytest.raises(CeldaError, match=answer):
        Text.of(source)


def test_a_folder_is_told(tmp_path):
    with pytest.raises(CeldaError, match="is a folder: give a text file"):
        Text.of(tmp_path)
