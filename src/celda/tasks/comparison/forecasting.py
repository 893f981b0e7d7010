"""Cells compared by forecasts."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from torch import nn

from celda.data import Preprocessor, Windows
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.comparison.contest import SEQUENCES, Trained
from celda.tasks.forecaster import Forecaster
from celda.tasks.options import check_options, to_plain
from celda.tasks.phases import build_network, fingerprint
from celda.tasks.sizes import Sizes, check_held_out, default_test_size


class Forecasting:
    """The last part of a table, forecast; see `Contest`."""

    error, facts = "MAE", ""

    def __init__(self, source: Any, options: dict[str, Any]) -> None:
        if "h" not in options:
            raise CeldaError("A forecast wants a horizon: write for example h=24.")
        self._options = options
        first = Forecaster(**options)
        check_options(first)
        self._table = first.read(source)
        held_out = default_test_size(first.h, int(self._table.lengths.min()))
        check_held_out(self._table, held_out, "h")
        self._known = self._table.until(-held_out)
        self._sizes = Sizes.derive(first, self._known)
        self._preprocessor = Preprocessor.fit(self._known, scaling=first.scaler, calendar=first.calendar)
        self.hidden_size: int = first.hidden_size
        self.data = fingerprint(self._table)
        self.step = "1 row" if self._sizes.patch == 1 else f"{self._sizes.patch} rows"

    def network(self, cell: str | Cell, hidden_size: int) -> nn.Module:
        """See `Contest`."""
        return build_network(self._forecaster(cell, hidden_size, 0), self._sizes, self._preprocessor)

    def options(self, cell: str | Cell, hidden_size: int, seed: int) -> dict[str, Any]:
        """See `Contest`."""
        return to_plain(self._forecaster(cell, hidden_size, seed))

    def train(self, cell: str | Cell, hidden_size: int, seed: int) -> Trained:
        """See `Contest`."""
        model = self._forecaster(cell, hidden_size, seed).fit(self._known)
        tested = model.evaluate(self._table)
        network = model.predictor_.network.cpu()
        panel = model.predictor_.preprocessor.transform(self._table)
        windows = Windows(panel, self._sizes.input_size, model.h, begin=self._known.lengths, step_size=model.h)
        batch = windows[np.arange(len(windows))[-SEQUENCES:]]
        histories = model.histories_.values()
        return Trained(
            network,
            float(tested.scores[self.error][model.name]),
            lambda: network(batch),
            model.epochs_,
            sum(history.seconds for history in histories),
            statistics.median(epoch.seconds for history in histories for epoch in history.epochs),
        )

    def _forecaster(self, cell: str | Cell, hidden_size: int, seed: int) -> Forecaster:
        return Forecaster(**{**self._options, "cell": cell, "hidden_size": hidden_size, "seed": seed})
