"""Averaged weights: the mean of all that a training passes through from some step on (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def has_stalled(losses: Sequence[float], patience: int) -> bool:
    """Whether the last loss is no better than the best of those more than `patience` before it.

    This is the non-monotonic trigger of NT-ASGD (Merity, Keskar & Socher 2018, algorithm 1).
    """
    return len(losses) > patience and losses[-1] > min(losses[:-patience])


class Average:
    """The mean of a model's parameters over the steps that it was told of; none at first."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.steps, self.means = model, 0, dict[str, Tensor]()

    @torch.no_grad()
    def add(self) -> None:
        """Take up the parameters as they are now."""
        self.steps += 1
        for name, parameter in self.model.named_parameters():
            if self.steps == 1:
                self.means[name] = parameter.detach().clone()
            else:
                self.means[name].lerp_(parameter, 1 / self.steps)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the model has the mean, where there is one, and after it its own parameters again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def load(self, means: Mapping[str, Tensor], steps: int) -> None:
        """Put back what `means` and `steps` were."""
        parameters = dict(self.model.named_parameters())
        self.means, self.steps = {name: value.to(parameters[name]) for name, value in means.items()}, steps

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.model.named_parameters() if self.steps else ():
            own = parameter.clone()
            parameter.copy_(self.means[name])
            self.means[name].copy_(own)
