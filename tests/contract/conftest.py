"""What every contract test runs under."""

from collections.abc import Iterator

import pytest
import torch

from celda.engines.cpu import kernels
from tests.poison import poisoned


@pytest.fixture(autouse=True)
def harsh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Poisoned memory, and as many threads as torch has for the smallest step; torch's threads are put back."""
    monkeypatch.setattr(kernels, "ALONE", -1)
    before = torch.get_num_threads()
    with poisoned():
        yield
    torch.set_num_threads(before)
