"""Checks of what a user gives that every part needs."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from celda.errors import meant

P = ParamSpec("P")
R = TypeVar("R")


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


def suggesting(
    further: Sequence[str] = (), elsewhere: Mapping[str, str] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a method: its TypeError for an unknown option names the one that was meant, or those there are.

    `further`: options that it takes besides those it names. `elsewhere`: of what is no option here, what to write.
    """

    def decorated(method: Callable[P, R]) -> Callable[P, R]:
        known = [name for name, one in inspect.signature(method).parameters.items() if one.kind is not one.VAR_KEYWORD]
        known = [*dict.fromkeys([*known[1:], *further])]

        @functools.wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            left = known[len(args) - 1 :]  # the others have come by their place
            for name in kwargs:
                if name not in known:
                    near = meant(name, left)
                    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(left)}."
                    raise TypeError(f"There is no option {name!r}: {(elsewhere or {}).get(name, hint)}")
            return method(*args, **kwargs)

        return checked

    return decorated


def options_of(owner: str, init: Callable[..., None]) -> dict[str, str]:
    """What to say, in `suggesting`, where an option of the class `owner` is given to one of its methods."""
    names = [*inspect.signature(init).parameters][1:]
    return {name: f"it is an option of {owner} itself. Write {owner}(..., {name}=...)." for name in names}
