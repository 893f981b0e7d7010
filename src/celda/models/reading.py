"""What stands before the recurrent layers: words as vectors, and series with noise and missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ReadWords(nn.Module):
    """Tokens (B, T, V) of a `celda.data.WordEncoder` to vectors (B, T, width), those of all views side by side.

    sizes: how many words each view has. widths: of the vectors, one a view. word_dropout: the share of words that are
    made unknown in training, so that the network does not lean on single ones. dropout: of units of the vectors, the
    same at all steps of a sequence (Gal & Ghahramani 2016).
    """

    def __init__(
        self, sizes: Sequence[int], widths: Sequence[int], *, dropout: float = 0.0, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        pairs = zip(sizes, widths, strict=True)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width, padding_idx=0) for size, width in pairs)
        self.sizes, self.width = tuple(sizes), sum(widths)
        self.dropout, self.word_dropout = dropout, word_dropout
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.1)
            nn.init.zeros_(weight[0])

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Look the words up."""
        tokens = batch["tokens"]
        if self.training and self.word_dropout:
            dropped = torch.rand(tokens.shape[:2], device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(dropped.unsqueeze(-1) & (tokens != 0), 1)  # 0: no word, 1: an unknown one
        vectors = torch.cat([table(tokens[..., place]) for place, table in enumerate(self.embeddings)], -1)
        mask = F.dropout(torch.ones_like(vectors[:, :1]), self.dropout, self.training)
        return vectors * mask


class ReadSeries(nn.Module):
    """Values (B, T, D) of a `celda.data.SeriesEncoder` to inputs (B, T, width).

    masks: whether the values come with what was seen and how long ago. Then a missing value is the last one that was
    seen, which fades to the mean the longer that is ago, at a rate learned for each feature, exp(-max(0, w gap + b));
    and what was seen and log(1 + gap) are inputs too (GRU-D's decay of inputs; Che et al. 2018).
    noise: the deviation of what is added to the scaled values in training, so that a sensor's small errors matter less.
    """

    def __init__(self, features: int, *, masks: bool = False, noise: float = 0.0) -> None:
        super().__init__()
        self.noise, self.masks, self.width = noise, masks, features * (3 if masks else 1)
        if masks:
            self.rate = nn.Parameter(torch.full((features,), 0.1))
            self.offset = nn.Parameter(torch.zeros(features))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Fill in what is missing, and add noise."""
        values = batch["values"]
        if self.training and self.noise:
            values = values + self.noise * torch.randn_like(values)
        if not self.masks:
            return values
        seen, gaps = batch["seen"], batch["gaps"]
        fade = torch.exp(-F.relu(self.rate * gaps + self.offset))
        return torch.cat([values * (seen + (1 - seen) * fade), seen, torch.log1p(gaps)], -1)


Reader = ReadWords | ReadSeries
