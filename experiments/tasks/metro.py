"""Journeys on the metro of Mexico City: which station comes next?

A journey goes from one station to another by the quickest way, where changing trains takes as long as `CHANGE` stops.
"""

from __future__ import annotations

import csv
import heapq
import random
from collections import defaultdict
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from experiments.data import folder

CHANGE = 3
Journey = tuple[str, ...]


class Network(NamedTuple):
    """The lines, each the stations in order."""

    lines: dict[str, list[str]]

    @property
    def stations(self) -> list[str]:
        """Every station once."""
        return sorted({station for line in self.lines.values() for station in line})

    def lines_of(self, station: str) -> list[str]:
        """The lines that stop there."""
        return [line for line, stations in self.lines.items() if station in stations]

    @property
    def transfers(self) -> set[str]:
        """The stations where one can change."""
        return {station for station in self.stations if len(self.lines_of(station)) > 1}

    @property
    def neighbours(self) -> dict[str, set[str]]:
        """The stations that come right before or after each, on any line."""
        found: dict[str, set[str]] = defaultdict(set)
        for stations in self.lines.values():
            for one, two in pairwise(stations):
                found[one].add(two)
                found[two].add(one)
        return dict(found)

    def journeys_from(self, start: str) -> dict[str, Journey]:
        """The quickest journey to every other station; of two as quick, the first in the order of the letters."""
        queue: list[tuple[int, Journey, str]] = [(0, (start,), line) for line in self.lines_of(start)]
        done: set[tuple[str, str]] = set()
        found: dict[str, Journey] = {}
        while queue:
            cost, journey, line = heapq.heappop(queue)
            here = journey[-1]
            if (here, line) in done:
                continue
            done.add((here, line))
            found.setdefault(here, journey)
            for other in self.lines_of(here):
                if other != line:
                    heapq.heappush(queue, (cost + CHANGE, journey, other))
            stations = self.lines[line]
            place = stations.index(here)
            for beside in (place - 1, place + 1):
                if 0 <= beside < len(stations):
                    heapq.heappush(queue, (cost + 1, (*journey, stations[beside]), line))
        del found[start]
        return found


@cache
def read() -> Network:
    """The metro as it is in the file."""
    lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with (folder("metro_mexico_city") / "metro_cdmx_lines.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            lines[row["line"]].append((int(row["seq"]), row["station"]))
    return Network({line: [station for _, station in sorted(stops)] for line, stops in lines.items()})


@cache
def all_journeys() -> list[Journey]:
    """One from every station to every other."""
    metro = read()
    return [journey for start in metro.stations for journey in metro.journeys_from(start).values()]


def split(seed: int) -> dict[str, list[Journey]]:
    """All journeys, shared out: 60 % "train", 20 % "valid", 20 % "test"."""
    journeys = list(all_journeys())
    random.Random(seed).shuffle(journeys)
    one, two = int(0.6 * len(journeys)), int(0.8 * len(journeys))
    return {"train": journeys[:one], "valid": journeys[one:two], "test": journeys[two:]}
