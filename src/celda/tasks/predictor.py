"""A trained network with all that turns its outputs into forecasts in the user's units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from celda.data import Preprocessor, Windows
from celda.models import ForecastNetwork
from celda.tasks import intervals
from celda.tasks.corrections import Corrections

_BATCH = 512  # windows that are forecast at once


@dataclass(frozen=True)
class Predictor:
    """A network, what scales its series, and how its intervals are corrected."""

    network: ForecastNetwork
    preprocessor: Preprocessor
    corrections: Corrections

    def quantiles(self, windows: Windows) -> np.ndarray:
        """The forecasts of N windows: (N, h, quantiles), the median (or the point) in the middle, none crossing."""
        corrected = intervals.widen(self.raw(windows), self.corrections.of(windows))
        return windows.panel.scaler.inverse(corrected, windows.series)

    @torch.no_grad()
    def raw(self, windows: Windows) -> np.ndarray:
        """The same before the corrections, in scaled units."""
        device = next(self.network.parameters()).device
        outputs = []
        for chosen in chunks(windows):
            batch = {name: value.to(device) for name, value in windows[chosen].items()}
            outputs.append(self.network(batch).cpu())
        raw: np.ndarray = torch.cat(outputs).double().numpy()
        return intervals.spread(raw, len(self.corrections.moves))


def chunks(windows: Windows) -> Iterator[np.ndarray]:
    """The indices of all windows, a few hundred at a time."""
    for start in range(0, len(windows), _BATCH):
        yield np.arange(start, min(start + _BATCH, len(windows)))
