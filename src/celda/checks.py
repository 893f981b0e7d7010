"""Checks of what a user gives that every part needs."""

import operator
from typing import Any


def whole_number(value: Any, least: int = 1) -> int | None:
    """`value` as an int where it is a whole number, Python's or NumPy's, of at least `least`; otherwise None."""
    if isinstance(value, bool):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return number if number >= least else None
