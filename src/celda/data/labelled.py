"""Sequences with their labels, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from celda.errors import CeldaError

Kind = Literal["text", "words", "series"]


@dataclass(frozen=True)
class Form:
    """What sequences must share with those that a model was fitted on.

    kind: see `Labelled`. columns: the names of the columns that series were read from, in their order: of the features
    of a step or, where a row is a series, of its steps; None where they had no names. rate: of recordings, in Hz.
    """

    kind: Kind
    columns: tuple[str, ...] | None = None
    rate: int | None = None


@dataclass(frozen=True)
class Labelled:
    """N sequences with one label each, or with a label a step.

    kind: "text": `inputs` are documents (str); "words": lists of words; "series": arrays (T_i, D), NaN where missing.
    labels: (N,), or a list of N arrays (T_i,); None where they are not known.
    name: of the source, for messages. times: of the steps of each series. ids: of the sequences.
    columns, rate: see `Form`.
    """

    kind: Kind
    inputs: list[Any]
    labels: Any
    name: str
    times: list[np.ndarray] | None = None
    ids: list[str] | None = None
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    rate: int | None = None

    @property
    def form(self) -> Form:
        """What other sequences must share with these."""
        return Form(self.kind, self.columns, self.rate)

    def in_form(self, form: Form) -> Self:
        """The same sequences with the columns in the order of `form`.

        Raises CeldaError where they are of another kind or rate, or their columns have other names.
        """
        if self.kind != form.kind:
            raise CeldaError(f"The model was fitted on {form.kind}, and {self.name} holds {self.kind}.")
        if self.rate and form.rate and self.rate != form.rate:
            raise CeldaError(
                f"{self.name} holds recordings of {self.rate} Hz, and the model was fitted on {form.rate} Hz: bring "
                f"them to {form.rate} Hz first."
            )
        if self.columns is None or form.columns is None or self.columns == form.columns:
            return self
        if odd := [name for name in self.columns if name not in form.columns]:
            raise CeldaError(
                f"{self.name} has a column {odd[0]!r} that the model has not learnt from: it knows "
                f"{_listed(form.columns)}; leave it out, or give it the name that it had."
            )
        if gone := [name for name in form.columns if name not in self.columns]:
            raise CeldaError(
                f"{self.name} has no column {gone[0]!r}, which the model has learnt from: it needs "
                f"{_listed(form.columns)}."
            )
        order = [self.columns.index(name) for name in form.columns]
        a_step = self.inputs[0].shape[1] == len(order)  # otherwise a row was a series
        inputs = [one[:, order] if a_step else one[order] for one in self.inputs]
        return replace(self, inputs=inputs, columns=form.columns)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, chosen: Sequence[int] | np.ndarray) -> Self:
        """The sequences of these indices."""
        pick = lambda values: None if values is None else [values[i] for i in chosen]  # noqa: E731
        labels = self.labels[chosen] if isinstance(self.labels, np.ndarray) else pick(self.labels)
        inputs = [self.inputs[i] for i in chosen]
        return replace(self, inputs=inputs, labels=labels, times=pick(self.times), ids=pick(self.ids))

    def fingerprint(self) -> str:
        """Tells data apart: the same for the same sequences, labels and times."""
        found = hashlib.sha256(self.kind.encode())
        labels = [] if self.labels is None else self.labels
        for part in (self.inputs, labels, self.times or []):
            for one in part:
                numbers = isinstance(one, np.ndarray) and one.dtype.kind in "fiub"
                found.update(one.tobytes() if numbers else repr(one).encode())
        return found.hexdigest()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
