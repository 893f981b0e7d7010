"""What the subjects of all tasks are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """Values `values` (n,) at the places `at` (n,), in steps of a recurrent layer."""

    name: str
    at: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A recurrent layer of the network; see `celda.insight.Part`."""

    layer: str
    title: str
    step: str
    labels: Sequence[object]
    columns: tuple[str, ...]
    targets: Mapping[str, np.ndarray]
    signal: Line | None
