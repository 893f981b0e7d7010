"""A forecaster as `celda.insight` wants it: its network, windows to look at it with, and what the steps mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from celda.data import Table, Windows
from celda.data.frequency import Frequency
from celda.data.windows import Batch
from celda.errors import CeldaError
from celda.models import ForecastNetwork
from celda.tasks.explained.parts import Layer, Line
from celda.tasks.forecaster import Forecaster, Source
from celda.tasks.model_card import steps_in_words

_SEQUENCES = 64  # windows that are looked at, the latest
_NIGHT = 6  # o'clock, until which it is night


@dataclass(frozen=True)
class ForecastQuestion:
    """What the mean of the forecast stands on; see `celda.insight.Question`."""

    network: ForecastNetwork
    batch: Batch
    labels: Sequence[object]
    series: np.ndarray
    unit: float
    unit_words: str
    words: str = "the mean of the forecast"
    baseline_words: str = "a flat window of the same mean"

    @property
    def x(self) -> Tensor:
        """The window, scaled: (1, L)."""
        return self.batch["past_y"]

    @property
    def baseline(self) -> Tensor:
        """Its mean at every step."""
        return self.batch["level"].expand_as(self.x)

    def output(self, x: Tensor) -> Tensor:
        """The mean of the point forecast over the horizon, scaled: (B,)."""
        batch = {name: value.expand(len(x), *value.shape[1:]) for name, value in self.batch.items()} | {"past_y": x}
        forecast: Tensor = self.network(batch)[..., self.network.middle].mean(1)
        return forecast


@dataclass(frozen=True)
class Explained:
    """A forecaster and windows of a table, in the order of time; see `celda.insight.Subject`."""

    forecaster: Forecaster
    windows: Windows
    source: str

    @property
    def network(self) -> ForecastNetwork:
        """The trained network."""
        return self.forecaster.predictor_.network

    @property
    def target(self) -> str:
        """The name of the column that is forecast."""
        return str(self.forecaster.columns_.get("target_col", "y"))

    @property
    def title(self) -> str:
        """What the report is about."""
        return f"Inside a trained network: {self.forecaster.name} forecasting {self.target}"

    @property
    def facts(self) -> dict[str, str]:
        """What was looked at."""
        f, sizes, layer = self.forecaster, self.forecaster.sizes_, self.network.encoder
        freq, shown = f.predictor_.preprocessor.freq, self.windows.panel.ids[self.windows.series[-1]]
        whose = f" of {shown!r}" if len(self.windows.panel.ids) > 1 else ""
        return {
            "Forecasts": f"the next {steps_in_words(f.h, freq)}, from the last {sizes.input_size}",
            "Data": self.source,
            "Network": f"{f.name}, {layer.hidden_size} units, layers: {layer.num_layers}; twice: one reads the window, "
            "the other goes on from its states over the horizon; a line from the window to the horizon goes past both",
            "A step": f"{_duration(freq, sizes.patch)}: {sizes.patch} value{'s' * (sizes.patch != 1)} of "
            f"{self.target}, with what goes with it (whether it is there, calendar, further columns): "
            f"{self.network.encoder.input_size} inputs",
            "Shown": f"the last window{whose} whose future is known",
            "Looked at": f"{len(self.windows)} windows, none of which overlaps another of its series",
        }

    @cached_property
    def batch(self) -> Batch:
        """All windows, the last one last."""
        return self.windows[np.arange(len(self.windows))]

    def run(self) -> Tensor:
        """Forecast all windows."""
        forecast: Tensor = self.network(self.batch)
        return forecast

    @property
    def question(self) -> ForecastQuestion:
        """Which part of the window the forecast stands on."""
        one, series = self.windows[len(self.windows) - 1], int(self.windows.series[-1])
        past = self._in_units(one["past_y"][0])
        unit = float(self.windows.panel.scaler.scale[series])
        return ForecastQuestion(
            self.network, one, [*self._stamps[: self.windows.input_size]], past, unit, f"in the unit of {self.target}"
        )

    @cached_property
    def parts(self) -> tuple[Layer, Layer]:
        """The layer that reads the window, and the one that forecasts."""
        network, length, h = self.network, self.windows.input_size, self.windows.h
        patch, step = network.patch, _duration(self.forecaster.predictor_.preprocessor.freq, network.patch)
        lacking = -length % patch
        past_at = (np.arange(length) + lacking + 0.5) / patch - 0.5
        ahead_at = (np.arange(h) + 0.5) / patch - 0.5
        names = self.forecaster.predictor_.preprocessor
        known, static = names.future_names, names.static_names
        before = (self.target, f"{self.target} is there", *names.past_names, *known)
        with torch.no_grad():
            forecast = network(self.windows[len(self.windows) - 1])[0, :, network.middle]
        past = self._in_units(self.batch["past_y"][-1])
        reading = Layer(
            "encoder",
            "Reading the window",
            step,
            [*self._stamps[np.maximum(np.arange(0, length + lacking, patch) - lacking, 0)]],
            (*_patched(before, patch), *static),
            self._targets(lacking),
            Line(self.target, past_at, past),
        )
        forecasting = Layer(
            "decoder",
            "Forecasting",
            step,
            [*self._stamps[length::patch]],
            (*_patched((f"{self.target} one season before", *known), patch), *static),
            {},
            Line(f"{self.target}, as it is forecast", ahead_at, self._in_units(forecast)),
        )
        return reading, forecasting

    @property
    def _stamps(self) -> np.ndarray:
        """The time stamps of the shown window and its horizon: (L + h,)."""
        panel, windows = self.windows.panel, self.windows
        at = int(panel.starts[windows.series[-1]] + windows.origins[-1])
        stamps: np.ndarray = panel.ds[at - windows.input_size : at + windows.h]
        return stamps

    def _in_units(self, values: Tensor) -> np.ndarray:
        scaled = values.double().cpu().numpy()[None]
        found: np.ndarray = self.windows.panel.scaler.inverse(scaled, self.windows.series[-1:])[0]
        return found

    def _targets(self, lacking: int) -> dict[str, np.ndarray]:
        """What units may follow at each step of the window: (T, B) each."""
        batch, patch, panel = self.batch, self.network.patch, self.windows.panel
        y = torch.where(batch["past_mask"], batch["past_y"], torch.nan).double().numpy()
        found = {f"{self.target} in the step": _by_step(y, lacking, patch)}
        if patch > 1:
            found["its change within the step"] = _by_step(np.gradient(y, axis=1), lacking, patch)
        names = self.forecaster.predictor_.preprocessor
        own = names.future_names[: len(names.future_names) - len(names.calendar)]
        for kind, columns in (("past", names.past_names), ("future", own)):
            values = batch[f"{kind}_covariates"][:, : self.windows.input_size].double().numpy()
            found |= {name: _by_step(values[..., k], lacking, patch) for k, name in enumerate(columns)}
        begin = panel.starts[self.windows.series] + self.windows.origins - self.windows.input_size
        stamps = panel.ds[begin[:, None] + np.arange(self.windows.input_size)]
        if np.issubdtype(stamps.dtype, np.datetime64):
            when = pd.DatetimeIndex(stamps.reshape(-1))
            marks = {"weekend": when.day_of_week >= 5, f"night, 0 to {_NIGHT} o'clock": when.hour < _NIGHT}
            for name, mark in marks.items():
                found[name] = _by_step(np.asarray(mark, float).reshape(stamps.shape), lacking, patch) > 0.5
        return found


def subject(forecaster: Forecaster, source: Source) -> Explained:
    """A forecaster and the latest windows of a table. Raises CeldaError where it has none with a horizon after it."""
    name = str(source) if isinstance(source, str | Path) else "a table in memory"
    return Explained(forecaster, _windows(forecaster, forecaster.read(source)), name)


def _windows(forecaster: Forecaster, table: Table) -> Windows:
    """The latest windows of the table whose future is known, in the order of time; of a series no two overlap."""
    length, h = forecaster.sizes_.input_size, forecaster.options_.h
    table.require(length, h)
    panel = forecaster.predictor_.preprocessor.transform(table)
    step = length + length // 5 + 1  # or a place in the window would always be the same hour of the same day
    last = panel.lengths - h
    windows = Windows(panel, length, h, begin=length + (last - length) % step, step_size=step)
    if not len(windows):
        raise CeldaError("Every window of the table lacks all of its values, or all that came after it: give another.")
    order = np.lexsort((windows.series, windows.cutoffs))[-_SEQUENCES:]
    windows.series, windows.origins = windows.series[order], windows.origins[order]
    return windows


def _by_step(values: np.ndarray, lacking: int, patch: int) -> np.ndarray:
    """(B, L) to the mean of what one step reads, (T, B), NaN where that is nothing."""
    filled = np.pad(values, ((0, 0), (lacking, 0)), constant_values=np.nan)
    patches = filled.reshape(len(values), -1, patch)
    there = ~np.isnan(patches)
    summed = np.where(there, patches, 0.0).sum(2)
    mean: np.ndarray = np.divide(summed, there.sum(2), out=np.full(summed.shape, np.nan), where=there.any(2))
    return mean.T


def _patched(names: tuple[str, ...], patch: int) -> list[str]:
    return list(names) if patch == 1 else [f"{name}, value {k + 1}" for k in range(patch) for name in names]


def _duration(freq: str, count: int) -> str:
    """So many time steps in words: "6 hours"."""
    if Frequency(freq).is_integer:
        return f"{count} row{'s' * (count != 1)}"
    try:
        seconds = pd.Timedelta(Frequency(freq).offset).total_seconds() * count  # type: ignore[arg-type]
    except (TypeError, ValueError):  # a month has no length of its own
        return steps_in_words(count, freq).removeprefix("1 step of ")
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {unit}{'s' * (number != 1)}"
    return f"{seconds:g} seconds"
