"""Probabilities that mean what they say (Guo et al. 2017, "On calibration of modern neural networks")."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

_WIDEST = 3.0  # log of the temperature, either way
_FEWEST = 10  # samples to find a temperature by


def temperature(scores: Tensor, target: Tensor) -> float:
    """The number that scores (N, C) are divided by so that their softmax is most likely to have given the classes (N,).

    A weak belief that it is near 1 (the log normal, of deviation 1) and, as in Platt (1999), "Probabilistic outputs for
    support vector machines", one more sample whose class nobody knows keep few samples, or such that are all told
    rightly, from claiming certainty.
    """
    scores = scores.double()

    def cost(log: float) -> float:
        logs = F.log_softmax(scores / np.exp(log), 1)
        return float(F.nll_loss(logs, target, reduction="sum") - logs.mean()) + log**2 / 2

    return float(np.exp(minimize_scalar(cost, bounds=(-_WIDEST, _WIDEST), method="bounded").x))


def proven_temperature(scores: Tensor, target: Tensor) -> float:
    """The `temperature`, or 1 where it does not prove itself.

    Temperatures are found without a tenth of the samples each, and must raise the log probability of those in the mean;
    one below 1 by more than the standard error of that, since too much certainty can cost without bound, and too little
    of it cannot.
    """
    if len(target) < _FEWEST:
        return 1.0
    gains = torch.zeros(len(target), dtype=torch.float64)
    for left_out in torch.arange(len(target)).tensor_split(min(10, len(target))):
        rest = torch.ones(len(target), dtype=torch.bool)
        rest[left_out] = False
        found = temperature(scores[rest], target[rest])
        some, classes = scores[left_out].double(), target[left_out]
        gains[left_out] = F.cross_entropy(some, classes, reduction="none") - F.cross_entropy(
            some / found, classes, reduction="none"
        )
    whole = temperature(scores, target)
    needed = 0.0 if whole > 1 else float(gains.std()) / len(gains) ** 0.5
    return whole if gains.mean() > needed else 1.0


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
