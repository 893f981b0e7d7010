"""What the tests of the CPU engine share."""

import os
from collections.abc import Iterator

import pytest
import torch

from celda.engines.cpu import kernels
from tests.poison import poisoned


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """A cache of compiled kernels that is empty at first and left to nobody."""
    before = os.environ.get("CELDA_CACHE")
    os.environ["CELDA_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["CELDA_CACHE"]
    else:
        os.environ["CELDA_CACHE"] = before


@pytest.fixture
def torch_threads():
    """`torch.set_num_threads`, undone after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def harsh(monkeypatch: pytest.MonkeyPatch, torch_threads) -> Iterator[None]:
    """Two threads for any work, and memory with anything in it."""
    monkeypatch.setattr(kernels, "ALONE", -1)
    torch_threads(2)
    with poisoned():
        yield
