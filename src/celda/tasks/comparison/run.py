"""A comparison from its beginning to its table; it goes on where it was interrupted.

out/runs/CELL-SEED.json   each training that has ended
out/runs.csv              a row a cell and seed
out/compare.csv           a row a cell
out/compare.png           error against memory, and the gradient by lag
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from celda.errors import CeldaError
from celda.files import written_aside
from celda.language import Cell
from celda.language.purposes import roles
from celda.tasks.comparison.contest import Contest, Measure
from celda.tasks.comparison.figure import comparison_figure
from celda.tasks.comparison.forecasting import Forecasting
from celda.tasks.comparison.labelling import Classifying, Tagging
from celda.tasks.comparison.language import Foretelling
from celda.tasks.comparison.matching import matching_size
from celda.tasks.comparison.results import Comparison, Run
from celda.tasks.figures import save_figure
from celda.tasks.forecaster import Forecaster
from celda.tasks.language import LanguageModel
from celda.tasks.options import check_cell, check_count
from celda.tasks.sequences import Classifier, Tagger

TASKS: dict[str, tuple[Callable[[Any, dict[str, Any]], Contest], type[Any]]] = {
    "forecast": (Forecasting, Forecaster),
    "classify": (Classifying, Classifier),
    "tag": (Tagging, Tagger),
    "language": (Foretelling, LanguageModel),
}
Report = Callable[[str], object]


def compare(
    task: str,
    source: Any,
    cells: Sequence[str | Cell],
    options: Mapping[str, Any] | None = None,
    *,
    measure: Measure,
    seeds: int = 5,
    out: str | Path | None = None,
    report: Report = lambda line: None,
) -> Comparison:
    """Train each cell with each seed on the same data, with (nearly) as many weights as the first one has.

    Args:
        task: "forecast", "classify", "tag" or "language". source: the data, as the task takes it.
        cells: two or more; the others are held against the first.
        options: of the task's estimator, without `cell` and `seed`; `hidden_size` is that of the first cell. Those of
            the others follow.
        measure: from a network and a pass through it to the gradient by lag:
            `lambda network, run: gradient_of(record(network, run)[0])`, both of `celda.insight`.
        seeds: how many; 0, 1, ... Runs of the same seed meet the same data in the same order.
        out: the folder of what is written. A training that has ended there is not done again.
        report: is told a line a training.

    Raises CeldaError where cells, options, data or the folder cannot be used; KeyboardInterrupt after Ctrl-C.
    """
    if task not in TASKS:
        raise CeldaError(f"There is no task {task!r} to compare cells on: write one of {', '.join(map(repr, TASKS))}.")
    found = _check(cells, seeds)
    made, estimator = TASKS[task]
    _check_options(options or {}, estimator)
    contest = made(source, dict(options or {}))

    def count(cell: Cell, size: int) -> int:
        return sum(weight.numel() for weight in contest.network(cell, size).parameters())

    wanted = count(found[0], contest.hidden_size)
    sizes = [contest.hidden_size, *(matching_size(partial(count, cell), wanted) for cell in found[1:])]
    kept = None if out is None else _Kept(Path(out))
    trainings = [(c, size, seed) for c, size in zip(found, sizes, strict=True) for seed in range(seeds)]
    asked = [_asked(task, contest, *training) for training in trainings]
    done = [
        kept.read(cell, seed, what) if kept else None for (cell, _, seed), what in zip(trainings, asked, strict=True)
    ]
    runs: list[Run] = []
    for place, (cell, size, seed) in enumerate(trainings):
        run = done[place]
        if run is None:
            run = _run(contest, cell, size, seed, count(cell, size), measure)
            if kept:
                kept.write(run, asked[place])
            said = f"{contest.error} {run.error:.4g}, {run.seconds:.1f} s"
        else:
            said = f"{contest.error} {run.error:.4g}, done before"
        report(f"{place + 1} of {len(trainings)}: {cell.name} ({size} units), seed {seed}: {said}")
        runs.append(run)
    gates = {cell.name: _gates(cell) for cell in found}
    compared = Comparison(runs, gates, contest.error, contest.step, contest.facts)
    if kept:
        kept.write_results(compared)
    return compared


def _check(given: Sequence[str | Cell], seeds: int) -> list[Cell]:
    check_count("seeds", seeds)
    found = [check_cell(cell, "a comparison") for cell in given]
    names = [cell.name for cell in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise CeldaError(f"The cell {twice[0]} is named twice: write each cell once.")
    if len(found) < 2:
        raise CeldaError("One cell has none to be compared with: write two or more, such as lstm and gru.")
    return found


def _check_options(given: Mapping[str, Any], estimator: type[Any]) -> None:
    """Those of the task's estimator, but for what the comparison itself sets."""
    for name, instead in (("cell", "name the cells in cells="), ("seed", "say how many with seeds=")):
        if name in given:
            raise CeldaError(f"{name}={given[name]!r} among the options has no effect, as each is tried: {instead}.")
    known = [name for name in estimator._get_param_names() if name not in ("cell", "seed")]
    if unknown := [name for name in given if name not in known]:
        raise CeldaError(f"{unknown[0]!r} is no option of {estimator.__name__}; it has {', '.join(known)}.")


