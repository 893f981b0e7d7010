"""By how much the ends of intervals move, learnt in one scaling of the series and applied in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from celda.data import Windows
from celda.tasks import intervals


@dataclass(frozen=True)
class Corrections:
    """`moves` (levels, h): by how much both ends of each interval move outwards, levels increasing.

    They are in units of the scale that each series had when they were found, `units`; of a series that was not there,
    in units of its own. `notes`: what they cannot hold.
    """

    moves: np.ndarray
    units: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def find(cls, windows: Windows, raw: np.ndarray, level: Sequence[float]) -> Corrections:
        """Calibrate `raw` (N, h, quantiles), the scaled forecasts of windows that the network has not learnt from."""
        panel = windows.panel
        values = np.where(panel.observed, panel.y, np.nan).astype(np.float64)
        at = panel.starts[windows.series] + windows.origins
        y = values[at[:, None] + np.arange(windows.h)]
        scores = int((~np.isnan(y)).sum(0).min())
        most = 100 * scores / (scores + 1)
        note = (
            f"The validation part has {scores} forecasts of a step to correct the intervals by, enough for levels to "
            f"{int(most)} %: an interval of {max(level):g} % is only as wide as the largest of their errors; a larger "
            "val_size gives more."
        )
        units = dict(zip(panel.ids, panel.scaler.scale.tolist(), strict=True))
        return cls(intervals.calibrate(y, raw, level), units, (note,) if max(level) > most else ())

    def of(self, windows: Windows) -> np.ndarray:
        """The moves for N windows, as they are scaled: (N, levels, h)."""
        series = zip(windows.panel.ids, windows.panel.scaler.scale, strict=True)
        units = np.array([self.units.get(name, scale) / scale for name, scale in series])
        moves: np.ndarray = self.moves * units[windows.series][:, None, None]
        return moves
