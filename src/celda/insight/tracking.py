"""Units that follow something one can name: a column, a label, a class of characters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from celda.errors import CeldaError

_FEW = 4  # sequences, below which there are no two halves to speak of


@dataclass(frozen=True)
class Tracking:
    """The unit that follows a target most closely, found in one half of the sequences and judged in the other.

    `measure`: "AUC" of a yes or no (0.5: no better than chance; near 0: it follows by falling), "r", Pearson's
    correlation, of a number. `chosen`: the measure in the first half, where of many units the best was picked, which
    flatters it; `held_out`: in the second half, which does not. `units` (H,): of every unit, in the first half.
    """

    target: str
    measure: str
    unit: int
    chosen: float
    held_out: float
    units: np.ndarray

    @property
    def strength(self) -> float:
        """From 0, none, to 1, on the held-out half; what changes its sign there follows nothing."""
        middle, span = (0.5, 0.5) if self.measure == "AUC" else (0.0, 1.0)
        found, first = (self.held_out - middle) / span, (self.chosen - middle) / span
        return max(0.0, found * float(np.sign(first)))


def tracking(values: Tensor, targets: Mapping[str, np.ndarray], mask: Tensor | None = None) -> list[Tracking]:
    """For each target the unit that follows it most closely, the strongest first.

    Args:
        values: (T, B, H): a state, or a gate, of every step. Sequences are halved by their order: let it be that of
            time, and let no two overlap, or the second half is not held out.
        targets: (T, B) each, of numbers or of True and False; NaN and infinity are left out.
        mask: (T, B) bool: the steps that count.

    Raises:
        CeldaError: there are fewer than four sequences; values that count are not finite; or the mask or a target has
            another shape, or holds no numbers.
    """
    if values.dim() != 3:
        raise CeldaError(f"The values have shape {tuple(values.shape)}: give (steps, sequences, units).")
    steps, batch, _ = values.shape
    if batch < _FEW:
        raise CeldaError(
            f"{batch} sequences cannot be halved into some to find a unit in and some to judge it by: give at least "
            f"{_FEW}."
        )
    numbers = values.detach().cpu().numpy().astype(np.float64)
    if mask is not None and (mask.shape != (steps, batch) or mask.dtype != torch.bool):
        raise CeldaError(f"The mask is {mask.dtype} {tuple(mask.shape)}: give torch.bool, ({steps}, {batch}).")
    counted = np.ones((steps, batch), bool) if mask is None else mask.cpu().numpy()
    if not np.isfinite(numbers[counted]).all():
        raise CeldaError("The values hold NaN or infinity, which follow nothing: leave these steps out, with a mask.")
    found = []
    for name, target in targets.items():
        target = np.asarray(target)
        if target.shape != (steps, batch):
            raise CeldaError(f"The target {name!r} has shape {target.shape}: give ({steps}, {batch}), as the values.")
        if target.dtype.kind not in "biuf":
            raise CeldaError(
                f"The target {name!r} holds {target.dtype.name}: give numbers, or for each label True and False "
                "(target == label)."
            )
        use = counted & np.isfinite(target.astype(np.float64))
        halves = [_measure(numbers[:, part][use[:, part]], target[:, part][use[:, part]]) for part in _halves(batch)]
        if halves[0] is None or halves[1] is None:  # a target that never changes in one of them
            continue
        middle = 0.5 if target.dtype == bool else 0.0
        unit = int(np.abs(halves[0] - middle).argmax())
        measure = "AUC" if target.dtype == bool else "r"
        found.append(Tracking(name, measure, unit, float(halves[0][unit]), float(halves[1][unit]), halves[0]))
    return sorted(found, key=lambda one: -one.strength)


def _halves(batch: int) -> tuple[slice, slice]:
    return slice(None, batch // 2), slice(batch // 2, None)


def _measure(values: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """(N, H) and (N,) to (H,): the AUC, or the correlation; None where the target does not vary."""
    if len(target) < 2 or (target == target[0]).all():
        return None
    if target.dtype != bool:
        return _correlation(values, target.astype(np.float64))
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0)  # ties share theirs
    yes = int(target.sum())
    area: np.ndarray = (ranks[target].sum(0) - yes * (yes + 1) / 2) / (yes * (len(target) - yes))
    return area


def _correlation(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    v, t = values - values.mean(0), target - target.mean()
    size = np.sqrt((v**2).sum(0) * (t**2).sum())
    found: np.ndarray = np.divide(t @ v, size, out=np.zeros_like(size), where=size > 1e-12 * np.sqrt(len(t)))
    return found
