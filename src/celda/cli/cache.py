"""`celda cache`: the compiled kernels on this machine's disk."""

from __future__ import annotations

import os
from types import ModuleType

import typer

from celda.cli.console import show
from celda.errors import CeldaError

cache = typer.Typer(help="The kernels that the CPU engine has compiled and keeps on disk.", no_args_is_help=True)


@cache.command()
def info() -> None:
    """Say where compiled kernels are kept, how many there are, and their size."""
    kept = _readable()
    found, hindrance = kept.info(), kept.hindrance()
    show(f"folder: {found.folder}", f"compiled kernels: {found.entries:,}", f"size: {size(found.bytes)}")
    if hindrance is not None:
        show(
            f"cannot be written ({hindrance}), so every process compiles anew: set CELDA_CACHE to a folder of your own"
        )


@cache.command()
def clear() -> None:
    """Remove all compiled kernels; they are compiled again when they are next needed."""
    kept = _readable()
    before, left = kept.clear(), kept.info()
    gone = max(before.entries - left.entries, 0), max(before.bytes - left.bytes, 0)
    show(f"removed {gone[0]:,} compiled kernels, {size(gone[1])}, from {before.folder}")
    if left.entries:
        raise CeldaError(
            f"{left.entries:,} compiled kernels are still in {left.folder}: they belong to somebody else, or a program "
            "has written them meanwhile."
        )


def size(count: int) -> str:
    """A number of bytes in the unit that suits it: "3.1 MB"."""
    if count < 1000:
        return f"{count} bytes"
    power = next((k for k in (1, 2) if count < 999.5 * 1000**k), 3)
    amount = count / 1000**power
    return (f"{amount:.3g}" if amount < 999.5 else f"{amount:,.0f}") + " " + ("kB", "MB", "GB")[power - 1]


def _readable() -> ModuleType:
    """The engine's cache, where its folder can be read or is not there yet."""
    try:
        from celda.engines.cpu import cache as kept
    except ModuleNotFoundError as error:
        raise CeldaError(f"There are no compiled kernels: {error.name} is not installed.") from None
    folder = kept.folder()
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass  # nothing was compiled so far
    except OSError as error:
        raise CeldaError(
            f"The folder of compiled kernels, {folder}, cannot be read ({error.strerror}): "
            "set CELDA_CACHE to a folder of your own."
        ) from None
    return kept
