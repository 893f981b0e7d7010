"""What the commands of the benchmarks have in common: their options, the contract tests, the processors."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
RED = "The contract tests are red, and a speed says nothing of a kernel that is wrong: mend them first."


def parser(name: str, description: str | None, files: str) -> argparse.ArgumentParser:
    """The options that every command has; `files` is what it writes."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    made.add_argument("--repeats", type=int, default=15, help="rounds that count (default: 15)")
    made.add_argument("--threads", type=int, default=2, help="threads of every contender (default: 2)")
    made.add_argument("--quick", action="store_true", help="few shapes and three rounds, to see that all runs")
    made.add_argument("--out", type=Path, help=f"a folder that {files} is written to")
    made.add_argument("--without-contract", action="store_true", help="skip the contract tests; the title says so")
    return made


def check(made: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    """Stop where something cannot be measured."""
    if chosen.repeats < 1:
        made.error(f"--repeats {chosen.repeats} measures nothing: write at least 1")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= chosen.threads <= available:
        made.error(f"--threads {chosen.threads} cannot be had: there are {available} processors")


def remarks(chosen: argparse.Namespace, busy: bool) -> str:
    """What a title says of a report that is not to be quoted."""
    said = ["a quick run, not to be quoted"] * chosen.quick
    said += ["CONTRACT TESTS NOT RUN"] * chosen.without_contract
    said += ["THE MACHINE WAS BUSY"] * busy
    return f" ({'; '.join(said)})" if said else ""


def contract_holds() -> bool:
    """Whether the contract tests are green."""
    command = [sys.executable, "-m", "pytest", "-x", "-n", "2", "--dist", "worksteal", "tests/contract"]
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode == 0  # stdout is the report's


def confine(threads: int) -> None:
    """Give every library as many processors as it shall use: some take the number of their threads from that."""
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def say(text: str) -> None:
    """Progress, which is not part of the report."""
    sys.stderr.write(text + "\n")
