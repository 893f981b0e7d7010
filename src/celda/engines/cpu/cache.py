"""Compiled kernels on disk, so that a cell is compiled once on a machine and not once a process.

An entry is a file named after all it depends on, with the digest of its contents before them. It is written aside and
renamed, so any number of processes may read and write at once. A damaged one counts as absent, and so does one that
another user could have written, as it will be run. Where nothing can be written, kernels live in memory alone, and a
warning says so, once a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite
import platformdirs
from llvmlite import binding as llvm
from llvmlite import ir

import celda
from celda.engines.cpu import jit, machine

_DIGEST = hashlib.sha256().digest_size
_SUFFIX = ".kernel"
_MOST = 4096  # entries: about 300 MB
_HOMELESS = "there is no home directory"
_warned = False


@dataclass(frozen=True)
class Info:
    """Where the compiled kernels are, how many, and their size in bytes."""

    folder: Path
    entries: int
    bytes: int


def load(key: str, build: Callable[[], ir.Module], names: Iterable[str]) -> jit.Compiled:
    """The compiled module that `key` describes in full; `build` makes it where it has not been compiled before.

    What else the code depends on, the processor and the versions and sources of the engine, is seen to here.
    """
    names = tuple(names)
    path = folder() / (hashlib.sha256(repr((key, names, _context())).encode()).hexdigest() + _SUFFIX)
    code = _read(path)
    if code is None:
        code = jit.object_code(build())
        if hindrance := _write(path, code):
            _warn(hindrance)
    return jit.Compiled(code, names)


def folder() -> Path:
    """Where compiled kernels are kept: under CELDA_CACHE or, failing that, the user's cache directory."""
    chosen = os.environ.get("CELDA_CACHE")
    if not chosen:
        return platformdirs.user_cache_path("celda", appauthor=False) / "kernels"
    place = Path(chosen)
    with contextlib.suppress(RuntimeError):  # ~somebody who is not there: a name like any other, as a shell has it
        place = place.expanduser()
    return place.absolute() / "kernels"


def hindrance() -> str | None:
    """Why nothing can be written to the folder, or None where it can or could be made; nothing is made to find out."""
    place = folder()
    if not place.is_absolute():
        return _HOMELESS
    for there in (place, *place.parents):
        try:
            status = there.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return error.strerror
        if not stat.S_ISDIR(status.st_mode):
            return f"{there} is a file"
        return None if os.access(there, os.W_OK | os.X_OK) else "Permission denied"
    return None


def info() -> Info:
    """What is in the cache."""
    sizes = []
    for path in _entries():
        with contextlib.suppress(OSError):  # another process may clear it meanwhile
            sizes.append(path.stat().st_size)
    return Info(folder(), len(sizes), sum(sizes))


def clear() -> Info:
    """Remove every compiled kernel from the disk; returns what there was. Kernels in use go on."""
    before = info()
    for path in _entries():
        with contextlib.suppress(OSError):
            path.unlink()
    return before


def _entries() -> Iterable[Path]:
    return folder().glob(f"*{_SUFFIX}*")  # the files of writers that were killed too


@cache
def _context() -> tuple[str, ...]:
    """What any kernel depends on besides its key."""
    host, sources = machine.host(), hashlib.sha256()
    root = Path(celda.__file__).parent
    for part in ("language", "engines", "engines/cpu"):
        for path in sorted((root / part).glob("*.py")):
            sources.update(path.read_bytes())
    versions = celda.__version__, llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info))
    return *versions, sources.hexdigest(), host.triple, host.cpu, host.features


def _read(path: Path) -> bytes | None:
    """The contents of an entry, or None where there is none that can be relied on."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read()
    except OSError:
        return None
    strange = hasattr(os, "getuid") and (
        status.st_uid not in (os.getuid(), 0) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )
    digest, code = content[:_DIGEST], content[_DIGEST:]
    return None if strange or hashlib.sha256(code).digest() != digest else code


def _write(path: Path, code: bytes) -> str | None:
    """Add an entry; why that cannot be done, or None where it was."""
    if not path.is_absolute():
        return _HOMELESS
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(aside).replace(path)
            _drop()
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        return error.strerror or str(error)
    return None


def _warn(hindrance: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"Compiled kernels cannot be kept in {folder()} ({hindrance}), so every process compiles them anew: set "
            "CELDA_CACHE to a folder of your own.",
            stacklevel=3,
        )


def _drop() -> None:
    """Remove the older half where there are too many entries: cells that were tried once, earlier versions."""
    ages = {}
    for path in _entries():
        with contextlib.suppress(OSError):  # another process drops them too
            ages[path] = path.stat().st_mtime
    if len(ages) > _MOST:
        for path in sorted(ages, key=ages.__getitem__)[: len(ages) // 2]:
            with contextlib.suppress(OSError):
                path.unlink()
