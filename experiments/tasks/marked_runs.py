"""Learning a marked task, for the folders that hold one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import mse_loss

from experiments.experiment import Figures
from experiments.learning import Network, Training, learn, weights
from experiments.tasks.marked import Batch


@dataclass(frozen=True)
class Marked(Training):
    """A setting with `steps`, the length; the mean error at which learning ends; the error that is still correct."""

    steps: int = 100
    goal: float = 0.001
    correct: float = 0.08


def once(draw: Callable[[int, int], Batch]) -> Callable[[Marked, int], Figures]:
    """How a task is learned and tested on 2,560 sequences that are drawn anew."""

    def learned(training: Marked, seed: int) -> Figures:
        torch.manual_seed(seed)
        net = Network(training.cell, 2, training.hidden_size, 1, init=training.init)

        def loss() -> torch.Tensor:
            x, target = draw(training.steps, training.batch_size)
            return mse_loss(net.last(x).squeeze(-1), target)

        used = learn(net, training, loss, lambda mean: mean < training.goal)
        squares, mistakes = [], 0
        with torch.no_grad():
            for _ in range(20):
                x, target = draw(training.steps, 128)
                errors = net.last(x).squeeze(-1) - target
                squares.append(errors.square().mean().item())
                mistakes += int((errors.abs() >= training.correct).sum())
        return {
            "mse": sum(squares) / len(squares),
            "wrong": mistakes,
            "sequences": used,
            "solved": float(used is not None),
            "weights": weights(net),
        }

    return learned
