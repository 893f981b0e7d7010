"""The learning rate as a function of the step, so that a resumed training has no scheduler state to restore."""

import math

from celda.training.config import TrainingConfig

# One-cycle (Smith & Topin 2018) with the shares of torch.optim.lr_scheduler.OneCycleLR.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START * 1e-4


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The learning rate of a step: `step` counts from 0, and `steps` is how many the whole training takes.

    `one_cycle` rises from 1/25 of the highest rate and falls towards 1/250,000 of it, both along half a cosine.
    `cosine` rises in a straight line, then falls towards 0 along half a cosine. `constant` rises likewise and stays.
    """
    top = max(config.warmup * steps - 1, 0.0)  # where the rate is highest
    if step < top:
        share = _cosine(_ONE_CYCLE_START, 1.0, step / top) if config.schedule == "one_cycle" else (step + 1) / (top + 1)
    else:
        end = {"one_cycle": _ONE_CYCLE_END, "cosine": 0.0, "constant": 1.0}[config.schedule]
        share = _cosine(1.0, end, (step - top) / (steps - top))
    return config.learning_rate * share


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
