"""Wires on a grid: the cheapest path from a value to its reader, around boxes and apart from other values' wires."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[int, int]
_State = tuple[Point, Point]  # where, and in which direction of travel
_WAYS = EAST, SOUTH, WEST, NORTH = (1, 0), (0, 1), (-1, 0), (0, -1)

# What a step costs, besides its length of 1.
_BEND = 4.0
_HUG = 2.0  # next to a box
_BESIDE = 1.5  # next to another value's wire, along it
_CROSS = 5.0
_OVERLAP = 60.0  # on another value's wire: never wanted, but better than no path


@dataclass(frozen=True)
class Port:
    """Where a wire may leave or enter a box: a point on its edge, the direction of travel there, and its cost."""

    point: Point
    direction: Point
    cost: float = 0.0


@dataclass
class Router:
    """Lays wires one after the other; a value's later wires may branch off its earlier ones.

    With a `haste` above 1 the search goes straighter for its end: many times quicker, and the paths are less neat.
    """

    width: int
    height: int
    haste: float = 1.0
    blocked: set[Point] = field(default_factory=set)
    hugged: set[Point] = field(default_factory=set)
    axes: dict[Point, dict[Hashable, set[bool]]] = field(default_factory=dict)  # value -> whether it is horizontal here
    trunks: dict[Hashable, list[Point]] = field(default_factory=dict)  # value -> points where a wire may branch off
    used: dict[Point, Hashable] = field(default_factory=dict)  # the ports that are taken
    busy: set[Point] = field(default_factory=set)  # points that may cost more than their length

    def block(self, left: int, top: int, right: int, bottom: int) -> None:
        """A box, its edges included, that wires go around."""
        inside = {(x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)}
        around = {(x, y) for x in range(left - 1, right + 2) for y in range(top - 1, bottom + 2)}
        self.blocked |= inside
        self.hugged |= around - inside
        self.busy |= around

    def lay(self, value: Hashable, outs: Iterable[Port], ins: Iterable[Port]) -> tuple[list[Point], bool]:
        """The corners of a path of `value` to one of `ins`, and whether it branches off an earlier one."""
        goals = {(p.point, p.direction): p.cost + self._taken(p, None) for p in ins}
        trunk = self.trunks.setdefault(value, [])
        starts = [(p.cost + 3.0 * bool(trunk) + self._taken(p, value), p.point, p.direction) for p in outs]
        # a branch pays for the way from its source: so it leaves early, and lines stay straight
        clear = [(k, point) for k, point in enumerate(trunk) if len(self.axes[point]) == 1]
        starts += [(1.01 * k, point, d) for k, point in clear for d in _WAYS]
        path = self._cheapest(value, starts, goals)
        while path[1] in trunk:
            path.pop(0)
        branches = path[0] in trunk
        self.used[path[-1]] = None
        if not branches:
            self.used[path[0]] = value
        for here, there in pairwise(path):
            for x, y in (here, there):
                self.axes.setdefault((x, y), {}).setdefault(value, set()).add(here[1] == there[1])
                self.busy.update(((x, y), (x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)))
        trunk.extend(path[1:-2])  # an arrow's head is no place to branch
        return _corners(path), branches

    def _taken(self, port: Port, value: Hashable) -> float:
        return _OVERLAP if port.point in self.used and (value is None or self.used[port.point] != value) else 0.0

    def _cheapest(
        self, value: Hashable, starts: list[tuple[float, Point, Point]], goals: Mapping[_State, float]
    ) -> list[Point]:
        """A* over (point, direction of travel)."""
        across, down = [point[0] for point, _ in goals], [point[1] for point, _ in goals]
        x0, x1, y0, y1 = min(across), max(across), min(down), max(down)

        def left(point: Point) -> float:
            """What the rest of the way may cost."""
            x, y = max(x0 - point[0], point[0] - x1, 0), max(y0 - point[1], point[1] - y1, 0)
            return self.haste * (x + y) + _BEND * (x > 0 < y)

        came: dict[_State, _State | None] = {}
        best: dict[_State, float] = {}
        # among equals the one that has come furthest, then the first: the same cell is always drawn the same
        heap: list[tuple[float, float, int, _State, _State | None]] = [
            (cost + left(point), -cost, number, (point, direction), None)
            for number, (cost, point, direction) in enumerate(starts)
        ]
        heapq.heapify(heap)
        count = len(heap)
        while heap:
            _, gone, _, state, parent = heapq.heappop(heap)
            if state in came:
                continue
            came[state] = parent
            if parent is not None and state in goals:
                return _walk(state, came)
            here, direction = state
            back = (-direction[0], -direction[1])
            for turn in (direction,) if parent is None else (way for way in _WAYS if way != back):
                there = (here[0] + turn[0], here[1] + turn[1])
                price = 1.0 + self._price(value, here, there, turn, turn != direction) + goals.get((there, turn), 0.0)
                if (new := price - gone) < best.get((there, turn), float("inf")) and self._open(there, turn, goals):
                    best[there, turn] = new
                    count += 1
                    heapq.heappush(heap, (new + left(there), -new, count, (there, turn), state))
        raise AssertionError("a wire found no port")  # every port stays open at a price

    def _open(self, there: Point, turn: Point, goals: Mapping[_State, float]) -> bool:
        inside = 0 <= there[0] <= self.width and 0 <= there[1] <= self.height
        return (there, turn) in goals or (inside and there not in self.blocked)

    def _price(self, value: Hashable, here: Point, there: Point, turn: Point, bend: bool) -> float:
        if there not in self.busy and not (bend and here in self.busy):
            return _BEND * bend
        horizontal = turn[1] == 0
        price = _BEND * bend + _HUG * (there in self.hugged)
        if bend and any(other != value for other in self.axes.get(here, ())):
            price += _OVERLAP  # a corner on another wire would look like a join
        for other, axes in self.axes.get(there, {}).items():
            if other != value:
                price += _OVERLAP if horizontal in axes else _CROSS
        aside = (turn[1], turn[0])
        for side in (1, -1):
            beside = self.axes.get((there[0] + side * aside[0], there[1] + side * aside[1]), {})
            price += _BESIDE * any(other != value and horizontal in axes for other, axes in beside.items())
        return price


def _walk(state: _State | None, came: Mapping[_State, _State | None]) -> list[Point]:
    """The points that led to `state`, first to last."""
    path = []
    while state is not None:
        path.append(state[0])
        state = came[state]
    return path[::-1]


def _corners(path: list[Point]) -> list[Point]:
    """The ends of a path, and the points where it turns."""
    kept = path[:1]
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1]):
            kept.append(here)
    return [*kept, path[-1]]
