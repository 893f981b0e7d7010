"""What the tests of the CPU engine share."""

import os

import pytest
import torch


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
