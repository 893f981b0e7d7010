"""The one console of the program, and how its tables look."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

_LEAST = 16  # characters of a column of text, which may be broken

# A file or a pipe has no width of its own.
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], numbers: Iterable[str] = ()) -> Group:
    """A table under its title, which may be wider; the columns named in `numbers` are set flush right."""
    made = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    right = set(numbers)
    for place, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(column, justify=justify, no_wrap=place == 0 or column in right, overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return Group(Text(title, style="bold"), made)


def show(*parts: object) -> None:
    """Print parts to the terminal; text is taken as it is, without markup."""
    for part in parts:
        if isinstance(part, Group):
            _show_table(part)
        else:
            console.print(part, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _show_table(group: Group) -> None:
    """Print a table as wide as its numbers need: a narrower terminal breaks the lines, and nothing is cropped."""
    columns = next(part for part in group.renderables if isinstance(part, Table)).columns
    whole = [max(len(str(cell)) for cell in (column.header, *column.cells)) for column in columns if column.no_wrap]
    before, needed = console.width, sum(whole) + _LEAST * (len(columns) - len(whole)) + 2 * len(columns)
    console.width = max(before, needed)
    try:
        with console.capture() as captured:
            console.print(group)
    finally:
        console.width = before
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
