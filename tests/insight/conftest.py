"""Networks so small that looking into them takes a moment."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """For so small networks more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
