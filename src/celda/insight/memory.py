"""How long a memory keeps what it holds, by what multiplies it at every step: the forget gates' product."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from celda.insight.lags import by_lag
from celda.insight.recording import Recording
from celda.language.roles import carried


@dataclass(frozen=True)
class Kept:
    """What is left in a state, k steps later, of what it held: the product of its forget gates, unit by unit.

    `left` (T + 1, H): by lag, 1 at lag 0, the mean over the sequences, at the end of each: in the reverse direction
    that is its first step. Past a reset nothing is left. `half_life` (H,): after how many steps half is left by the
    gates alone, by the mean of their logarithm over all steps; infinite where nothing is forgotten.
    """

    state: str
    place: int
    left: Tensor
    half_life: Tensor

    def quantile(self, q: float) -> float:
        """The half-life that a part `q` of the units do not reach."""
        ordered = self.half_life.sort().values  # torch.quantile makes NaN of what lies between two infinities
        return float(ordered[round(q * (len(ordered) - 1))])


def kept(recording: Recording) -> list[Kept]:
    """What each state of each layer keeps; none of a cell without a direct way, as a plain recurrent network is.

    Where new content lies on the old with `c = f * c + i * g`, the part of c that is k steps old is f_t f_{t-1} ...
    times what it was: Gers, Schmidhuber & Cummins (2000). What goes through the matrices is left out; the gradient by
    lag holds both.
    """
    found, cell = [], recording.cell
    factors = carried(cell)
    for place in range(recording.places):
        values = recording.values(place)
        for state, polynomial in factors.items():
            factor = values.of(polynomial)
            if values.reverse:  # it ends at the first step of the sequence
                rows = torch.where(recording.mask.unsqueeze(-1), values.crossing(factor), torch.nan)
            else:
                rows = by_lag(values.crossing(factor), recording.lengths)
            products = torch.cat([torch.ones_like(rows[:1]), rows.cumprod(0)])
            pace = recording.within(factor).abs().log().mean(0)  # a factor of 0 forgets all: -inf
            half_life = torch.where(pace < 0, math.log(0.5) / pace, math.inf)
            found.append(Kept(state, place, products.nanmean(1), half_life))
    return found
