"""Windows over a panel: an input of some steps and the horizon after it, gathered a batch at a time."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding
from torch.utils.data import DataLoader, Dataset

from celda.data.preprocessing import Panel
from celda.data.table import check_horizon
from celda.errors import CeldaError

Batch: TypeAlias = dict[str, Tensor]
Bound: TypeAlias = np.ndarray | int | None


class Windows(Dataset):
    """Windows of `input_size` steps, each followed by a horizon of `h`.

    An origin is the number of steps that are known: the input is steps [origin - input_size, origin) of a series, the
    targets are steps [origin, origin + h). Origins follow one another by `step_size`, and the targets of every window
    lie within steps [begin, end) of their series ((n,) or one number; all the history if None): with `end=cut`, nothing
    from the cut on is seen, and with `begin=cut` the targets are what comes after it. A window is left out where all of
    its input or all of its targets are missing; `left_out` counts these.

    Memory is that of the panel: windows are gathered when they are asked for. `windows[indices]` is a dict of

    - `past_y` (B, L), `future_y` (B, h), scaled; a missing value is filled with the window's level, False in the mask
    - `past_mask` (B, L), `future_mask` (B, h), bool
    - `level` (B, 1): the mean of the observed input, for centring
    - `past_covariates` (B, L, P), `future_covariates` (B, L + h, F), `static_covariates` (B, S)
    - `series` (B,), `origin` (B,), int64
    """

    def __init__(
        self,
        panel: Panel,
        input_size: int,
        h: int,
        *,
        begin: Bound = None,
        end: Bound = None,
        step_size: int = 1,
    ) -> None:
        check_horizon(h)
        if input_size < 1 or step_size < 1:
            raise CeldaError(
                f"A window has at least one step, and so has the way to the next: {input_size=}, {step_size=}."
            )
        self.panel, self.input_size, self.h = panel, input_size, h
        lengths = panel.lengths
        first = np.maximum(_bound(begin, lengths, 0), input_size)
        last = np.minimum(_bound(end, lengths, lengths), lengths) - h
        origins = [np.arange(a, b + 1, step_size) for a, b in zip(first, last, strict=True)]
        self.series = np.repeat(np.arange(len(lengths)), [len(o) for o in origins])
        self.origins = np.concatenate(origins).astype(np.int64)
        before = np.concatenate([[0], np.cumsum(panel.observed.numpy())])  # observed steps before each
        at = panel.starts[self.series] + self.origins
        useful = (before[at] > before[at - input_size]) & (before[at + h] > before[at])
        self.left_out = int((~useful).sum())
        self.series, self.origins = self.series[useful], self.origins[useful]

    @classmethod
    def latest(cls, panel: Panel, input_size: int, h: int) -> "Windows":
        """One window a series, at the end of its history: the panel is that of `table.extend(h)`."""
        if panel.horizon < h:
            raise CeldaError(
                f"The panel holds {panel.horizon} steps of the future and h is {h}: transform table.extend({h})."
            )
        windows = cls(panel, input_size, h, end=0)
        short = panel.lengths < input_size
        if short.any():
            s = int(short.argmax())
            raise CeldaError(
                f"Series {panel.ids[s]!r} has {panel.lengths[s]} steps, fewer than the window of {input_size}: give "
                "more of its history."
            )
        windows.series, windows.origins = np.arange(len(panel.ids)), panel.lengths
        return windows

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, indices: int | Sequence[int] | np.ndarray | slice) -> Batch:
        """Give a batch of windows; of one, if one index is given."""
        return self._gather(np.atleast_1d(self.series[indices]), np.atleast_1d(self.origins[indices]))

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give a batch to a DataLoader."""
        return self[indices]

    def _gather(self, series: np.ndarray, origins: np.ndarray) -> Batch:
        panel, length = self.panel, self.input_size
        begin = torch.from_numpy(panel.starts[series] + origins - length)
        steps = begin[:, None] + torch.arange(length + self.h)  # (B, L + h)
        y, observed = panel.y[steps], panel.observed[steps]
        past_mask = observed[:, :length]
        level = (y[:, :length] * past_mask).sum(1, keepdim=True) / past_mask.sum(1, keepdim=True).clamp(min=1)
        y = torch.where(observed, y, level)
        index = torch.from_numpy(series)
        return {
            "past_y": y[:, :length],
            "past_mask": past_mask,
            "future_y": y[:, length:],
            "future_mask": observed[:, length:],
            "level": level,
            # a look-up of rows, several times faster than indexing
            "past_covariates": embedding(steps[:, :length], panel.past),
            "future_covariates": embedding(steps, panel.future),
            "static_covariates": panel.static[index],
            "series": index,
            "origin": torch.from_numpy(origins),
        }

    def loader(self, batch_size: int, *, shuffle: bool = False, generator: torch.Generator | None = None) -> DataLoader:
        """Give a DataLoader of batches."""
        return DataLoader(self, batch_size=batch_size, shuffle=shuffle, generator=generator, collate_fn=as_it_is)

    @property
    def cutoffs(self) -> np.ndarray:
        """(len(self),): the last known time stamp of each window."""
        return self.panel.ds[self.panel.starts[self.series] + self.origins - 1]

    @property
    def target_stamps(self) -> np.ndarray:
        """(len(self), h): the time stamps of the targets of each window."""
        at = self.panel.starts[self.series] + self.origins
        stamps: np.ndarray = self.panel.ds[at[:, None] + np.arange(self.h)]
        return stamps


def as_it_is(batch: Any) -> Any:
    """The collate function of a dataset that gathers whole batches."""
    return batch


def _bound(bound: Bound, lengths: np.ndarray, default: np.ndarray | int) -> np.ndarray:
    return np.broadcast_to(np.asarray(default if bound is None else bound, dtype=np.int64), lengths.shape)
