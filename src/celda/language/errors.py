"""The error of the language: it shows the line that was written and the line to write."""

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from celda.errors import CeldaError

_HERE = str(Path(__file__).parent)


class CellError(CeldaError):
    """A cell's definition cannot work; the message shows the wrong line and the right one."""


@dataclass(frozen=True)
class Line:
    """A line of the user's source."""

    file: str
    number: int

    @property
    def text(self) -> str:
        """The source as written, or an empty string where it cannot be read (an interactive prompt)."""
        return linecache.getline(self.file, self.number).strip()


def _is_users(file: str) -> bool:
    return not file.startswith(_HERE)


def users_line() -> Line:
    """The innermost line outside this package that is being executed."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return Line(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Line("", 0)


def line_of(traceback: TracebackType | None) -> Line:
    """The innermost line outside this package that a traceback passed through."""
    found = Line("", 0)
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if _is_users(file):
            found = Line(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def mistake(what: str, write: str, line: Line | None = None) -> CellError:
    """The error for `what` is wrong at `line` (default: the line being traced); `write` is what works instead."""
    line = line or users_line()
    parts = [what]
    if line.text:
        parts.append(f"  {Path(line.file).name}, line {line.number}:  {line.text}")
    parts.append(f"  write instead:  {write}")
    return CellError("\n".join(parts))
