"""What the measurements were made on, and whether it had other things to do."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import process_time

import torch

PACKAGES = ("celda", "torch", "llvmlite", "jax", "onnxruntime", "openvino")
QUIET = 0.05  # share of the processors that others may take before the numbers are not to be quoted


def describe(threads: int) -> str:
    """The processor, the threads, and the versions of all that took part."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{(names or [platform.machine()])[0]}, {capability}, {threads} threads; {packages}."


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


class Watch:
    """How much of the machine others take from now on: other processes, or other machines on the same hardware."""

    def __init__(self) -> None:
        self._began = self._now()

    def others(self) -> float | None:
        """Their share of all processors, or None where the system does not tell."""
        now = self._now()
        if now is None or self._began is None:
            return None
        busy, total, own = (b - a for a, b in zip(self._began, now, strict=True))
        hertz = 100.0  # of the kernel's clock in /proc, on every Linux
        return max(0.0, busy - own * hertz) / max(total, 1.0)

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        path = Path("/proc/stat")
        if not path.exists():
            return None
        user, nice, system, idle, wait, *rest = map(float, path.read_text().split("\n", 1)[0].split()[1:9])
        busy = user + nice + system + sum(rest)
        return busy, busy + idle + wait, process_time()
