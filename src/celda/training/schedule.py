"""The learning rate as a function of the step, so that a resumed training has no scheduler state to restore."""

import math

from celda.training.config import TrainingConfig

# Of one-cycle (Smith & Topin 2018), with the shares of torch.optim.lr_scheduler.OneCycleLR.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START * 1e-4


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The learning rate of a step: `step` counts from 0, and `steps` is how many the whole training takes.

    `one_cycle` rises from 1/25 of the highest rate and falls to 1/250,000 of it, both along half a cosine. `cosine`
    rises in a straight line, then falls towards 0 along half a cosine. `constant` rises in a straight line and stays.
    """
    if config.schedule == "one_cycle":
        top = config.warmup * steps - 1
        if step <= top:
            share = _cosine(_ONE_CYCLE_START, 1.0, step / top if top else 1.0)
        else:
            share = _cosine(1.0, _ONE_CYCLE_END, (step - top) / (steps - 1 - top))
    else:
        rising = config.warmup * steps
        if step + 1 <= rising:
            share = (step + 1) / rising
        elif config.schedule == "cosine":
            share = _cosine(1.0, 0.0, (step - rising) / (steps - rising) if step > rising else 0.0)
        else:
            share = 1.0
    return config.learning_rate * share


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
