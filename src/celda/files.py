"""Files and folders that are whole at every moment, whatever stops the program."""

import glob
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celda.errors import CeldaError

_STALE = 3600  # seconds after which a file beside its place was left there by a program that was killed


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write a file or a folder to. When the block ends without an error, that takes
    `path`'s place, and is on the disk by then; until then what stood at `path` is untouched.

    No two programs are given the same path. A folder that is replaced is moved to `former(path)` for a moment: a
    program that is killed then leaves it there, whole.

    Raises CeldaError where the disk refuses.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.aside")
    try:
        _delete_left(path)
        yield aside
        for part in (*(aside.rglob("*") if aside.is_dir() else ()), aside):
            _flush(part)
        if aside.is_dir() and path.is_dir():
            _replace_folder(aside, path)
        else:
            aside.replace(path)
        _flush(path.parent)
        if path.is_dir():
            shutil.rmtree(former(path), ignore_errors=True)
    except OSError as error:
        if not path.parent.is_dir():
            raise CeldaError(
                f"Cannot write {path}: there is no folder {path.parent}: make it, or name another."
            ) from error
        if isinstance(error, IsADirectoryError):
            raise CeldaError(f"Cannot write {path}: it is a folder: name a file in it.") from error
        raise CeldaError(
            f"Cannot write {path} ({error.strerror or error}); what stood there still stands: make room, or choose a "
            "place that you may write to."
        ) from error
    finally:
        delete(aside)


def former(folder: Path) -> Path:
    """Where the former folder is while another takes its place."""
    return folder.with_name(f".{folder.name}.former")


def is_aside(path: Path) -> bool:
    """Whether a path is one that `written_aside` gave."""
    return path.name.startswith(".") and path.name.endswith(".aside")


def _replace_folder(aside: Path, folder: Path) -> None:
    """Put a folder in the place of another, as a folder cannot be renamed over one that holds files."""
    before = former(folder)
    shutil.rmtree(before, ignore_errors=True)  # `folder` stands, so nobody needs it
    folder.replace(before)
    try:
        aside.replace(folder)
    except OSError:
        if not folder.exists():
            before.replace(folder)
        raise


def _flush(path: Path) -> None:
    """Have the disk hold what was written to a file, or to a folder where the system can say so."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _delete_left(path: Path) -> None:
    """Delete what programs that were killed have left beside `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.aside"):
        try:
            stale = time.time() - left.stat().st_mtime > _STALE
        except OSError:  # another program has just renamed it
            continue
        if stale:
            delete(left)


def delete(path: Path) -> None:
    """Delete a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
