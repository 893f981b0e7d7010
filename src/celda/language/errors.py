"""The error of the language: it shows the line that was written and the line to write."""

import dis
import linecache
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType, FunctionType, TracebackType

from celda.errors import CeldaError

_NOT_THE_USERS = ("celda.language", "numpy", "torch")  # torch and numpy hand a value's operation back to us


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


def _is_users(frame: FrameType) -> bool:
    return _is_users_module(
        frame.f_globals.get("__name__") or ""
    )  # a file's name would not do: generated code has none


@cache
def _is_users_module(module: str) -> bool:
    return not any(module == package or module.startswith(package + ".") for package in _NOT_THE_USERS)


def users_line() -> Line:
    """The innermost line outside this package that is being executed."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame):
        frame = frame.f_back
    return Line(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Line("", 0)


def line_of(traceback: TracebackType | None) -> Line:
    """The innermost line outside this package that a traceback passed through."""
    found = Line("", 0)
    while traceback is not None:
        if _is_users(traceback.tb_frame):
            found = Line(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def first_line(function: FunctionType) -> Line:
    """The line `def ...` of a function, below its decorators."""
    line = Line(function.__code__.co_filename, function.__code__.co_firstlineno)
    while line.text.startswith("@"):
        line = Line(line.file, line.number + 1)
    return line


def last_line(function: FunctionType) -> Line:
    """The line of a function's last `return`."""
    returns = [i.positions for i in dis.get_instructions(function) if i.opname.startswith("RETURN")]
    return Line(function.__code__.co_filename, max(p.lineno for p in returns if p and p.lineno))


def mistake(what: str, write: str, line: Line | None = None) -> CellError:
    """The error for `what` is wrong at `line` (default: the line being traced); `write` is what works instead."""
    line = line or users_line()
    parts = [what]
    if line.text:
        parts.append(f"  {Path(line.file).name}, line {line.number}:  {line.text}")
    parts.append(f"  write instead:  {write}")
    return CellError("\n".join(parts))
