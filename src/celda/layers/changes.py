"""Changes of weights that torch does not count as such: those that its optimizers make with `fused=True`."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

steps = 0  # that optimizers have taken in this process, since they are watched


@cache
def watch() -> None:
    """Count the steps of all optimizers from now on."""
    register_optimizer_step_post_hook(_stepped)


def _stepped(*_: Any) -> None:
    global steps
    steps += 1
