"""Sequences with their labels, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np


@dataclass(frozen=True)
class Labelled:
    """N sequences with one label each, or with a label a step.

    kind: "text": `inputs` are documents (str); "words": lists of words; "series": arrays (T_i, D), NaN where missing.
    labels: (N,), or a list of N arrays (T_i,); None where they are not known.
    name: of the source, for messages. times: of the steps of each series. ids: of the sequences.
    """

    kind: Literal["text", "words", "series"]
    inputs: list[Any]
    labels: Any
    name: str
    times: list[np.ndarray] | None = None
    ids: list[str] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """The sequences of these indices."""
        pick = lambda values: None if values is None else [values[i] for i in chosen]  # noqa: E731
        labels = self.labels[chosen] if isinstance(self.labels, np.ndarray) else pick(self.labels)
        parts = (self.kind, pick(self.inputs), labels, self.name, pick(self.times), pick(self.ids))
        return type(self)(*parts, self.notes)  # type: ignore[arg-type]

    def fingerprint(self) -> str:
        """Tells data apart: the same for the same sequences, labels and times."""
        found = hashlib.sha256(self.kind.encode())
        labels = [] if self.labels is None else self.labels
        for part in (self.inputs, labels, self.times or []):
            for one in part:
                numbers = isinstance(one, np.ndarray) and one.dtype.kind in "fiub"
                found.update(one.tobytes() if numbers else repr(one).encode())
        return found.hexdigest()
