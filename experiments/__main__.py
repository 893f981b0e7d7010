"""Run the experiments and write what they came to; see docs/results.md.

python -m experiments list
python -m experiments run                                       # the quick set
python -m experiments run 1997_hochreiter_adding                # one of them; --full: with its long runs
python -m experiments run 1997_hochreiter_adding --only lstm_100 --seeds 1
python -m experiments run --full --resume                       # what is not there yet
python -m experiments run --jobs 1                              # one after another, not a process a processor
python -m experiments page                                      # docs/results.md anew, from the results
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from celda import CeldaError
from experiments import page
from experiments.experiment import FOLDER, Column, Run, find, names
from experiments.result import Result


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def perform(
    run: Run, columns: Sequence[Column], path: Path, seeds: int | None = None, resume: bool = False, of: str = ""
) -> None:
    """All seeds of a run, one after another; the file is written after each, and the columns' figures are told.

    With `resume` those that are in the file are not run again, if they are of the same setting. `of`: the experiment.
    """
    figures, seconds = [], []
    if resume and path.exists() and (before := Result.read(path)).is_of(run.config):
        figures, seconds = before.figures, before.seconds
    for seed in range(len(figures), run.seeds if seeds is None else seeds):
        began = time.process_time()
        figures.append(run.once(run.config, seed))
        seconds.append(round(time.process_time() - began, 1))
        Result.now(run.config, list(range(seed + 1)), figures, seconds).write(path)
        latest = {column.figure: figures[-1].get(column.figure) for column in columns}
        shown = ", ".join(f"{name} {value:.5g}" for name, value in latest.items() if value is not None)
        say(f"{of}  {run.name}, seed {seed}: {shown} ({seconds[-1]:.0f} s)")


def chosen(experiment_name: str, options: argparse.Namespace) -> list[Run]:
    """The runs that are asked for."""
    runs = find(experiment_name).runs
    if options.only:
        if unknown := set(options.only) - {run.name for run in runs}:
            known = ", ".join(run.name for run in runs)
            raise CeldaError(f"{experiment_name} has no run {', '.join(sorted(unknown))}: write some of {known}.")
        return [run for run in runs if run.name in options.only]
    return [run for run in runs if run.quick or options.full]


def run_all(options: argparse.Namespace) -> None:
    """Run what is asked for, then write the pages."""
    if unknown := set(options.names) - set(names()):
        raise CeldaError(f"There is no experiment {', '.join(sorted(unknown))}: write some of {', '.join(names())}.")
    if options.only and len(options.names) != 1:
        raise CeldaError("--only names runs of one experiment: name that experiment before it.")
    work = [(name, run.name) for name in options.names or names() for run in chosen(name, options)]
    if options.jobs == 1:
        for name, run_name in work:
            _one(name, run_name, options)
        return
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for done in as_completed([pool.submit(_one, *one, options) for one in work]):
            done.result()


def _one(name: str, run_name: str, options: argparse.Namespace) -> None:
    """One run of an experiment."""
    experiment = find(name)
    run = next(run for run in experiment.runs if run.name == run_name)
    path = options.out / name / "results" / f"{run_name}.json"
    perform(run, experiment.columns, path, options.seeds, options.resume, name)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = made.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the experiments and their runs")
    commands.add_parser("page", help="write docs/results.md and the folders' pages anew, from the results")
    run = commands.add_parser("run", help="run experiments, then write the pages")
    run.add_argument("names", nargs="*", metavar="NAME", help="folders; all by default")
    run.add_argument("--full", action="store_true", help="the long runs too")
    run.add_argument("--only", nargs="+", metavar="RUN", help="some runs of one experiment")
    run.add_argument("--seeds", type=int, choices=range(1, 101), metavar="N", help="1 to 100; each run has its own")
    run.add_argument(
        "--jobs", type=int, choices=range(1, 65), default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    run.add_argument("--resume", action="store_true", help="keep the seeds that are there, of the same setting")
    run.add_argument("--data", type=Path, help="the folder of real data (or CELDA_DATA)")
    run.add_argument("--out", type=Path, default=FOLDER, help="write the results there, and no pages")
    return made


def main(given: list[str] | None = None) -> int:
    """Do what the command line says; 1 after an error of the user's."""
    options = parser().parse_args(given)
    torch.set_num_threads(1)  # the networks are small: a second thread would only wait
    try:
        if options.command == "list":
            for name in names():
                say(f"{name}: {', '.join(run.name + ('' if run.quick else ' (full)') for run in find(name).runs)}")
            return 0
        if options.command == "run":
            if options.data:
                os.environ["CELDA_DATA"] = str(options.data)
            run_all(options)
        if options.command == "page" or options.out == FOLDER:
            page.write()
    except CeldaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
