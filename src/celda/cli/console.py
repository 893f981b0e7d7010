"""The one console of the program, and how its tables look."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(soft_wrap=True)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]], numbers: Iterable[str] = ()) -> Table:
    """A table; the columns named in `numbers` are set flush right."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    right = set(numbers)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def show(*parts: object) -> None:
    """Print parts to the terminal; text is taken as it is, without markup."""
    for part in parts:
        console.print(part, markup=False, highlight=False)
