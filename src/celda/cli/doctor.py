"""`celda doctor`: what this machine has, which engines run here, and whether they agree."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from celda.cli.console import show, table

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CLOSE = 1e-5  # float32, a small layer


def doctor() -> None:
    """Say what this machine has, which engines run here and why, and check that they agree."""
    import importlib.metadata

    import torch

    import celda
    from celda.engines import UNTRIED, choose, hindrance

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none that torch can use"
    rows = [
        ("celda", celda.__version__),
        ("python", platform.python_version()),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("processor", f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"),
        ("GPU", gpu),
        *((name, importlib.metadata.version(name)) for name in ("accelerate", "numpy", "pandas", "scikit-learn")),
    ]
    there = torch.zeros(1, device="cuda" if torch.cuda.is_available() else "cpu")
    on_cpu, on_gpu = hindrance("cpu", torch.zeros(1)), hindrance("gpu", there)
    compiler = _compiler() if on_cpu is None else []
    engines = [
        ("cpu", "no" if on_cpu else "yes", on_cpu or "kernels compiled for each cell and this processor"),
        ("gpu", "no" if on_gpu else "yes", f"{on_gpu or 'Triton kernels printed for each cell'}; {UNTRIED}"),
        ("reference", "yes", "torch operations in a loop: any cell, dtype and device"),
    ]
    show(table("This machine", ("", ""), [*rows, *compiler]), "")
    show(table("Engines", ("engine", "runs here", "why"), engines), "")
    good = _check("reference" if on_cpu else "cpu")
    plan, asked = choose("auto", torch.zeros(1)), os.environ.get("CELDA_ENGINE") or "auto"  # an error where it is none
    if asked != "auto":
        show(f"CELDA_ENGINE={asked} is set, and decides for every layer left at 'auto'")
    show(str(plan))
    if not good:
        raise typer.Exit(1)


def _compiler() -> list[tuple[str, str]]:
    """What the CPU engine compiles with and for, and where it keeps what it made."""
    import llvmlite

    from celda.engines.cpu import cache, machine

    host, folder = machine.host(), cache.folder()
    vectors = f"vectors of {8 * host.vector_bytes} bits: {host.lanes('float32')} numbers of float32"
    vectors += ", pairs of bfloat16" * host.multiplies_bfloat16
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        kept = "can be written"
    except OSError as error:
        kept = f"cannot be written ({error.strerror}), so every process compiles anew: set CELDA_CACHE to a folder"
    return [
        ("llvmlite", llvmlite.__version__),
        ("kernels for", f"{host.cpu}, {vectors}"),
        ("kernels in", f"{folder}, which {kept}"),
    ]


def _check(engine: str) -> bool:
    """Compare a small LSTM on `engine`, compiled anew, with the reference, and that with torch; say how it went."""
    import torch

    import celda

    torch.manual_seed(0)
    reference, theirs, x = celda.LSTM(3, 5, engine="reference"), torch.nn.LSTM(3, 5), torch.randn(7, 2, 3)
    theirs.load_state_dict(reference.state_dict())
    wanted = _values(reference, x)
    good = _told("the reference", "torch.nn.LSTM", wanted, _values(theirs, x))
    if engine != "reference":
        ours = celda.LSTM(3, 5, engine=engine)
        ours.load_state_dict(reference.state_dict())
        begun = time.perf_counter()
        try:
            with _empty_cache():
                found = _values(ours, x)
        except Exception as error:  # whatever it is, to tell it is what this is for
            show(f"check: the {engine} engine FAILS here: {type(error).__name__}: {error}")
            return False
        seconds = time.perf_counter() - begun
        compiled = f"an LSTM on the {engine} engine, compiled anew in {seconds:.1f} s,"
        good &= _told(compiled, "the reference", found, wanted)
    return good


def _told(what: str, other: str, found: list[Tensor], wanted: list[Tensor]) -> bool:
    """Whether the one is the other, which is shown."""
    error = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
    good = error < CLOSE  # not where it is NaN
    show(f"check: {what} {'agrees with' if good else 'DIFFERS from'} {other} here (largest difference {error:.0e})")
    return good


def _values(layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of its sum of squares."""
    import torch

    y = layer(x)[0]
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [*layer.parameters()])]


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Inside the block kernels are compiled, whatever has been compiled before."""
    before = os.environ.get("CELDA_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CELDA_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["CELDA_CACHE"]
            else:
                os.environ["CELDA_CACHE"] = before
