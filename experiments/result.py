"""What a run came to, as a file."""

from __future__ import annotations

import datetime
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import celda
from celda.files import written_aside


@dataclass(frozen=True)
class Result:
    """The figures of each seed, and what they were found with.

    Attributes:
        config: the setting.
        seeds: those that were run.
        figures: of each seed, by name.
        seconds: processor time of each seed: others on the machine do not lengthen it.
        date: the day of the last seed, UTC.
        versions: of Python, torch and celda.
        machine: what it ran on.
    """

    config: dict[str, Any]
    seeds: list[int]
    figures: list[dict[str, float | None]]
    seconds: list[float]
    date: str
    versions: dict[str, str]
    machine: str

    @classmethod
    def now(cls, config: Any, seeds: list[int], figures: list[dict[str, float | None]], seconds: list[float]) -> Result:
        """With the date, versions and machine of this moment."""
        versions = {"python": platform.python_version(), "torch": torch.__version__, "celda": celda.__version__}
        capability = torch.backends.cpu.get_cpu_capability()
        machine = f"{platform.machine()}, {capability}, {torch.get_num_threads()} thread"
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        return cls(asdict(config), list(seeds), list(figures), list(seconds), today, versions, machine)

    def is_of(self, config: Any) -> bool:
        """Whether it was found with this setting."""
        return self.config == json.loads(json.dumps(asdict(config)))

    def of(self, figure: str) -> list[float]:
        """One figure of all seeds that have it."""
        return [value for one in self.figures if (value := one.get(figure)) is not None]

    def mean(self, figure: str) -> float:
        """Its mean; NaN where no seed has it."""
        values = self.of(figure)
        return sum(values) / len(values) if values else float("nan")

    def count(self, figure: str, least: float) -> int:
        """Of how many seeds it is at least so much."""
        return sum(value >= least for value in self.of(figure))

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Result:
        """The result in a file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
