"""How long a cell that the machine has never seen takes to start, each time in a fresh process."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import celda

ROOT = Path(__file__).parents[1]


def measure(repeats: int, threads: int) -> dict[bool, dict[str, list[float]]]:
    """Seconds by whether the kernels were in the disk cache; see `once` for what is measured."""
    found: dict[bool, dict[str, list[float]]] = {}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    compileall.compile_dir(Path(celda.__file__).parent, quiet=1)  # as an installed package is
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for cached in (False, True):  # the first process leaves its kernels to the second
                command = [sys.executable, "-m", "benchmarks.first_call", str(threads)]
                here = {**environment, "CELDA_CACHE": folder}
                done = subprocess.run(command, cwd=ROOT, env=here, check=True, capture_output=True, text=True)
                for name, seconds in json.loads(done.stdout).items():
                    found.setdefault(cached, {}).setdefault(name, []).append(seconds)
    return found


def once(threads: int) -> dict[str, float]:
    """Seconds in this process.

    `engine`: importing the engine, with the compiler. `call`: the first call of a cell, from tracing it to the end of
    its gradient, beyond what the second takes; torch's own threads and autograd have been started before.
    """
    import torch

    torch.set_num_threads(threads)
    torch.nn.Linear(256, 256)(torch.randn(256, 256)).sum().backward()
    start = perf_counter()
    import celda.engines.cpu

    engine, x = perf_counter() - start, torch.randn(20, 4, 8)
    start = perf_counter()
    from benchmarks.custom import two_speed

    layer = celda.Recurrent(two_speed, 8, 64, engine="cpu")
    seconds = []
    for _ in range(2):
        layer(x)[0].sum().backward()
        seconds.append(perf_counter() - start)
        start = perf_counter()
    return {"engine": engine, "call": seconds[0] - seconds[1]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(once(int(sys.argv[1]))))
