"""Probabilities that mean what they say (Guo et al. 2017, "On calibration of modern neural networks")."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

_WIDEST = 3.0  # log of the temperature, either way


def temperature(scores: Tensor, target: Tensor) -> float:
    """The number that scores (N, C) are divided by so that their softmax is most likely to have given the classes (N,).

    A weak belief that it is near 1 (the log normal, of deviation 1) keeps few samples, or such that are all told
    rightly, from claiming certainty.
    """

    def cost(log: float) -> float:
        return float(F.cross_entropy(scores.double() / np.exp(log), target, reduction="sum")) + log**2 / 2

    return float(np.exp(minimize_scalar(cost, bounds=(-_WIDEST, _WIDEST), method="bounded").x))


def calibration_error(probabilities: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """The expected calibration error: how far confidence and accuracy lie apart, over bins of confidence.

    probabilities: (N,), of the class that was told; right: (N,), whether that was so.
    """
    places = np.minimum((probabilities * bins).astype(int), bins - 1)
    apart = [
        abs(right[places == one].mean() - probabilities[places == one].mean()) * (places == one).mean()
        for one in np.unique(places)
    ]
    return float(np.sum(apart))
