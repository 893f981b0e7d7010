"""Where the boxes of a diagram stand, in columns and rows.

Rows, from the top: a line for each state that point-wise work carries to its new value (the memory); other operations;
the gates; learned maps; the inputs and the states that only gates read. Columns follow the order in which values reach
a memory line: an LSTM's forget gate comes first and its output gate last, as in the textbooks.
"""

from __future__ import annotations

from itertools import pairwise

from celda.language.cell import Cell
from celda.language.diagram.picture import Picture, Shape


def arrange(cell: Cell, picture: Picture) -> None:
    """Give every box of `picture` its column and row, and mark the wires of the memory lines."""
    _Arrangement(cell, picture)


class _Arrangement:
    def __init__(self, cell: Cell, picture: Picture) -> None:
        self.picture = picture
        self.lines = self._lines(cell)
        self.place = {shape: k for line in self.lines for k, shape in enumerate(line)}  # on its line
        self.never = len(picture.shapes)
        self.arrival: dict[Shape, int] = {}  # the first place of a line that a value reaches
        for shape in reversed(picture.shapes):
            further = [self.arrival[reader] for reader in self._readers(shape)]
            self.arrival[shape] = self.place.get(shape, min(further, default=self.never))
        self.among_gates = self._among_gates()
        self.beside: dict[Shape, Shape] = {}  # an operation on one value -> its reader, on whose left it stands
        self.gates = self._upper_rows()
        self.below = self._lower_rows()
        self._new_states()
        self._columns()

    def _readers(self, shape: Shape) -> list[Shape]:
        return [wire.target for wire in self.picture.out_of(shape)]

    def _sources(self, shape: Shape) -> list[Shape]:
        return [wire.source for wire in self.picture.into(shape)]

    def _lines(self, cell: Cell) -> list[list[Shape]]:
        """The shortest way of each state to its new value; an operation is on one line only."""
        lines: list[list[Shape]] = []
        for state in (*cell.states[1:], cell.states[0]):
            ends = {s.kind: s for s in self.picture.shapes if s.label == state and s.kind in ("old", "new")}
            seen = {shape for line in lines for shape in line}
            paths = [[ends["old"]]] if "old" in ends else []
            while paths:
                path = paths.pop(0)
                if path[-1] is ends["new"]:
                    lines.append(path)
                    break
                ways = [w.target for w in self.picture.out_of(path[-1]) if w.how == "plain"]
                ways = [s for s in ways if s not in seen and (s.carries or s is ends["new"])]
                seen.update(ways)
                paths += [[*path, shape] for shape in ways]
        for line in lines:
            for here, there in pairwise(line):
                next(w for w in self.picture.into(there) if w.source is here).memory = True
        return lines

    def _among_gates(self) -> set[Shape]:
        """Operations that gates alone read, through a map or not."""
        found: set[Shape] = set()
        for shape in reversed(self.picture.shapes):
            gates_only = all(reader.kind in ("gate", "map") or reader in found for reader in self._readers(shape))
            if shape.kind == "operation" and shape not in self.place and gates_only:
                found.add(shape)
        return found

    def _upper_rows(self) -> int:
        """Rows of the memory lines, the operations and the gates; returns the gates' row."""
        shapes, memory = self.picture.shapes, len(self.lines)
        free = [s for s in shapes if s.kind == "operation" and s not in self.place and s not in self.among_gates]
        depth: dict[Shape, int] = {}  # below the memory line that the operation reads
        height: dict[Shape, int] = {}  # above the gates
        for shape in free:
            sources, readers = self._sources(shape), self._readers(shape)
            above = [depth.get(s, 0) for s in sources if s in depth or s in self.place]
            if above and self.arrival[shape] == self.never:
                depth[shape] = 1 + max(above)
                continue
            if len(sources) == len(readers) == 1 and readers[0] in free:
                self.beside[shape] = readers[0]
            height[shape] = max((height[s] + (s not in self.beside) for s in sources if s in height), default=1)
        gates = memory + max((*depth.values(), *height.values()), default=0)
        for shape in shapes:
            shape.row = memory + depth[shape] - 1 if shape in depth else gates - height.get(shape, 0)
        for row, line in enumerate(self.lines):
            for shape in line:
                shape.row = row
        self.picture.rows = ["operations"] * gates + ["gates"]
        return gates

    def _lower_rows(self) -> dict[Shape, Shape]:
        """Rows of maps, inputs and states below the gates; returns each map there, with the operation above it."""
        shapes, rows = self.picture.shapes, self.picture.rows
        below: dict[Shape, Shape] = {}
        for shape in shapes:
            readers = self._readers(shape)
            if shape.kind == "map" and len(readers) == 1 and readers[0] in self.among_gates - {*below.values()}:
                below[shape] = readers[0]
        if below:
            rows.append("maps")
        for shape in below:
            shape.row = len(rows) - 1
        boxes = [s for s in shapes if s.row == self.gates and s.kind in ("gate", "map", "operation")]
        inputs = [s for s in shapes if s.kind == "input"]
        states = [s for s in shapes if s.kind == "old" and s not in self.place]
        if len(boxes) == 1 and len(states) < 2:  # the inputs stand below their only reader, the state left of it
            rows.append("inputs")
            for column, shape in enumerate(inputs, 1):
                shape.row, shape.column = len(rows) - 1, column
            return below
        for shape in states + inputs:
            rows.append("inputs")
            shape.row = len(rows) - 1
        return below

    def _new_states(self) -> None:
        """A new state stands in the row of what gives it, or in the first free one below."""
        new = [s for s in self.picture.shapes if s.kind == "new"]
        taken = {shape.row for shape in new if shape in self.place}
        for shape in (s for s in new if s not in self.place):
            shape.row = self._sources(shape)[0].row
            while shape.row in taken:
                shape.row += 1
            taken.add(shape.row)
        self.picture.rows += ["inputs"] * (max(taken) + 1 - len(self.picture.rows))

    def _columns(self) -> None:
        taken: dict[tuple[int, int], Shape] = {}
        done = {s for s in self.picture.shapes if s.kind in ("old", "input")}
        waiting = [s for s in self.picture.shapes if s not in done and s.kind != "new"]
        while waiting:
            ready = [s for s in waiting if done.issuperset(self._sources(s))]
            shape = min(ready, key=lambda s: self.arrival[s])
            waiting.remove(shape)
            done.add(shape)
            if shape not in self.below:
                shape.column = self._column(shape, taken)
                taken[shape.column, shape.row] = shape
        for shape, reader in self.beside.items():
            place = (reader.column - 1, reader.row)
            if place not in taken and place[0] >= self._sources(shape)[0].column:
                shape.column, shape.row = place
                taken[place] = shape
        for shape, operation in self.below.items():
            shape.column = operation.column
        last = max(column for column, _ in taken) if taken else 0
        for shape in self.picture.shapes:
            if shape.kind == "new":
                shape.column = last + 1

    def _column(self, shape: Shape, taken: dict[tuple[int, int], Shape]) -> int:
        """The first free column at or right of what the box reads."""
        sources = [s for s in self._sources(shape) if s.kind not in ("old", "input") and s not in self.below]
        right = shape.row == self.gates or shape in self.beside  # else it may stand straight above a source
        column = max((s.column + (right or s.row == shape.row or s in self.place) for s in sources), default=1)
        if shape.row == self.gates:
            column = max([column, *(c + 1 for c, row in taken if row == self.gates)])
        rows = range(len(self.lines)) if shape in self.place else [shape.row]  # two lines do not hide one another
        while any((column, row) in taken for row in rows):
            column += 1
        return column
