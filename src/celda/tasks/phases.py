"""The phases of learning from a table: each trains a new network from its beginning."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from celda import cells
from celda.data import Panel, Preprocessor, Table, Windows
from celda.models import ForecastNetwork
from celda.tasks.corrections import Corrections
from celda.tasks.losses import forecast_loss
from celda.tasks.options import to_plain
from celda.tasks.predictor import Predictor
from celda.tasks.sizes import Sizes
from celda.training import History, TrainingConfig, fit

if TYPE_CHECKING:
    from celda.tasks.forecaster import Forecaster


@dataclass
class Phases:
    """What the phases of a fit share: options that nobody changes any more, sizes, and where they keep their files.

    `histories`, `notes`: what the phases came to, and what they noticed.
    """

    options: Forecaster
    sizes: Sizes
    run: str | Path | None
    resume: bool
    quiet: bool
    histories: dict[str, History] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def train(self, table: Table, end: np.ndarray, epochs: int, phase: str) -> Predictor:
        """Train a new network on the first `end` steps of each series; what comes after validates it.

        Raises KeyboardInterrupt where the training was interrupted.
        """
        options = self.options
        config = TrainingConfig(
            epochs=epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            warmup=0.2,
            seed=options.seed,
            device=options.device,
        )
        preprocessor = Preprocessor.fit(table.until(end), scaling=options.scaler, calendar=options.calendar)
        panel = preprocessor.transform(table)
        self.notes += panel.notes
        network = build_network(options, self.sizes, preprocessor)
        train, valid = self._windows(panel, end=end), self._windows(panel, begin=end)
        history = fit(
            network,
            forecast_loss(options.loss, options.quantiles),
            train,
            valid if len(valid) else None,
            config,
            run=self.run,
            phase=phase,
            identity=self._identity(table),
            resume=self.resume,
            quiet=self.quiet,
        )
        self.histories[phase] = history
        if history.interrupted:
            raise KeyboardInterrupt(history.signal or signal.SIGINT)
        return Predictor(network, preprocessor, Corrections(np.zeros((len(options.level), options.h))))

    def corrections(self, predictor: Predictor, table: Table, cut: np.ndarray) -> Corrections:
        """How to correct the intervals, from windows after `cut`, which `predictor` has not learnt from."""
        options = self.options
        windows = self._windows(predictor.preprocessor.transform(table), begin=cut)
        if not (options.calibrates and options.level and len(windows)):
            return predictor.corrections
        found = Corrections.find(windows, predictor.raw(windows), options.level)
        self.notes += found.notes
        return found

    def _windows(self, panel: Panel, begin: np.ndarray | None = None, end: np.ndarray | None = None) -> Windows:
        return Windows(panel, self.sizes.input_size, self.options.h, begin=begin, end=end)

    def _identity(self, table: Table) -> dict[str, Any]:
        """What a training that is resumed must have in common with the one that began."""
        options = {name: value for name, value in to_plain(self.options).items() if name != "device"}
        equations = cells.find(self.options.cell).equations()
        return {**options, "equations": equations, "data": f"a table {fingerprint(table)[:12]}"}


def build_network(options: Forecaster, sizes: Sizes, preprocessor: Preprocessor) -> ForecastNetwork:
    """A network with fresh weights."""
    with torch.random.fork_rng(devices=()):  # the caller's random numbers are not ours to move
        torch.default_generator.manual_seed(options.seed)
        return ForecastNetwork(
            options.cell,
            sizes.input_size,
            options.h,
            season=sizes.season,
            patch=sizes.patch,
            past_size=len(preprocessor.past_names),
            future_size=len(preprocessor.future_names),
            static_size=len(preprocessor.static_names),
            hidden_size=options.hidden_size,
            num_layers=options.num_layers,
            dropout=options.dropout,
            quantiles=options.quantiles,
            centre=options.centre,
        )


def fingerprint(table: Table) -> str:
    """Tells tables apart: the same for the same values, time stamps and names, the later covariates included."""
    found = hashlib.sha256()
    for frame in (table.frame, table.later):
        found.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return found.hexdigest()
