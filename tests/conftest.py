"""What every test may ask for."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("celda", deadline=None)  # a machine with other work would fail tests by the clock
settings.load_profile("celda")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_arrives() -> None:
    """A shell that starts the tests in the background has them ignore Ctrl-C, which some of them press."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files: CELDA_DATA, or the folder beside the repository; skips where there is none."""
    folder = Path(os.environ.get("CELDA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set CELDA_DATA to their folder")
    return folder
