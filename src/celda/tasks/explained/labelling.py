"""A classifier or tagger, opened: how it reads a sequence, and what the label that it gives stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from celda.data.labelled import Labelled
from celda.data.series import SeriesEncoder
from celda.errors import CeldaError
from celda.models import ClassificationNetwork, TaggingNetwork
from celda.tasks.explained.parts import Layer, Line
from celda.tasks.sequences import Classifier, Tagger

_SEQUENCES = 64  # that are looked at
_LABELS = 12  # that units may follow, the most frequent ones
_FEATURES = 12


@dataclass(frozen=True)
class LabelQuestion:
    """What the label of a sequence, or of one of its steps, stands on; see `celda.insight.Question`."""

    network: ClassificationNetwork | TaggingNetwork
    batch: Mapping[str, Tensor]  # of one sequence
    place: int | None  # of the step; None: the whole sequence
    label: int
    words: str
    baseline_words: str
    labels: Sequence[object]
    series: np.ndarray | None
    temperature: float = 1.0  # what the model divides the scores by
    unit: float = 1.0
    unit_words: str = "nats"

    @property
    def x(self) -> Tensor:
        """What enters the recurrent layers: (1, T, W)."""
        with torch.no_grad():
            found: Tensor = self.network.reader(self.batch)
        return found

    @property
    def baseline(self) -> Tensor:
        """Zeros: no word, or a series that stays at its mean."""
        return torch.zeros_like(self.x)

    def output(self, x: Tensor) -> Tensor:
        """The logarithm of the probability that the model gives the label: (B,). A bag of words stays as it is."""
        batch = {name: value.expand(len(x), *value.shape[1:]) for name, value in self.batch.items()}
        scores = self.network.scores(x, batch) / self.temperature
        if self.place is None:
            return scores.log_softmax(-1)[:, self.label]
        if isinstance(self.network, TaggingNetwork) and self.network.crf is not None:
            return self.network.crf.log_marginal(scores, batch["lengths"], self.place, self.label)
        return scores[:, self.place].log_softmax(-1)[:, self.label]


@dataclass(frozen=True)
class Explained:
    """A classifier or tagger, and sequences from the shortest to the longest; see `celda.insight.Subject`."""

    model: Classifier | Tagger
    data: Labelled
    batch: Mapping[str, Tensor]

    @property
    def network(self) -> ClassificationNetwork | TaggingNetwork:
        """The trained network."""
        found: ClassificationNetwork | TaggingNetwork = self.model.network_
        return found

    @property
    def title(self) -> str:
        """What the report is about."""
        of_what = "a sequence" if isinstance(self.model, Classifier) else "each step"
        return f"Inside a trained network: {self.network.layers.cell.name} telling the label of {of_what}"

    @property
    def facts(self) -> dict[str, str]:
        """What was looked at."""
        layer, classes = self.network.layers, self.model.classes_
        told = ", ".join(map(str, classes[:_LABELS])) + (", ..." if len(classes) > _LABELS else "")
        both = " in each direction" if layer.bidirectional else ""
        return {
            "Tells": f"one of {len(classes)} labels ({told})",
            "Data": self.data.name,
            "Network": f"{layer.cell.name}, {layer.hidden_size} units{both}, layers: {layer.num_layers}",
            "A step": self._step,
            "Shown": "the longest sequence" + (", as it is read forwards" if layer.bidirectional else ""),
            "Looked at": f"{len(self.data)} sequences",
        }

    def run(self) -> Tensor:
        """Score all sequences."""
        scores: Tensor = self.network(self.batch)
        return scores

    @property
    def parts(self) -> tuple[Layer]:
        """The recurrent layers."""
        return (
            Layer(
                "layers", "Reading the sequence", self._step, self._labels, self._columns, self._targets(), self._signal
            ),
        )

    @property
    def question(self) -> LabelQuestion:
        """What the label of the shown sequence stands on; of a tagger, that of the step with the rarest one."""
        one = {name: value[-1:] for name, value in self.batch.items()}
        with torch.no_grad():
            if isinstance(self.network, ClassificationNetwork):
                place, label = None, int(self.network(one)[0].argmax())
                words = f"the log-probability of “{self.model.classes_[label]}”"
            else:
                tags = self.network.tag(one)[0][0]
                everywhere = self.network.tag(self.batch)[0][self._within]
                counts = torch.bincount(everywhere, minlength=len(self.model.classes_))
                place = int(counts[tags].argmin())
                label = int(tags[place])
                at = f"step {place + 1}" + ("" if self._is_series else f" (“{self._labels[place]}”)")
                words = f"the log-probability of “{self.model.classes_[label]}” at {at}"
        nothing = "a series that stays at its mean" if self._is_series else "a text of no words"
        if "bag" in one:
            nothing += " (what its bag of words adds, whatever their order, stays as it is)"
        series = self._signal.values if self._signal else None
        temperature = self.model.temperature_ if isinstance(self.model, Classifier) else 1.0
        return LabelQuestion(self.network, one, place, label, words, nothing, self._labels, series, temperature)

    @property
    def _is_series(self) -> bool:
        return isinstance(self.model.encoder_, SeriesEncoder)

    @property
    def _step(self) -> str:
        return "a step of the series" if self._is_series else "a word"

    @property
    def _within(self) -> Tensor:
        """The steps that lie within their sequence: (B, T)."""
        lengths = self.batch["lengths"]
        return torch.arange(int(lengths.max())) < lengths.unsqueeze(1)

    @cached_property
    def _labels(self) -> Sequence[object]:
        """The words of the shown sequence, or the numbers of its steps."""
        encoder = self.model.encoder_
        if isinstance(encoder, SeriesEncoder):
            return range(1, int(self.batch["lengths"].max()) + 1)
        words: Sequence[object] = encoder.cut(self.model._words(self.data)[-1])
        return words

    @property
    def _columns(self) -> tuple[str, ...]:
        width, encoder = self.network.layers.input_size, self.model.encoder_
        if not isinstance(encoder, SeriesEncoder):
            return tuple(f"number {k + 1} of the word" for k in range(width))
        names = [f"feature {k + 1}" for k in range(encoder.features)]
        further = [*(f"{name} was seen" for name in names), *(f"{name}: log of the gap" for name in names)]
        return (*names, *further)[:width]

    @property
    def _signal(self) -> Line | None:
        """The first feature of the shown sequence."""
        if not self._is_series:
            return None
        values = self.batch["values"][-1, :, 0].numpy()
        return Line("the first feature, scaled", np.arange(len(values)), values)

    def _targets(self) -> dict[str, np.ndarray]:
        """What units may follow at each step: (T, B) each."""
        found: dict[str, np.ndarray] = {}
        steps = int(self.batch["lengths"].max())
        if self.data.labels is not None:
            own = self._own_labels(steps)
            names, counts = np.unique(own[own != ""], return_counts=True)
            for name in names[np.argsort(-counts, kind="stable")][:_LABELS]:
                found[f"the label “{name}”"] = own == name
        if self._is_series:
            values = self.batch["values"].transpose(0, 1).double().numpy()
            found |= {f"feature {k + 1}": values[..., k] for k in range(min(values.shape[-1], _FEATURES))}
        found["steps from the beginning"] = np.repeat(np.arange(steps, dtype=float)[:, None], len(self.data), 1)
        return found

    def _own_labels(self, steps: int) -> np.ndarray:
        """The label of every step as text, "" past a sequence's end: (T, B)."""
        found = np.full((steps, len(self.data)), "", dtype=object)
        lengths = self.batch["lengths"].tolist()
        for place, (label, length) in enumerate(zip(self.data.labels, lengths, strict=True)):
            found[:length, place] = list(map(str, label)) if isinstance(self.model, Tagger) else str(label)
        return found


def subject(model: Classifier | Tagger, source: Any) -> Explained:
    """A classifier or tagger and some sequences, with their labels where they have any.

    Raises CeldaError where they cannot be read, or brought to the form that the model was fitted on.
    """
    try:
        data = model._read(source, labelled=True)
    except CeldaError:
        data = model._read(source)
    chosen = np.sort(np.random.default_rng(0).permutation(len(data))[:_SEQUENCES])
    data = data.take(chosen)
    model.network_.cpu().eval()
    order, batch = next(model._batches(data))
    return Explained(model, data.take(order), batch)
