"""The classifying network: many steps in, one class out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from celda.language import Cell
from celda.layers import Recurrent
from celda.models.pooling import Pooling
from celda.models.reading import Reader

# Adam moves every weight at the same pace, and those of single words must become larger than those of the cells.
_WIDE_PACE = 10.0


class ClassificationNetwork(nn.Module):
    """Scores of C classes from sequences of unequal length.

    Args:
        reader: from a batch of `celda.data.Padded` to inputs (B, T, W).
        classes: C.
        cell: the name of a cell, or a cell of your own.
        hidden_size, num_layers, bidirectional: of the recurrent layers.
        pooling: from the states of all steps to one vector (`celda.models.pooling.KINDS`).
        dropout: between layers and before the output.
        words: how many words a bag of words knows; None: there is none. Its weighted words add to the scores without
            regard to their order, a linear path across the network (Cheng et al. 2016, "Wide & deep learning").
    """

    def __init__(
        self,
        reader: Reader,
        classes: int,
        *,
        cell: str | Cell = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        pooling: str = "mean",
        dropout: float = 0.0,
        words: int | None = None,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        width = hidden_size * (1 + bidirectional)
        self.reader = reader
        self.layers = Recurrent(
            cell, reader.width, hidden_size, num_layers, True, True, dropout=between, bidirectional=bidirectional
        )
        self.pooling = Pooling(pooling, width, bidirectional)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, classes)
        self.wide = None if words is None else nn.Embedding(words, classes, padding_idx=0)
        if self.wide is not None:
            nn.init.zeros_(self.wide.weight)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The scores of each sequence of a batch, before the softmax: (B, C)."""
        return self.scores(self.reader(batch), batch)

    def scores(self, x: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The scores (B, C) from what the reader made of the batch, (B, T, W)."""
        lengths = batch["lengths"]
        outputs, _ = self.layers(x, lengths=lengths)
        pooled = self.pooling(outputs, lengths)
        scores: Tensor = self.output(self.dropout(pooled))
        if self.wide is not None:
            scores = scores + _WIDE_PACE * (self.wide(batch["bag"]) * batch["weight"].unsqueeze(-1)).sum(1)
        return scores
