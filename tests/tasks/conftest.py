"""Series so short and networks so small that a fit takes a moment."""

import numpy as np
import pandas as pd
import pytest
import torch

import celda


def daily(days=150, seed=0, start="2021-01-04", name=None):
    """A weekly shape with noise: ds, y, and unique_id where it has a name."""
    noise = np.random.default_rng(seed).normal(size=days)
    stamps = pd.date_range(start, periods=days, freq="D")
    shape = np.array([10, 12, 13, 12, 11, 5, 4])
    frame = pd.DataFrame({"ds": stamps, "y": 20 + 3 * shape[np.arange(days) % 7] + noise})
    return frame if name is None else frame.assign(unique_id=name)


def tiny(**options):
    """A forecaster of a few weights, trained for a moment."""
    return celda.Forecaster(**{"h": 7, "hidden_size": 4, "epochs": 2, "input_size": 14, "val_size": 14, **options})


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """For so small networks more threads only wait for one another, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def frame():
    return daily()


@pytest.fixture(scope="session")
def fitted(frame):
    return tiny().fit(frame)
