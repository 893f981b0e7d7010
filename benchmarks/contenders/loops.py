"""Cells as a user writes them in PyTorch: a module for one step, called in a loop."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.contenders.contender import Make, Ready, seeded, training
from benchmarks.shapes import Shape

State = tuple[Tensor, Tensor]


class Step(nn.Module):
    """One step of a cell with two states; its weights are those of a layer, under their names without `_l0`."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        for name, value in layer.named_parameters():
            self.register_parameter(name.removesuffix("_l0"), nn.Parameter(value.detach().clone()))

    def gates(self, x: Tensor, h: Tensor, number: int) -> tuple[Tensor, ...]:
        """The gates before their activations."""
        both = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        return both.chunk(number, -1)


class Peephole(Step):
    """A step of `peephole_lstm`."""

    diagonal_i: Tensor
    diagonal_f: Tensor
    diagonal_o: Tensor

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> State:
        """(B, I) and two (B, H) in, two (B, H) out."""
        i, f, g, o = self.gates(x, h, 4)
        i, f = torch.sigmoid(i + self.diagonal_i * c), torch.sigmoid(f + self.diagonal_f * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + self.diagonal_o * c)
        return o * torch.tanh(c), c


class Coupled(Step):
    """A step of `coupled_lstm`."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> State:
        """(B, I) and two (B, H) in, two (B, H) out."""
        i, g, o = self.gates(x, h, 3)
        i = torch.sigmoid(i)
        c = (1 - i) * c + i * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class TwoSpeed(Step):
    """A step of `two_speed`."""

    diagonal_n: Tensor

    def forward(self, x: Tensor, h: Tensor, slow: Tensor) -> State:
        """(B, I) and two (B, H) in, two (B, H) out."""
        z, k, n = self.gates(x, h, 3)
        z, k, n = torch.sigmoid(z), torch.sigmoid(k), torch.tanh(n + self.diagonal_n * slow)
        slow = slow + 0.1 * k * (n - slow)
        return (1 - z) * h + z * torch.tanh(n + slow), slow


def over(step: Step, x: Tensor) -> Tensor:
    """The outputs (T, B, H) of a step over (T, B, I), from zero states."""
    h = s = x.new_zeros(x.shape[1], step.weight_hh.shape[1])
    outputs = []
    for x_t in x:
        h, s = step(x_t, h, s)
        outputs.append(h)
    return torch.stack(outputs)


def train(layer: Make, make: Callable[[nn.Module], Step]) -> Callable[[Shape], Ready]:
    """Training of a loop over the step that `make` makes, with the weights of the layer."""

    def build(shape: Shape) -> Ready:
        step = make(seeded(layer, shape))
        return training(step, lambda x: over(step, x), shape)

    return build
