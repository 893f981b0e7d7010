"""Checks of what a user gives that every part needs."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

from celda.errors import meant

P = ParamSpec("P")


def whole_number(value: Any, least: int = 1) -> int | None:
    """`value` as an int where it is a whole number, Python's or NumPy's, of at least `least`; otherwise None."""
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if number >= least else None


def warn(message: str) -> None:
    """Warn at the line outside of Celda that the call came from."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "celda":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def suggesting(init: Callable[P, None], further: Sequence[str] = ()) -> Callable[P, None]:
    """An `__init__` whose TypeError for an unknown option names the one that was meant, or those there are.

    `further`: options that it takes besides those it names.
    """
    known = [name for name, one in inspect.signature(init).parameters.items() if one.kind is not one.VAR_KEYWORD]
    known = [*dict.fromkeys([*known[1:], *further])]

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        left = known[len(args) - 1 :]  # the others have come by their place
        for name in kwargs:
            if name not in known:
                near = meant(name, left)
                hint = f"did you mean {near!r}?" if near else f"there are {', '.join(left)}."
                raise TypeError(f"There is no option {name!r}: {hint}")
        init(*args, **kwargs)

    return checked
