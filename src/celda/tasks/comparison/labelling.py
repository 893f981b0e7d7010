"""Cells compared by the labels that they tell: of whole sequences, or of their steps."""

from __future__ import annotations

import statistics
from typing import Any, ClassVar

import numpy as np
from torch import nn

from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks.comparison.contest import SEQUENCES, Trained
from celda.tasks.options import to_plain
from celda.tasks.sequences import Classifier, Tagger
from celda.tasks.sequences.options import check_sequence_options

_TEST = 0.2  # the share of each class


class Labelling:
    """A fifth of the sequences, labelled; see `Contest`.

    The layers read forwards only, since the gradient by lag of two directions has no meaning.
    """

    error = "error rate"
    facts = "The layers read forwards only."
    kind: ClassVar[type[Classifier | Tagger]]
    fixed: ClassVar[dict[str, Any]] = {"bidirectional": False}

    def __init__(self, source: Any, options: dict[str, Any]) -> None:
        self._options = {**options, **self.fixed}
        first = self.kind(**self._options)
        check_sequence_options(first)
        data = first.read(source)
        test = first._hold_out(data, _TEST, np.random.default_rng(0))
        if not len(test):
            raise CeldaError(
                f"{data.name} holds too few sequences ({len(data)}) to hold a test out of them: give more."
            )
        self._known = data.take(np.setdiff1d(np.arange(len(data)), test))
        self._test = data.take(test)
        self._classes = first.classes_of(self._known)
        self._encoder = first._fit_encoder(self._known)
        self.hidden_size: int = first.hidden_size or (64 if data.kind == "series" else 32)
        self.data = data.fingerprint()
        self.step = "a step of the series" if data.kind == "series" else "a word"

    def network(self, cell: str | Cell, hidden_size: int) -> nn.Module:
        """See `Contest`."""
        return self._model(cell, hidden_size, 0).build_network(self._encoder, len(self._classes))

    def options(self, cell: str | Cell, hidden_size: int, seed: int) -> dict[str, Any]:
        """See `Contest`."""
        return to_plain(self._model(cell, hidden_size, seed))

    def train(self, cell: str | Cell, hidden_size: int, seed: int) -> Trained:
        """See `Contest`."""
        model = self._model(cell, hidden_size, seed).fit(self._known)
        error = 1 - model.score(self._test)
        network = model.network_.cpu()
        _, batch = next(model._batches(self._test.take(np.arange(len(self._test))[:SEQUENCES])))
        histories = model.histories_.values()
        return Trained(
            network,
            error,
            lambda: network(batch),
            model.epochs_,
            sum(history.seconds for history in histories),
            statistics.median(epoch.seconds for history in histories for epoch in history.epochs),
        )

    def _model(self, cell: str | Cell, hidden_size: int, seed: int) -> Classifier | Tagger:
        return self.kind(**{**self._options, "cell": cell, "hidden_size": hidden_size, "seed": seed})


class Classifying(Labelling):
    """A label a sequence. No bag of words stands beside the cells: it would tell what they do not."""

    facts = "The layers read forwards only, and no bag of words helps them."
    kind = Classifier
    fixed: ClassVar[dict[str, Any]] = {"bidirectional": False, "wide": False, "calibrate": False}


class Tagging(Labelling):
    """A label a step."""

    kind = Tagger
