"""The forecasting network: an encoder over the past, a decoder over the horizon, and a line across both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from celda.language import Cell
from celda.layers import Recurrent

# Adam moves every weight at the same pace, and the line's many small weights need a larger one than the cells do.
_LINE_PACE = 10.0


def seasonal_naive(past: Tensor, seen: Tensor, season: int, h: int) -> Tensor:
    """Repeat the last season of windows `past` (B, L), whose values count where `seen` (B, L): (B, h).

    In the place of a missing value stands that of one season further back, and so on; of a step of the season that was
    never seen, the last value; and where no value was, what fills `past`.
    """
    where = torch.where(seen, torch.arange(past.shape[1], device=past.device), -1)
    in_season = F.pad(where, (-past.shape[1] % season, 0), value=-1).unflatten(1, (-1, season)).amax(1)
    last = where.amax(1, keepdim=True)
    at = torch.where(in_season < 0, last, in_season).clamp(min=0)
    return past.gather(1, at)[:, torch.arange(h, device=past.device) % season]


class ForecastNetwork(nn.Module):
    """Forecasts a horizon of h steps at once from a window of L steps.

    An encoder of any cell reads the window, `patch` steps at a time; a decoder of the same cell starts from its states
    and reads what is known of the horizon: the covariates known ahead of time and the values one season before. What
    the decoder gives is added to a linear map of the window that starts as the seasonal naive forecast, so that the
    network learns what that forecast lacks.

    Args:
        cell: the name of a cell or a cell of your own.
        input_size: L, the steps of the window; `h`: the steps of the horizon.
        season: the steps of the seasonal naive forecast, at most L; 1 repeats the last value.
        patch: how many time steps one step of the recurrent layers reads and gives.
        past_size, future_size, static_size: widths P, F and S of the covariates.
        hidden_size, num_layers: of both layers. dropout: between layers and before the output.
        quantiles: increasing, an odd number of them, 0.5 in the middle; the outputs never cross.
        centre: whether the mean of the window is taken off first and put back last.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        h: int,
        *,
        season: int = 1,
        patch: int = 1,
        past_size: int = 0,
        future_size: int = 0,
        static_size: int = 0,
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        quantiles: Sequence[float] = (0.5,),
        centre: bool = True,
    ) -> None:
        super().__init__()
        self.input_size, self.h, self.season, self.patch = input_size, h, season, patch
        self.middle, self.centre = len(quantiles) // 2, centre
        between = dropout if num_layers > 1 else 0.0

        def layer(width: int) -> Recurrent:
            return Recurrent(cell, width, hidden_size, num_layers, batch_first=True, dropout=between)

        # a value, whether it was observed, and the covariates, of each step of a patch
        self.encoder = layer(patch * (2 + past_size + future_size) + static_size)
        self.decoder = layer(patch * (1 + future_size) + static_size)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.decoder.output_size, patch * len(quantiles))
        self.line = nn.Parameter(torch.zeros(h, input_size))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Forecast the horizon of every window of a batch of `celda.data.Windows`: (B, h, quantiles), scaled."""
        level = batch["level"] if self.centre else torch.zeros_like(batch["level"])
        past, seen = batch["past_y"] - level, batch["past_mask"].to(batch["past_y"].dtype)
        known, static = batch["future_covariates"], batch["static_covariates"]
        naive = seasonal_naive(past, batch["past_mask"], self.season, self.h)
        steps = [past.unsqueeze(-1), seen.unsqueeze(-1), batch["past_covariates"], known[:, : self.input_size]]
        _, state = self.encoder(self._patches(torch.cat(steps, -1), static, at_start=True))
        ahead = torch.cat([naive.unsqueeze(-1), known[:, self.input_size :]], -1)
        hidden, _ = self.decoder(self._patches(ahead, static, at_start=False), state)
        deviation = self.output(self.dropout(hidden)).unflatten(-1, (self.patch, -1)).flatten(1, 2)[:, : self.h]
        centre = naive + F.linear(past, _LINE_PACE * self.line) + level
        return centre.unsqueeze(-1) + self._in_order(deviation)

    def _patches(self, steps: Tensor, static: Tensor, *, at_start: bool) -> Tensor:
        """(B, T, C) to (B, ceil(T / patch), patch * C + S); zeros fill up the first or the last patch."""
        lacking = -steps.shape[1] % self.patch
        filled = F.pad(steps, (0, 0, lacking, 0) if at_start else (0, 0, 0, lacking))
        patches = filled.unflatten(1, (-1, self.patch)).flatten(2)
        return torch.cat([patches, static.unsqueeze(1).expand(-1, patches.shape[1], -1)], -1)

    def _in_order(self, raw: Tensor) -> Tensor:
        """The middle as it is, the others at distances from it that are never negative, growing outwards."""
        low, middle, high = raw.split([self.middle, 1, self.middle], -1)
        below = F.softplus(low).flip(-1).cumsum(-1).flip(-1)
        above = F.softplus(high).cumsum(-1)
        return torch.cat([middle - below, middle, middle + above], -1)
