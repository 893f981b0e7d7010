"""What an experiment is: a claim, the runs that try it, and what each of them came to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.result import Result

FOLDER = Path(__file__).parent
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Run:
    """One line of an experiment: a setting, learned from several seeds.

    Attributes:
        name: of the run, and of its file `results/NAME.json`.
        config: a dataclass with all that the figures depend on but the seed.
        once: config and seed -> the figures; None: there is none (what a net needed that never solved it).
        published: what the paper has, in words.
        seeds: how many; they are 0, 1, 2, ...
        quick: whether it belongs to the quick set.
    """

    name: str
    config: Any
    once: Callable[[Any, int], Figures]
    published: str = ""
    seeds: int = 5
    quick: bool = True


@dataclass(frozen=True)
class Column:
    """A figure of the table. `over` seeds: "mean" (with the range), "count" (of those that are not 0) or "best"."""

    figure: str
    heading: str
    form: str = ",.0f"
    over: str = "mean"


@dataclass(frozen=True)
class Check:
    """What should be found, and whether it was: a function of the runs' results by name."""

    says: str
    holds: Callable[[Mapping[str, Result]], bool]
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """A paper's claim and what was run for it.

    Attributes:
        title: in a few words.
        source: the paper, and where in it.
        claim: the task and what the paper says of it.
        setting: how ours differs from the paper's.
        columns: the figures of the table.
        runs: its lines.
        checks: what should be found.
        why: why ours agree with the published, or do not.
        data: the folder of real data that it needs, if any.
        picture: draws what was found to a file, from the results by name.
    """

    title: str
    source: str
    claim: str
    setting: str
    columns: tuple[Column, ...]
    runs: tuple[Run, ...]
    checks: tuple[Check, ...]
    why: str
    data: str | None = None
    picture: Callable[[Mapping[str, Result], Path], None] | None = None


def names() -> list[str]:
    """The folders of all experiments, the oldest paper first."""
    return sorted(path.parent.name for path in FOLDER.glob("[0-9]*/experiment.py"))


def find(name: str) -> Experiment:
    """The experiment in that folder."""
    found: Experiment = importlib.import_module(f"experiments.{name}.experiment").EXPERIMENT
    return found


def results(name: str, folder: Path = FOLDER) -> dict[str, Result]:
    """What was found, by run, in the order of the experiment; runs that were not run are left out."""
    files = {run.name: folder / name / "results" / f"{run.name}.json" for run in find(name).runs}
    return {run: Result.read(path) for run, path in files.items() if path.exists()}