def _gates(cell: Cell) -> tuple[str, ...]:
    """What opens and closes in the cell, by its equations: a candidate does not."""
    return tuple(name for name, role in roles(cell).items() if role.is_gate)


def _asked(task: str, contest: Contest, cell: Cell, size: int, seed: int) -> dict[str, Any]:
    """What a training that has ended must have been asked to be taken for this one."""
    options = {name: value for name, value in contest.options(cell, size, seed).items() if name != "device"}
    asked = {"task": task, "data": contest.data, "equations": cell.equations(), "options": options}
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def _run(contest: Contest, cell: Cell, size: int, seed: int, weights: int, measure: Measure) -> Run:
    trained = contest.train(cell, size, seed)
    by_lag = measure(trained.network, trained.look)
    norms = by_lag.inputs.double()
    shares = (norms / norms.max()).tolist()
    memory = by_lag.reach()
    times = trained.epochs, trained.seconds, trained.pace
    return Run(cell.name, seed, size, weights, trained.error, memory, tuple(shares), *times)


class _Kept:
    """The folder of a comparison."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if folder.is_dir() and any(folder.iterdir()) and not self._is_ours():
            raise CeldaError(
                f"{folder} holds other files than those of a comparison: name a new folder, so that nothing is lost."
            )
        try:
            (folder / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CeldaError(f"{folder} cannot be written to ({error.strerror}): name another folder.") from error

    def _is_ours(self) -> bool:
        runs = self._folder / "runs"
        return runs.is_dir() and all(path.suffix == ".json" for path in runs.iterdir())

    def read(self, cell: Cell, seed: int, asked: dict[str, Any]) -> Run | None:
        """A training that has ended; None where it has not. Raises CeldaError where it was another's."""
        path = self._path(cell.name, seed)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            was, run = content["asked"], content["run"]
            ended = Run(**{**run, "gradient": tuple(run["gradient"])})
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise CeldaError(f"{path} is damaged: delete it, and that training is done again.") from error
        if was != asked:
            raise CeldaError(
                f"{self._folder} holds a comparison of other data or other options: name another folder, or delete it."
            )
        return ended

    def write(self, run: Run, asked: dict[str, Any]) -> None:
        with written_aside(self._path(run.cell, run.seed)) as aside:
            aside.write_text(json.dumps({"asked": asked, "run": asdict(run)}), encoding="utf-8")

    def write_results(self, found: Comparison) -> None:
        for name, table in (("runs", found.runs_table()), ("compare", found.table())):
            with written_aside(self._folder / f"{name}.csv") as aside:
                table.to_csv(aside, index=False, float_format="%.6g")
        save_figure(comparison_figure(found), self._folder / "compare.png")

    def _path(self, cell: str, seed: int) -> Path:
        return self._folder / "runs" / f"{cell}-{seed}.json"
