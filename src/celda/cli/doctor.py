"""`celda doctor`: what this machine has, and which engine would run."""

from __future__ import annotations

import platform

from celda.cli.console import show, table


def doctor() -> None:
    """Say what this machine has, which engines run here, and why."""
    import importlib.metadata

    import torch

    import celda
    from celda.engines import NAMES, choose

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none that torch can use"
    rows = [
        ("celda", celda.__version__),
        ("python", platform.python_version()),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("processor", f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"),
        ("GPU", gpu),
        *((name, importlib.metadata.version(name)) for name in ("accelerate", "numpy", "pandas", "scikit-learn")),
        ("engines", ", ".join(NAMES)),
    ]
    show(table("This machine", ("", ""), rows), "", str(choose("auto", torch.zeros(1))))
    show(_check())


def _check() -> str:
    """Run the layer that matters most and compare it with torch's."""
    import torch

    import celda

    torch.manual_seed(0)
    ours, x = celda.LSTM(3, 5), torch.randn(7, 2, 3)
    theirs = torch.nn.LSTM(3, 5)
    theirs.load_state_dict(ours.state_dict())
    error = float((ours(x)[0] - theirs(x)[0]).abs().max().detach())
    verdict = "agrees with" if error < 1e-5 else "DIFFERS from"
    return f"check: celda.LSTM {verdict} torch.nn.LSTM here (largest difference {error:.0e})"
