"""From the states of all steps to one vector a sequence."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

KINDS = ("last", "mean", "max", "attention")


def present(lengths: Tensor, steps: int) -> Tensor:
    """Which steps of sequences of these lengths (B,) there are: (B, T) bool."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


class Pooling(nn.Module):
    """Outputs (B, T, W) of a recurrent layer to (B, W); steps past the end of a sequence never count.

    kind: "last" (the state after the last step; of a layer in both directions, after the last step of each), "mean",
    "max", or "attention": a mean weighted by how well a step answers a learned question, softmax(v . tanh(A h)) (Yang
    et al. 2016, "Hierarchical attention networks for document classification").
    """

    def __init__(self, kind: str, width: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.kind, self.bidirectional = kind, bidirectional
        if kind == "attention":
            self.key, self.question = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """Pool the outputs of sequences of these lengths (B,)."""
        if self.kind == "last":
            last = outputs[torch.arange(len(outputs), device=outputs.device), lengths - 1]
            if not self.bidirectional:
                return last
            forwards, backwards = last.chunk(2, -1)[0], outputs[:, 0].chunk(2, -1)[1]
            return torch.cat([forwards, backwards], -1)
        there = present(lengths, outputs.shape[1]).unsqueeze(-1)
        if self.kind == "mean":
            return (outputs * there).sum(1) / lengths.unsqueeze(-1)
        if self.kind == "max":
            return outputs.masked_fill(~there, -math.inf).amax(1)
        return (outputs * self.weights(outputs, lengths).unsqueeze(-1)).sum(1)

    def weights(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """How much each step counts with attention: (B, T), 1 in all for each sequence."""
        scores = self.question(torch.tanh(self.key(outputs))).squeeze(-1)
        weights: Tensor = scores.masked_fill(~present(lengths, outputs.shape[1]), -math.inf).softmax(1)
        return weights
