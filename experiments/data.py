"""Where the real data are."""

from __future__ import annotations

import os
from pathlib import Path

from celda import CeldaError


def folder(name: str) -> Path:
    """The folder of that name in CELDA_DATA, or in shared/data beside the repository. Raises CeldaError without it."""
    home = Path(os.environ.get("CELDA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (home / name).is_dir():
        raise CeldaError(f"There is no folder {name} in {home}: give the folder of real data as --data or CELDA_DATA.")
    return home / name
