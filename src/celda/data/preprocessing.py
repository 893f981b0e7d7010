"""From a table to tensors: what is learnt from the training part, and applied to any table of the same columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from celda.data.calendar import calendar_features, choose_features
from celda.data.encoding import Encoder, encode
from celda.data.scaling import Scaler
from celda.data.table import Table
from celda.errors import CeldaError


@dataclass(frozen=True)
class Panel:
    """The series of a table end to end, as tensors (float32): N steps in all, n series.

    `starts` (n + 1,): steps starts[s] to starts[s + 1] are series s; the last `horizon` of them are the future.
    `ds` (N,): time stamps. `y` (N,): scaled, 0 where missing. `observed` (N,) bool: where it is not.
    `past` (N, P), `future` (N, F), `static` (n, S): encoded covariates, the calendar at the end of `future`.
    `scaler`: of these series, so `scaler.inverse(values, series)` gives the user's units.
    `notes`: what could not be encoded as in training.
    """

    ids: tuple[str, ...]
    starts: np.ndarray
    horizon: int
    ds: np.ndarray
    y: Tensor
    observed: Tensor
    past: Tensor
    future: Tensor
    static: Tensor
    scaler: Scaler
    notes: tuple[str, ...] = ()

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: the steps of history of each series."""
        return np.diff(self.starts) - self.horizon


@dataclass(frozen=True)
class Preprocessor:
    """Scaling, encoding and calendar features, fitted on the training part; plain JSON on disk."""

    freq: str
    ids: tuple[str, ...]
    scaler: Scaler
    past: tuple[Encoder, ...]
    future: tuple[Encoder, ...]
    static: tuple[Encoder, ...]
    calendar: tuple[str, ...]

    @classmethod
    def fit(cls, table: Table, *, scaling: str = "standard", calendar: bool = True) -> "Preprocessor":
        """Learn from the whole of `table`: give it the training part, `table.until(cut)`.

        `scaling`: "standard", "minmax", "robust" or "none". `calendar`: whether to derive features from time stamps.
        """
        frame, columns = table.frame, table.columns
        first_rows = frame.iloc[table.starts[:-1]]
        longest = int(table.lengths.argmax())
        first, last = (frame["ds"].iloc[i] for i in (table.starts[longest], table.starts[longest + 1] - 1))
        return cls(
            freq=table.freq,
            ids=table.ids,
            scaler=Scaler.fit(scaling, _per_series(table)),
            past=tuple(Encoder.fit(name, frame[name]) for name in columns.past),
            future=tuple(Encoder.fit(name, frame[name]) for name in columns.future),
            static=tuple(Encoder.fit(name, first_rows[name]) for name in columns.static),
            calendar=choose_features(table.frequency, first, last) if calendar else (),
        )

    @property
    def past_names(self) -> tuple[str, ...]:
        """The columns of `Panel.past`."""
        return _names(self.past)

    @property
    def future_names(self) -> tuple[str, ...]:
        """The columns of `Panel.future`."""
        return _names(self.future) + self.calendar

    @property
    def static_names(self) -> tuple[str, ...]:
        """The columns of `Panel.static`."""
        return _names(self.static)

    def transform(self, table: Table, begin: np.ndarray | None = None) -> Panel:
        """Give the tensors of a table, extended into the future or not.

        A series that was not there in training is scaled by its own history: by its first `begin[s]` steps alone, where
        the rest is to be forecast.
        """
        if table.freq != self.freq:
            raise CeldaError(
                f"The model was fitted at the frequency {self.freq!r} and the table has {table.freq!r}: read it with "
                f"freq={self.freq!r}, or fit a model to it."
            )
        frame = table.frame
        notes: list[str] = []
        scaler = self._scaler_of(table, begin, notes)
        y = frame["y"].to_numpy()
        series = np.repeat(np.arange(len(table.ids)), np.diff(table.starts))
        known = np.arange(len(frame)) < (table.starts[1:] - table.horizon)[series]
        past = np.zeros((len(frame), len(self.past_names)), dtype=np.float32)
        past[known] = encode(self.past, frame[known], notes)
        future = encode(self.future, frame, notes)
        if self.calendar:
            future = np.concatenate([future, calendar_features(pd.DatetimeIndex(frame["ds"]), self.calendar)], axis=1)
        return Panel(
            ids=table.ids,
            starts=table.starts,
            horizon=table.horizon,
            ds=frame["ds"].to_numpy(),
            y=torch.from_numpy(np.nan_to_num(scaler.transform(y, series)).astype(np.float32)),
            observed=torch.from_numpy(~np.isnan(y)),
            past=torch.from_numpy(past),
            future=torch.from_numpy(future),
            static=torch.from_numpy(encode(self.static, frame.iloc[table.starts[:-1]], notes)),
            scaler=scaler,
            notes=tuple(notes),
        )

    def _scaler_of(self, table: Table, begin: np.ndarray | None, notes: list[str]) -> Scaler:
        known = pd.Index(self.ids).get_indexer(pd.Index(table.ids))
        first = table.lengths if begin is None else begin
        own = Scaler.fit(self.scaler.kind, [y[:n] for y, n in zip(_per_series(table), first, strict=True)])
        if (known < 0).any():
            new = table.ids[int((known < 0).argmax())]
            notes.append(
                f"Series that were not there in training, such as {new!r}, each scaled by its own history: "
                f"{(known < 0).sum()}."
            )
        return Scaler(
            own.kind,
            np.where(known < 0, own.shift, self.scaler.shift[known]),
            np.where(known < 0, own.scale, self.scaler.scale[known]),
        )

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        return {
            "freq": self.freq,
            "scaling": self.scaler.kind,
            "series": {
                name: {"shift": float(shift), "scale": float(scale)}
                for name, shift, scale in zip(self.ids, self.scaler.shift, self.scaler.scale, strict=True)
            },
            **{kind: [encoder.to_dict() for encoder in getattr(self, kind)] for kind in ("past", "future", "static")},
            "calendar": list(self.calendar),
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Preprocessor":
        """Undo `to_dict`."""
        fitted = values["series"].values()
        return cls(
            freq=values["freq"],
            ids=tuple(values["series"]),
            scaler=Scaler(
                values["scaling"],
                np.array([one["shift"] for one in fitted], dtype=np.float64),
                np.array([one["scale"] for one in fitted], dtype=np.float64),
            ),
            **{kind: tuple(map(Encoder.from_dict, values[kind])) for kind in ("past", "future", "static")},
            calendar=tuple(values["calendar"]),
        )


def _per_series(table: Table) -> list[np.ndarray]:
    return np.split(table.frame["y"].to_numpy(), table.starts[1:-1])


def _names(encoders: Sequence[Encoder]) -> tuple[str, ...]:
    return tuple(column for encoder in encoders for column in encoder.columns)
