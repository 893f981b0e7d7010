"""What a recurrent matrix leaves out: which units a unit does not see, and so which weights there are not.

Engines multiply by whole matrices of (H, H) a block, with zeros in them; so an engine is right without knowing of
patterns, and may skip what it is told that a pattern leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Groups:
    """The hidden units in groups of about equal size, and which of them a matrix lets a unit see.

    Unit u of H is in group u * count // H. It sees its own group alone ("heads": the matrix is block-diagonal, and
    only the blocks on the diagonal are kept), or its own and the later ones (block-triangular).
    """

    count: int
    later: bool

    def begin(self, group: int, hidden_size: int) -> int:
        """The first unit of a group."""
        return -(-group * hidden_size // self.count)

    def of(self, unit: int, hidden_size: int) -> int:
        """The group of a unit."""
        return unit * self.count // hidden_size

    def sees(self, first: int, last: int, hidden_size: int) -> tuple[int, int]:
        """The first unit that one of the units first..last sees, and the end."""
        begin, end = self._own(first, last, hidden_size)
        return begin, hidden_size if self.later else end

    def seen_by(self, first: int, last: int, hidden_size: int) -> tuple[int, int]:
        """The first unit that sees one of the units first..last, and the end."""
        begin, end = self._own(first, last, hidden_size)
        return 0 if self.later else begin, end

    def _own(self, first: int, last: int, hidden_size: int) -> tuple[int, int]:
        low, high = self.of(first, hidden_size), self.of(last, hidden_size)
        return self.begin(low, hidden_size), self.begin(high + 1, hidden_size)

    def block(self, hidden_size: int) -> tuple[int, int]:
        """Rows and columns of one block as a layer keeps it."""
        return hidden_size, hidden_size if self.later else hidden_size // self.count

    def learned(self, hidden_size: int) -> int:
        """How many numbers of one block have an effect."""
        seen = (self.sees(unit, unit, hidden_size) for unit in range(hidden_size))
        return sum(end - begin for begin, end in seen)


@dataclass(frozen=True)
class Narrow:
    """A matrix to, or from, a state of fewer units (a projection): only its first rows, or columns, are kept."""

    rows: int | None = None
    columns: int | None = None

    def sees(self, first: int, last: int, hidden_size: int) -> tuple[int, int]:
        """The first unit that one of the units first..last sees, and the end; both are H where there is none."""
        return (0, self.block(hidden_size)[1]) if first < self.block(hidden_size)[0] else (hidden_size, hidden_size)

    def seen_by(self, first: int, last: int, hidden_size: int) -> tuple[int, int]:
        """The first unit that sees one of the units first..last, and the end; both are H where there is none."""
        return Narrow(self.columns, self.rows).sees(first, last, hidden_size)

    def block(self, hidden_size: int) -> tuple[int, int]:
        """Rows and columns of one block as a layer keeps it."""
        return self.rows or hidden_size, self.columns or hidden_size

    def learned(self, hidden_size: int) -> int:
        """How many numbers of one block have an effect: all."""
        rows, columns = self.block(hidden_size)
        return rows * columns


Pattern = Groups | Narrow
