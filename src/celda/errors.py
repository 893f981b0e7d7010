"""The errors that speak to the user: what was given, why it cannot work, what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CeldaError(ValueError):
    """Bad input, met at the door. The command line prints its message as one line and exits with status 1."""


def meant(given: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """The known name that `given` was probably meant to be; None where none is as much `alike`, from 0 to 1.

    Capitals do not count, and letters that have changed places come before others.
    """
    names, folded = {name.casefold(): name for name in known}, given.casefold()
    swapped = [name for name in names if sorted(name) == sorted(folded)]
    close = swapped or get_close_matches(folded, names, 1, alike)
    return names[close[0]] if close else None
