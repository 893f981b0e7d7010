"""Cells compared by how well they foretell a text, character by character."""

from __future__ import annotations

import hashlib
import statistics
from typing import Any

import torch
from torch import nn

from celda.data.vocabulary import Characters
from celda.language import Cell
from celda.tasks.comparison.contest import SEQUENCES, Trained
from celda.tasks.language import LanguageModel
from celda.tasks.language.model import build_network
from celda.tasks.language.options import Parts
from celda.tasks.options import to_plain


class Foretelling:
    """The last part of a text, foretold; see `Contest`."""

    error, step, facts = "bits-per-character", "a character", ""

    def __init__(self, source: Any, options: dict[str, Any]) -> None:
        self._options = options
        first = LanguageModel(**options)
        self._text = first.read(source)
        parts = Parts.of(first, self._text.length)
        self._vocabulary = Characters.fit(self._text.blocks(0, parts.train), None)
        self._tested, self._steps = parts.valid, first.steps
        self.hidden_size: int = first.hidden_size
        found = hashlib.sha256()
        for block in self._text.blocks():
            found.update(block.encode("utf-8", "surrogatepass"))
        self.data = found.hexdigest()

    def network(self, cell: str | Cell, hidden_size: int) -> nn.Module:
        """See `Contest`."""
        return build_network(self._model(cell, hidden_size, 0), self._vocabulary)

    def options(self, cell: str | Cell, hidden_size: int, seed: int) -> dict[str, Any]:
        """See `Contest`."""
        return to_plain(self._model(cell, hidden_size, seed))

    def train(self, cell: str | Cell, hidden_size: int, seed: int) -> Trained:
        """See `Contest`."""
        model = self._model(cell, hidden_size, seed).fit(self._text)
        network = model.network_.cpu()
        stop = min(self._text.length, self._tested + SEQUENCES * self._steps)
        tokens = torch.from_numpy(model.vocabulary_.encode("".join(self._text.blocks(self._tested, stop)))).long()
        steps = min(self._steps, len(tokens))
        pieces = tokens[: len(tokens) // steps * steps].reshape(-1, steps).T
        return Trained(
            network,
            float(model.scores_[self.error].iloc[0]),
            lambda: network(pieces),
            model.epochs_,
            model.history_.seconds,
            statistics.median(epoch.seconds for epoch in model.history_.epochs),
        )

    def _model(self, cell: str | Cell, hidden_size: int, seed: int) -> LanguageModel:
        return LanguageModel(**{**self._options, "cell": cell, "hidden_size": hidden_size, "seed": seed})
