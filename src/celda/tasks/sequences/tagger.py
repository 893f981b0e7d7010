"""Tagging: a sequence in, a label for each of its steps out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from celda.checks import options_of, suggesting
from celda.data.labelled import Labelled
from celda.data.labelled_reading import ID_COL, TOKEN_COL, read_tagged
from celda.data.labels import check_labels, in_terms_of, places_of
from celda.data.padded import Padded
from celda.data.series import as_series, check_times
from celda.errors import CeldaError
from celda.language import Cell
from celda.models import TaggingNetwork
from celda.models.reading import Reader
from celda.tasks.options import check_fitted
from celda.tasks.sequences.classification_scores import Evaluation
from celda.tasks.sequences.estimator import Encoder, SequenceEstimator
from celda.tasks.sequences.stream import TagStream
from celda.tasks.sequences.tagging_scores import evaluation, frequencies


class Tagger(SequenceEstimator):
    """Gives each step of a sequence its label: each word of a sentence, each frame of a video or of a sensor.

    It has the manners of scikit-learn, with a list of arrays in the place of one. Sequences are lists of words, or
    arrays (T_i, D), a row of features a step; or the path of a file of CoNLL columns, or of a CSV or Parquet table
    with a row a step. Of words their endings (three letters) and how they are written are read
    too, so that one that was never seen still tells something.

    Args:
        crf: whether a label also depends on the one before it: a linear-chain conditional random field, which makes
            the most probable sequence of labels, not of the most probable labels each (Lafferty et al. 2001).
        missing: "error", or "mask": NaN is a missing value, and the network is told what was seen and how long ago.
        class_weight: None, "balanced", or a dict: what an error weighs with each label; not with `crf`.
        min_count: how often a word must occur to be known.
        validation: the share of the sequences that chooses the number of epochs; of a single one, 0 must be written.
        token_col, label_col, id_col, time_col: the columns of a table: its words, without which all other columns are
            features; the labels; the name of the sequence, without which the table is a single one; the time.
        cell, hidden_size, num_layers, bidirectional, dropout, embedding_size, word_dropout, noise, epochs, batch_size,
            learning_rate, weight_decay, seed, device: as `Classifier` has them. `bidirectional=False` reads no step
            ahead, for a stream.

    Attributes, once fitted:
        classes_, epochs_, network_, encoder_, histories_, options_, notes_: as `Classifier` has them.
    """

    TASK = "tag"
    VIEWS = ("word", "ending", "shape")
    DROPOUT = 0.3

    @suggesting()
    def __init__(
        self,
        *,
        cell: str | Cell = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        crf: bool = False,
        dropout: float | None = None,
        embedding_size: int = 64,
        word_dropout: float = 0.1,
        min_count: int = 1,
        noise: float = 0.0,
        missing: str = "error",
        class_weight: str | dict | None = None,
        validation: float = 0.2,
        epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        token_col: str = TOKEN_COL,
        label_col: str = "label",
        id_col: str = ID_COL,
        time_col: str | None = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.crf = crf
        self.dropout = dropout
        self.embedding_size = embedding_size
        self.word_dropout = word_dropout
        self.min_count = min_count
        self.noise = noise
        self.missing = missing
        self.class_weight = class_weight
        self.validation = validation
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self.device = device
        self.token_col = token_col
        self.label_col = label_col
        self.id_col = id_col
        self.time_col = time_col

    fit = suggesting(elsewhere=options_of("Tagger", __init__))(SequenceEstimator.fit)

    def predict(self, X: Any, *, times: Any = None) -> list[np.ndarray]:
        """The label of each step: N arrays (T_i,)."""
        found = self._tag(X, times)
        return [self.classes_[tags] for tags, _ in found]

    def predict_proba(self, X: Any, *, times: Any = None) -> list[np.ndarray]:
        """The probability of each label at each step, in the order of `classes_`: N arrays (T_i, C)."""
        return [probabilities for _, probabilities in self._tag(X, times)]

    def stream(self) -> TagStream:
        """A sequence of which the steps come one by one; see `TagStream`."""
        check_fitted(self)
        return TagStream(self)

    def score(self, X: Any, y: Any = None, *, times: Any = None) -> float:
        """The share of steps whose label is told rightly."""
        data = self._read(X, y, times, labelled=True)
        return float(np.mean(np.concatenate(self.predict(data)) == np.concatenate(data.labels)))

    def evaluate(self, X: Any, y: Any = None, *, times: Any = None) -> Evaluation:
        """Scores on sequences that the model has not learnt from, beside the most frequent label and, with words, the
        most frequent label of each.
        """
        return evaluation(self, self._read(X, y, times, labelled=True))

    def table(self, X: Any, *, times: Any = None) -> pd.DataFrame:
        """A row a step: the `id` of its sequence, its number `step`, the `token` where there are words, what is
        `predicted`, and how probable that label is.
        """
        return self._rows(self._read(X, times=times))

    def _rows(self, data: Labelled) -> pd.DataFrame:
        found = self._tag(data, None)
        lengths = [len(tags) for tags, _ in found]
        ids = data.ids or [str(place) for place in range(len(data))]
        columns: dict[str, Any] = {
            "id": np.repeat(ids, lengths),
            "step": np.concatenate([np.arange(length) for length in lengths]),
        }
        if data.kind == "words":
            columns["token"] = [word for sentence in data.inputs for word in sentence]
        columns["predicted"] = np.concatenate([self.classes_[tags] for tags, _ in found])
        sure = [probabilities[np.arange(len(tags)), tags] for tags, probabilities in found]
        return pd.DataFrame(columns | {"probability": np.concatenate(sure)})

    @torch.no_grad()
    def _tag(self, X: Any, times: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """The places of the labels (T_i,), and the probabilities (T_i, C), of each sequence."""
        data = self._read(X, times=times)
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for indices, batch in self._batches(data):
            tags, probabilities = (part.cpu().numpy() for part in self.network_.tag(batch))
            for place, index in enumerate(indices.tolist()):
                length = int(batch["lengths"][place])
                found[index] = tags[place, :length], probabilities[place, :length]
        return [found[place] for place in range(len(data))]

    def read(self, X: Any, y: Any = None, times: Any = None, *, labelled: bool = True, words: bool = False) -> Labelled:
        """Sequences, and their labels a step where `labelled`. Raises CeldaError where they cannot be used."""
        if isinstance(X, Labelled):
            return X
        if isinstance(X, str | Path | pd.DataFrame):
            data = read_tagged(X, self._asked(self.token_col, labelled, words))
        else:
            data = self._given(X, y, times, labelled)
        self._check_times(times, data)
        return data

    def _given(self, X: Any, y: Any, times: Any, labelled: bool) -> Labelled:
        """What was given as Python's own objects."""
        if not isinstance(X, list | tuple | np.ndarray) or not len(X):
            raise CeldaError("Sequences are a list of arrays (T, D), or of lists of words, and one at least.")
        words = any(isinstance(one, str) or _holds_words(one) for one in X)
        inputs: list[Any] = _sentences(X) if words else as_series(X, missing=self.missing == "mask")
        labels = self._labels(inputs, y) if labelled else None
        clocks = None if times is None or words else check_times(times, inputs)
        return Labelled("words" if words else "series", inputs, labels, "the data", clocks)

    def _labels(self, inputs: Sequence[Any], y: Any) -> list[np.ndarray]:
        if y is None:
            raise CeldaError("The sequences have no labels: give y, an array (T,) of labels for each.")
        if len(y) != len(inputs):
            raise CeldaError(f"There are {len(inputs)} sequences and labels of {len(y)}: give an array (T,) for each.")
        labels = [np.asarray(one) for one in y]
        for place, (one, tags) in enumerate(zip(inputs, labels, strict=True)):
            if tags.shape != (len(one),):
                raise CeldaError(
                    f"Sequence {place} has {len(one)} steps and its labels have shape {tags.shape}: give one a step."
                )
        check_labels(labels)
        return labels

    def _in_terms(self, labels: Any) -> Any:
        return [in_terms_of(self.classes_, tags) for tags in labels]

    def _find_classes(self, data: Labelled) -> np.ndarray:
        return np.unique(np.concatenate(data.labels))

    def _targets(self, data: Labelled, classes: np.ndarray) -> list[np.ndarray]:
        """The place of each label among the classes. Raises CeldaError where one is not among them."""
        return [places_of(classes, tags, data.name, "label") for tags in data.labels]

    def _remember(self, X: Any, y: Any, data: Labelled) -> None:
        self._frequencies = frequencies(data)

    def _kept(self) -> dict[str, Any]:
        return {"frequencies": self._frequencies}

    def _take_up(self, kept: dict[str, Any]) -> None:
        self._frequencies = kept["frequencies"]

    def _facts(self) -> list[tuple[str, str]]:
        return [("labels", "depend on the one before (CRF)" if self.options_.crf else "each by itself")]

    def _class_weights(self, data: Labelled, classes: np.ndarray) -> Tensor | None:
        if self.crf and self.class_weight is not None:
            raise CeldaError("class_weight= weighs single steps, and a CRF whole sequences: leave one out.")
        return self._balance(np.concatenate(data.labels), classes)

    def _hold_out(self, data: Labelled, share: float, chance: np.random.Generator) -> np.ndarray:
        """A share of the sequences; such that hold a label that no other one has stay to be learnt from."""
        if share and len(data) < 2:
            raise CeldaError(
                f"{data.name} holds a single sequence, of which no part is held out: cut it into several (id_col), or "
                "write validation=0."
            )
        left = int(share * len(data) + 0.5)
        holders = dict.fromkeys(self._find_classes(data).tolist(), 0)
        own = [set(tags.tolist()) for tags in data.labels]
        for tags in own:
            for label in tags:
                holders[label] += 1
        chosen: list[int] = []
        for index in chance.permutation(len(data)).tolist():
            if len(chosen) < left and all(holders[label] > 1 for label in own[index]):
                chosen.append(index)
                for label in own[index]:
                    holders[label] -= 1
        return np.sort(np.array(chosen, dtype=int))

    def _padded(self, encoder: Encoder, data: Labelled, classes: np.ndarray) -> Padded:
        targets = [torch.from_numpy(tags) for tags in self._targets(data, classes)]
        return Padded(self._encode(encoder, data), targets)

    def _network(self, reader: Reader, classes: int, dropout: float) -> nn.Module:
        sizes = {name: getattr(self, name) for name in ("hidden_size", "num_layers", "bidirectional", "crf")}
        return TaggingNetwork(reader, classes, cell=self.cell, dropout=dropout, **sizes)

    def _loss(self, weights: Tensor | None) -> Callable[[nn.Module, Any], Tensor]:
        def loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
            found: Tensor = network.loss(batch, weights)  # type: ignore[operator]
            return found

        return loss


def _is_list(one: Any) -> bool:
    return isinstance(one, list | tuple | np.ndarray)


def _holds_words(one: Any) -> bool:
    numbers = isinstance(one, np.ndarray) and one.dtype.kind in "fiub"
    return _is_list(one) and not numbers and any(isinstance(word, str) for word in one)


def _sentences(given: Any) -> list[list[str]]:
    """Lists of words. Raises CeldaError for what is none among them."""
    for place, one in enumerate(given):
        if not _is_list(one):
            raise CeldaError(
                f"Sentence {place} is a {type(one).__name__}, not a list of words: split it, such as with split()."
            )
        if not len(one):
            raise CeldaError(f"Sentence {place} has no word: leave it out.")
        for step, word in enumerate(one):
            if not isinstance(word, str):
                raise CeldaError(
                    f"Word {step} of sentence {place} is a {type(word).__name__} ({word!r}): all are strings."
                )
    return [list(one) for one in given]
