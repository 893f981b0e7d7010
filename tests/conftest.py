"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files: CELDA_DATA, or the folder beside the repository; skips where there is none."""
    folder = Path(os.environ.get("CELDA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set CELDA_DATA to their folder")
    return folder
