"""The tagging network: many steps in, a tag for each out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from celda.language import Cell
from celda.layers import Recurrent
from celda.models.crf import CRF
from celda.models.reading import Reader


class TaggingNetwork(nn.Module):
    """Scores of C tags for each step; arguments as `ClassificationNetwork` has them.

    crf: whether a tag also depends on the one before it (`celda.models.CRF`).
    """

    def __init__(
        self,
        reader: Reader,
        tags: int,
        *,
        cell: str | Cell = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        crf: bool = False,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.reader = reader
        self.layers = Recurrent(
            cell, reader.width, hidden_size, num_layers, True, True, dropout=between, bidirectional=bidirectional
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size * (1 + bidirectional), tags)
        self.crf = CRF(tags) if crf else None

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The scores of the steps, before softmax or CRF: (B, T, C)."""
        return self.scores(self.reader(batch), batch)

    def scores(self, x: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The scores (B, T, C) from what the reader made of the batch, (B, T, W)."""
        outputs, _ = self.layers(x, lengths=batch["lengths"])
        scores: Tensor = self.output(self.dropout(outputs))
        return scores

    def loss(self, batch: Mapping[str, Tensor], weights: Tensor | None = None) -> Tensor:
        """The mean loss of a step: cross entropy, with `weights` (C,) of the tags, or less the CRF's log likelihood."""
        scores, target, lengths = self(batch), batch["target"], batch["lengths"]
        if self.crf is None:
            return F.cross_entropy(scores.flatten(0, 1), target.flatten(), weights)  # which leaves IGNORED out
        return -self.crf.log_likelihood(scores, target, lengths).sum() / lengths.sum()

    def tag(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The tags (B, T) and the probabilities of each (B, T, C); what is past the lengths does not count."""
        scores, lengths = self(batch), batch["lengths"]
        if self.crf is None:
            return scores.argmax(-1), scores.softmax(-1)
        return self.crf.decode(scores, lengths), self.crf.marginals(scores, lengths)
