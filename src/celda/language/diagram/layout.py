"""From columns and rows to coordinates: how large each box is, where wires may touch it, and the path of each wire."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from celda.language.diagram.picture import Picture, Shape, Wire
from celda.language.diagram.routing import EAST, NORTH, SOUTH, WEST, Point, Port, Router

# Lengths are in units of the grid.
_MARGIN = 3
_GAP = 6  # between columns
_HALF_HEIGHT = {"operations": 2, "gates": 3, "maps": 2, "inputs": 2}  # of a row, by what stands in it
_ABOVE = {"operations": 4, "gates": 4, "maps": 3, "inputs": 3}  # the room for wires above it
_NARROWEST = 36
_MANY = 40  # wires: more are laid in haste


class Layout:
    """The picture on a grid of `width` x `height`.

    `centre` and `half` are the place and half the size of each box, `paths` the corners of each wire's path; `joins`
    holds the wires that branch off another one of the same value.
    """

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.half = {shape: _half(shape) for shape in picture.shapes}
        columns: list[int] = []
        rows: list[int] = []
        right, low = _MARGIN, 0
        for column in range(max(s.column for s in picture.shapes) + 1):
            half = max((self.half[s][0] for s in picture.shapes if s.column == column), default=2)
            columns.append(right + half)
            right += 2 * half + _GAP
        for kind in picture.rows:
            low += _ABOVE[kind] if rows else _MARGIN
            rows.append(low + _HALF_HEIGHT[kind])
            low += 2 * _HALF_HEIGHT[kind]
        self.width, self.height = max(right - _GAP + _MARGIN, _NARROWEST), low + _MARGIN
        self.centre = {s: (columns[s.column], rows[s.row]) for s in picture.shapes}
        router = Router(self.width, self.height, 1.0 if len(picture.wires) <= _MANY else 1.3)
        for shape in picture.shapes:
            (x, y), (w, h) = self.centre[shape], self.half[shape]
            router.block(x - w, y - h, x + w, y + h)
        self.paths: dict[Wire, list[Point]] = {}
        self.joins: set[Wire] = set()
        for wire in sorted(picture.wires, key=self._turn):
            path, branches = router.lay(wire.source, self._outs(wire.source), self._ins(wire))
            self.paths[wire] = path
            if branches:
                self.joins.add(wire)

    def _turn(self, wire: Wire) -> tuple[bool, int]:
        """Memory lines are laid first, then the short wires before the long."""
        (x, y), (a, b) = self.centre[wire.source], self.centre[wire.target]
        return not wire.memory, abs(x - a) + abs(y - b)

    def _outs(self, shape: Shape) -> Iterator[Port]:
        """Where a box's value may leave it."""
        (x, y), (w, h) = self.centre[shape], self.half[shape]
        sideways = shape.kind == "operation" or shape.column == 0
        costs = {EAST: 0, NORTH: 1, SOUTH: 1, WEST: 20} if sideways else {NORTH: 0, EAST: 1, WEST: 8, SOUTH: 20}
        for way, cost in costs.items():
            yield Port((x + way[0] * w, y + way[1] * h), way, cost)

    def _ins(self, wire: Wire) -> Iterator[Port]:
        """Where a wire may enter its reader."""
        shape, source = wire.target, wire.source
        (x, y), (w, h) = self.centre[shape], self.half[shape]
        left = Port((x - w, y), EAST)
        if wire.memory or shape.kind == "new":
            yield left
        elif shape.kind == "operation":
            yield from (left, Port((x, y + h), NORTH), Port((x, y - h), SOUTH), Port((x + w, y), WEST, 12))
        elif wire.how == "mapped" and source.kind in ("old", "input"):
            if source.row == shape.row:
                yield left
            yield from (Port((x + dx, y + h), NORTH, 0 if s is source else 6) for s, dx in self._from_below(shape))
        else:
            aside = 3 if wire.how == "diagonal" else 0
            yield from (Port((x + dx, y - h), SOUTH, 2 - aside / 2 + (dx > 0)) for dx in (1 - w, w - 1, -2, 2))
            yield from (Port((x - w, y + dy), EAST, aside + 2 * abs(dy)) for dy in (0, -1, 1))
            yield from (Port((x + dx, y + h), NORTH, 6) for dx in (1 - w, w - 1))

    def _from_below(self, shape: Shape) -> list[tuple[Shape, int]]:
        """The inputs and old states that a box maps, each with its place along the lower edge, from its middle."""
        mapped = dict.fromkeys(
            w.source for w in self.picture.into(shape) if w.how == "mapped" and w.source.row != shape.row
        )
        sources = sorted((s for s in mapped if s.kind in ("old", "input")), key=lambda s: s.row)
        feet = sum(s.column > 0 for s in sources)  # the first of the inputs that stand below a box is under its middle
        first = 2 * (feet - len(sources)) if feet else 1 - len(sources)
        return [(source, first + 2 * k) for k, source in enumerate(sources)]


def _half(shape: Shape) -> Point:
    """Half the width and height of a box that its text fits in."""
    match shape.kind:
        case "gate":
            return max(5, ceil((max(len(shape.name) + 0.7, 0.75 * len(shape.label)) + 2) / 2)), 3
        case "operation":
            return max(2, ceil((0.75 * len(shape.label) + 1) / 2)), 2
    return max(3, ceil((len(shape.label) + 0.7 * len(shape.index) + 2) / 2)), 2
