"""What a comparison came to: a row a training, a row a cell, and what of it a paired test supports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

FEWEST = 5  # seeds of a test
LEVEL = 0.05
_NEAR = 0.05  # weights that differ by less are called equal


@dataclass(frozen=True)
class Run:
    """One cell, trained with one seed.

    `error`: on the test. `memory`: the effective memory, the largest lag at which the input's gradient is a tenth of
    the most. `gradient` (T,): its norm by lag, as a part of the most. `seconds`: of all training; `pace`: an epoch's.
    """

    cell: str
    seed: int
    hidden_size: int
    weights: int
    error: float
    memory: int
    gradient: tuple[float, ...]
    epochs: int
    seconds: float
    pace: float

    @property
    def halfway(self) -> float:
        """What is left of the gradient half a sequence back."""
        return self.gradient[len(self.gradient) // 2]


@dataclass(frozen=True)
class Comparison:
    """All runs, cell by cell, of the same seeds each; `gates` of each cell; `error`, `step`, `facts` of the contest."""

    runs: Sequence[Run]
    gates: dict[str, tuple[str, ...]]
    error: str
    step: str
    facts: str

    @property
    def cells(self) -> list[str]:
        """The cells, the one that the others are held against first."""
        return list(self.gates)

    @property
    def seeds(self) -> int:
        """How many each cell has."""
        return len(self.runs) // len(self.gates)

    def of(self, cell: str) -> list[Run]:
        """The runs of a cell, by seed."""
        return sorted((run for run in self.runs if run.cell == cell), key=lambda run: run.seed)

    def errors(self, cell: str) -> np.ndarray:
        """By seed."""
        return np.array([run.error for run in self.of(cell)])

    @property
    def best(self) -> str | None:
        """The cell of the lowest mean error, where a paired t-test finds it lower than that of each other cell."""
        return self._lowest if self.deciding < LEVEL else None

    @property
    def deciding(self) -> float:
        """The largest p of the cell of the lowest mean error against each other; NaN with fewer than 5 seeds.

        It is not corrected: as *all* these tests must speak for the cell, each at its full level, the chance that a
        cell is marked by mistake is no larger than that of one test (Berger 1982, "Multiparameter hypothesis testing").
        """
        if self.seeds < FEWEST:
            return np.nan
        best = self._lowest
        return max(paired(self.errors(best), self.errors(cell)) for cell in self.cells if cell != best)

    @property
    def _lowest(self) -> str:
        return min(self.cells, key=lambda cell: float(self.errors(cell).mean()))

    def table(self) -> pd.DataFrame:
        """A row a cell: mean and standard deviation over the seeds, and the error held against that of the first cell.

        `p`: of the paired t-test over the seeds, two-sided, corrected for several cells (Holm 1979); NaN with fewer
        than 5 seeds.
        """
        first, *others = self.cells
        raw = [paired(self.errors(first), self.errors(cell)) if self.seeds >= FEWEST else np.nan for cell in others]
        against = dict(zip(others, holm(raw), strict=True))
        rows: list[dict[str, Any]] = []
        for cell in self.cells:
            runs = self.of(cell)
            row: dict[str, Any] = {"cell": cell, "gates": " ".join(self.gates[cell])}
            row |= {"hidden_size": runs[0].hidden_size, "weights": runs[0].weights, "seeds": len(runs)}
            for name in ("error", "memory", "halfway", "epochs", "seconds", "pace"):
                values = np.array([getattr(run, name) for run in runs], float)
                row |= {name: values.mean(), f"{name}_sd": values.std(ddof=1) if len(values) > 1 else np.nan}
            row["difference"] = row["error"] - rows[0]["error"] if rows else 0.0
            rows.append({**row, "p": against.get(cell, np.nan), "best": cell == self.best})
        return pd.DataFrame(rows)

    def runs_table(self) -> pd.DataFrame:
        """A row a cell and seed."""
        names = ("cell", "seed", "hidden_size", "weights", "error", "memory", "halfway", "epochs", "seconds", "pace")
        return pd.DataFrame([{name: getattr(run, name) for name in names} for run in self.runs])

    @property
    def notes(self) -> list[str]:
        """How to read the table, and what it does not show."""
        first, steps = self.cells[0], len(self.runs[0].gradient)
        said = [
            f"Mean ± standard deviation over {self.seeds} seed{'s' * (self.seeds != 1)}. {self.error}: on data "
            "that no cell had seen; lower is better. memory: how many steps back the input still counts a tenth of "
            f"the most, by gradient, of {steps - 1} at most; a step is {self.step}. gradient: its norm {steps // 2} "
            "steps back, as a part of the most."
        ]
        if self.facts:
            said.append(self.facts)
        if self.seeds < FEWEST:
            said.append(
                f"{self.seeds} seed{'s are' if self.seeds != 1 else ' is'} too few for a test, so no cell is marked as "
                f"the best: chance alone may order them so. Write seeds={FEWEST} or more."
            )
        elif self.best:
            said.append(
                f"* {self.best} has the lowest {self.error}; paired t-tests over the seeds support it against each "
                f"other cell: the largest of their p is {self.deciding:.2g}, below {LEVEL}. All of them must be, "
                f"so they are not corrected; the p in the table, each against {first}, are corrected for "
                "being several (Holm)."
            )
        else:
            said.append(
                f"No cell is marked as the best: paired t-tests over the seeds do not tell {self._lowest}, of the "
                f"lowest {self.error}, from all others (the largest p is {self.deciding:.2g}, not below {LEVEL})."
            )
        wanted = self.of(first)[0].weights
        off = [run for run in (self.of(cell)[0] for cell in self.cells) if abs(run.weights / wanted - 1) > _NEAR]
        if off:
            told = ", ".join(f"{run.cell} ({100 * (run.weights / wanted - 1):+.0f} %)" for run in off)
            said.append(f"No number of units comes nearer to the {wanted:,} weights of {first}: {told}.")
        return said


def paired(a: np.ndarray, b: np.ndarray) -> float:
    """The two-sided p of the paired t-test (Student 1908); 1 where all pairs are equal, of which it knows nothing."""
    if np.array_equal(a, b):
        return 1.0
    return float(stats.ttest_rel(a, b).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Several p corrected for being several: Holm (1979), "A simple sequentially rejective multiple test procedure"."""
    corrected, highest = [np.nan] * len(p), 0.0
    for place, index in enumerate(np.argsort(p)):
        if np.isnan(p[index]):
            continue
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = highest
    return corrected
