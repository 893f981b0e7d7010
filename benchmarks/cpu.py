"""The speed of Celda's CPU engine beside its peers: `python -m benchmarks.cpu`; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import first_call, report
from benchmarks.machine import QUIET, Watch
from benchmarks.measure import measure
from benchmarks.rows import FIRST_CALLS, NAMES, ROWS
from benchmarks.shapes import QUICK

ROOT = Path(__file__).parents[1]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help=f"some of {','.join(NAMES)}")
    parser.add_argument("--repeats", type=int, default=15, help="rounds that count (default: 15)")
    parser.add_argument("--threads", type=int, default=2, help="threads of every contender (default: 2)")
    parser.add_argument("--quick", action="store_true", help="few shapes and three rounds, to see that all runs")
    parser.add_argument("--out", type=Path, help="a folder that cpu.md and cpu.png are written to")
    parser.add_argument("--without-contract", action="store_true", help="skip the contract tests; the title says so")
    chosen = parser.parse_args(given)
    if unknown := set(chosen.only) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}: write some of {', '.join(NAMES)}")
    if chosen.repeats < 1:
        parser.error(f"--repeats {chosen.repeats} measures nothing: write at least 1")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= chosen.threads <= available:
        parser.error(f"--threads {chosen.threads} cannot be had: there are {available} processors")
    return chosen


def contract_holds() -> bool:
    """Whether the contract tests are green."""
    command = [sys.executable, "-m", "pytest", "-x", "tests/contract"]
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode == 0  # stdout is the report's


def confine(threads: int) -> None:
    """Give every library as many processors as it shall use: some take the number of their threads from that."""
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def say(text: str) -> None:
    """Progress, which is not part of the report."""
    sys.stderr.write(text + "\n")


def main() -> int:
    """Run, print, and write the report and its figure where a folder was named."""
    chosen = arguments()
    if not chosen.without_contract and not contract_holds():
        say("The contract tests are red, and a speed says nothing of a kernel that is wrong: mend them first.")
        return 1
    confine(chosen.threads)
    rows = [row for row in ROWS if row.key in chosen.only]
    firsts = [row for row in FIRST_CALLS if row.key in chosen.only]
    shapes = [s for s in dict.fromkeys(s for row in rows for s in row.shapes) if s in QUICK or not chosen.quick]
    repeats = min(chosen.repeats, 3) if chosen.quick else chosen.repeats
    seconds = first_call.measure(min(repeats, 5), chosen.threads) if firsts else {}
    watch = Watch()
    times = measure(rows, shapes, repeats, say)
    others = watch.others()

    remarks = ["a quick run, not to be quoted"] * chosen.quick
    remarks += ["CONTRACT TESTS NOT RUN"] * chosen.without_contract
    remarks += ["THE MACHINE WAS BUSY"] * (others is not None and others > QUIET)
    title = "Celda on the CPU" + (f" ({'; '.join(remarks)})" if remarks else "")
    found = [*report.outcomes(rows, times), *report.first_outcomes(firsts, seconds)]
    text = report.whole(title, chosen.threads, repeats, others, found, rows, times, seconds)
    sys.stdout.write(text)
    if chosen.out:
        from benchmarks.drawing import draw

        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "cpu.md").write_text(text, encoding="utf-8")
        draw(title, rows, times, chosen.out / "cpu.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
