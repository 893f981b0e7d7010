"""A text in memory or in a file, read a block at a time, so that it may be longer than memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celda.errors import CeldaError

_BLOCK = 1 << 20  # bytes, or characters, that are read at once
_FILE_NAME = re.compile(r"[^\n]{0,200}[\w)]\.([A-Za-z]\w{0,4})")  # what one who writes it takes for a file,
_KINDS = {"txt", "text", "md", "rst", "tex", "csv", "tsv", "json", "jsonl", "xml", "html", "htm", "log", "utf8", "abc"}
# which a name with blanks has to end in: "at 5 p.m" is a text
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Text:
    """A text, kept as it is: no character is normalised, no end of line is changed.

    `source` is the text itself or the path of its file. `length` counts characters (code points).
    """

    source: str | Path
    encoding: str = "utf-8"
    length: int = field(init=False)

    def __post_init__(self) -> None:
        length = len(self.source) if isinstance(self.source, str) else sum(map(len, self._file(self.source)))
        if not length:
            raise CeldaError(f"{self.name} is empty: give a text with something in it.")
        object.__setattr__(self, "length", length)

    @classmethod
    def of(cls, source: Any, encoding: str = "utf-8") -> Text:
        """The text that a user gave: a path, or a string that is the name of a file, or the text itself."""
        if isinstance(source, Text):
            return source
        if not isinstance(source, str | Path):
            raise CeldaError(f"A {type(source).__name__} is no text: give a string, or the path of a text file.")
        if isinstance(source, str) and _is_file_name(source):
            name, source = source, Path(source).expanduser()
            if not source.exists():
                raise CeldaError(
                    f"{name} does not exist: give a text file; or, if this is the text itself, write "
                    f"celda.data.Text({name!r})."
                )
        return cls(source.expanduser() if isinstance(source, Path) else source, encoding)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return "The text" if isinstance(self.source, str) else str(self.source)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The characters from `start` to `stop`, about a million at a time; no block ends within a word, if it can."""
        left, held = (self.length if stop is None else stop) - start, ""
        for block in self._after(start):
            held += block[:left]
            left -= min(left, len(block))
            if not left:
                break
            cut = _last_break(held)
            if cut:
                yield held[:cut]
                held = held[cut:]
        if held:
            yield held

    def _after(self, start: int) -> Iterator[str]:
        if isinstance(self.source, str):
            yield from (self.source[at : at + _BLOCK] for at in range(start, self.length, _BLOCK))
            return
        for block in self._file(self.source):
            if start < len(block):
                yield block[start:]
            start = max(0, start - len(block))

    def _file(self, path: Path) -> Iterator[str]:
        """What the file holds, decoded block by block; a byte order mark of UTF-8 is left out."""
        name = _codec(self.encoding)
        decoder = codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()
        read = 0
        try:
            with path.open("rb") as file:
                while data := file.read(_BLOCK):
                    waiting = len(decoder.getstate()[0])
                    try:
                        block = decoder.decode(data)
                    except UnicodeDecodeError as error:
                        raise self._wrong(error, read - waiting) from None
                    if not read and "\0" in block:
                        raise CeldaError(
                            f"{path} holds zero bytes, so it is no text in {name}: give a text file, or say how it is "
                            "encoded, for example encoding='utf-16'."
                        )
                    read += len(data)
                    yield block
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise self._wrong(error, read - len(error.object)) from None
        except UnicodeError as error:
            if name in ("utf-16", "utf-32"):
                raise CeldaError(
                    f"{path} does not begin with a byte order mark, so it is not known which byte comes first: write "
                    f"encoding='{name}-le', as Windows does, or '{name}-be'."
                ) from None
            raise CeldaError(f"{path} is not {self.encoding.upper()} ({error}): say how it is encoded.") from None
        except OSError as error:
            what = {FileNotFoundError: "does not exist", IsADirectoryError: "is a folder"}.get(type(error))
            raise CeldaError(f"{path} {what or f'cannot be read ({error.strerror})'}: give a text file.") from error

    def _wrong(self, error: UnicodeDecodeError, offset: int) -> CeldaError:
        """What is said of a byte that cannot be; `offset`: the place of what the decoder was given."""
        data = error.object
        likely = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "cp1252")
        return CeldaError(
            f"{self.source} is not {self.encoding.upper()}: byte 0x{data[error.start]:02X} at position "
            f"{offset + error.start:,} cannot be; say how it is encoded, for example encoding={likely!r}, or save it "
            "as UTF-8."
        )


def _codec(encoding: Any) -> str:
    """The name of the codec of an encoding. Raises CeldaError where there is none, or it gives no text."""
    try:
        "".encode(encoding)  # which refuses those that are no encoding of a text, such as "hex"
        return codecs.lookup(encoding).name
    except (LookupError, TypeError, ValueError):
        raise CeldaError(f"encoding={encoding!r} is unknown: write for example encoding='utf-8' or 'cp1252'.") from None


def _is_file_name(source: str) -> bool:
    """Whether a string names a file: one that is there, or one that looks like it, which is then told to be absent.

    A name with blanks looks like one only if it ends as files of text do.
    """
    if "\n" in source or not source or len(source) > 1000:
        return False
    try:
        if Path(source).expanduser().exists():
            return True
        named = _FILE_NAME.fullmatch(source)
        return named is not None and (" " not in source or named[1].lower() in _KINDS)
    except (OSError, ValueError, RuntimeError):  # no system takes that for a name
        return False


def _last_break(text: str) -> int:
    """Where the last run of white space begins, so that a word and its blank go together; 0 where there is none."""
    end = len(text)
    for match in re.finditer(r"\s+(?=\S)", text[max(0, end - 1000) :]):
        end = match.start() + max(0, len(text) - 1000)
    return end if end < len(text) else (len(text) if len(text) >= 2 * _BLOCK else 0)
