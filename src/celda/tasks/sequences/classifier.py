"""Classification: a sequence in, its class out, with probabilities that can be believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import Tensor, nn
from torch.nn import functional as F

from celda.checks import options_of, suggesting
from celda.data.labelled import Labelled
from celda.data.labelled_reading import ID_COL, TEXT_COL, read_classified
from celda.data.labels import in_terms_of, places_of
from celda.data.padded import Padded
from celda.data.series import SeriesEncoder, as_series, check_times
from celda.data.words import words_of
from celda.errors import CeldaError
from celda.language import Cell
from celda.models import ClassificationNetwork
from celda.models.reading import Reader, ReadSeries, ReadWords
from celda.tasks.options import check_fitted
from celda.tasks.sequences import calibration
from celda.tasks.sequences.classification_scores import Evaluation, evaluation
from celda.tasks.sequences.estimator import Encoder, SequenceEstimator


class Classifier(ClassifierMixin, SequenceEstimator):
    """Tells the class of a text, or of a series of unequal length with one or many features.

    It has the manners of scikit-learn. Sequences are a list of texts, an array (N, T) or (N, T, D), or a list of arrays
    (T_i, D); or the path of a `.ts` file of the UEA and UCR archive, of a CSV or Parquet table, or of a folder with a
    folder of texts (`.txt`) or recordings (`.wav`) for each class.

    Args:
        cell: the recurrent cell: a name (`celda.cells.CELLS`), or a cell of your own.
        hidden_size, num_layers, bidirectional: of the recurrent layers. hidden_size=None: 32 with texts, 64 else.
        pooling: from the states of all steps to one: "last", "mean", "max" or "attention". None: "max" with texts,
            "last" with series.
        dropout: before the output and between layers; of the embedding, half of it. None: 0.5 with texts, 0.2 with
            series.
        embedding_size, word_dropout, min_count, max_length: of texts: the width of a word's vector, the share of words
            that are hidden in training, how often a word must occur, and how many words of a text are read, half of
            them from its end.
        wide: whether the words of a text add to the scores by themselves, too, without regard to their order.
        noise: the deviation of noise that is added to scaled series in training.
        missing: "error", or "mask": NaN is a missing value, and the network is told what was seen and how long ago.
        class_weight: None, "balanced", or a dict: what an error weighs with each class.
        calibrate: whether the probabilities are corrected on the validation part (temperature scaling).
        validation: the share of the sequences that chooses the number of epochs and calibrates; 0: none is held out.
        epochs: the most to train; None: as many as make about 1,200 steps (with texts 400), 100
            at most.
        batch_size, learning_rate, weight_decay: of AdamW.
        seed: of all random numbers. device: "auto", "cpu", "cuda" or "mps".
        text_col, label_col, id_col, time_col: the columns of a table: its texts; or the name of the series that a row
            is a step of and, where their rate is irregular, the time of the step. Without either, a row is a series.

    Attributes, once fitted:
        classes_: the labels, sorted. epochs_: how many epochs were best. temperature_: what scores are divided by; 1
            where no correction proved itself.
        network_, encoder_: the network, and what turns sequences into its inputs.
        histories_: the `History` of each phase of training. options_: a copy of the options as they were.
        notes_: what the fit noticed in the data.
        n_features_in_: the columns of X where that was an array (N, T) or a table, otherwise the features of a step.
        feature_names_in_: the names of the columns, where X was a table of series. Other tables are put in their order.
        prior_: how frequent each class was.
    """

    TASK = "classify"
    VIEWS = ("word",)
    DROPOUT = 0.5

    @suggesting()
    def __init__(
        self,
        *,
        cell: str | Cell = "lstm",
        hidden_size: int | None = None,
        num_layers: int = 1,
        bidirectional: bool = True,
        pooling: str | None = None,
        dropout: float | None = None,
        embedding_size: int = 64,
        word_dropout: float = 0.1,
        min_count: int = 2,
        max_length: int | None = 200,
        wide: bool = True,
        noise: float = 0.0,
        missing: str = "error",
        class_weight: str | dict | None = None,
        calibrate: bool = True,
        validation: float = 0.2,
        epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        text_col: str = TEXT_COL,
        label_col: str = "label",
        id_col: str = ID_COL,
        time_col: str | None = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.embedding_size = embedding_size
        self.word_dropout = word_dropout
        self.min_count = min_count
        self.max_length = max_length
        self.wide = wide
        self.noise = noise
        self.missing = missing
        self.class_weight = class_weight
        self.calibrate = calibrate
        self.validation = validation
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed
        self.device = device
        self.text_col = text_col
        self.label_col = label_col
        self.id_col = id_col
        self.time_col = time_col

    fit = suggesting(elsewhere=options_of("Classifier", __init__))(SequenceEstimator.fit)

    def predict(self, X: Any, *, times: Any = None) -> np.ndarray:
        """The most probable class of each sequence: (N,)."""
        best = self._scores(X, times).argmax(1)
        found: np.ndarray = self.classes_[best]
        return found

    def predict_proba(self, X: Any, *, times: Any = None) -> np.ndarray:
        """The probability of each class, in the order of `classes_`: (N, C)."""
        return softmax(self._scores(X, times), axis=1)  # type: ignore[no-any-return]

    def decision_function(self, X: Any, *, times: Any = None) -> np.ndarray:
        """The scores of the classes before the softmax, calibrated: (N, C); of two classes, by how much the second is
        ahead: (N,).
        """
        scores = self._scores(X, times)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    @torch.no_grad()
    def _scores(self, X: Any, times: Any) -> np.ndarray:
        data = self._read(X, times=times)
        scores = np.zeros((len(data), len(self.classes_)))
        for indices, batch in self._batches(data):
            scores[indices] = self.network_(batch).cpu().double().numpy()
        calibrated: np.ndarray = scores / self.temperature_
        return calibrated

    def score(self, X: Any, y: Any = None, sample_weight: Any = None, *, times: Any = None) -> float:
        """The share of sequences whose class is told rightly."""
        data = self._read(X, y, times, labelled=True)
        right = self.predict(data) == data.labels
        return float(np.average(right, weights=sample_weight))

    def evaluate(self, X: Any, y: Any = None, *, times: Any = None) -> Evaluation:
        """Scores on sequences that the model has not learnt from, beside baselines: the most frequent class and, where
        the model holds what it learnt from, a logistic regression on word counts or on statistics of the series.
        """
        return evaluation(self, self._read(X, y, times, labelled=True))

    def table(self, X: Any, *, times: Any = None) -> pd.DataFrame:
        """A row a sequence: its `id`, what is `predicted`, and the probability of each class, in columns `p_CLASS`."""
        data = self._read(X, times=times)
        probabilities = self.predict_proba(data)
        ids = data.ids or [str(place) for place in range(len(data))]
        columns = {"id": ids, "predicted": self.classes_[probabilities.argmax(1)]}
        return pd.DataFrame(columns | {f"p_{one}": probabilities[:, i] for i, one in enumerate(self.classes_)})

    def read(self, X: Any, y: Any = None, times: Any = None, *, labelled: bool = True, words: bool = False) -> Labelled:
        """Sequences, and their labels (N,) where `labelled`. Raises CeldaError where they cannot be used."""
        if isinstance(X, Labelled):
            return X
        if isinstance(X, str | Path) or (isinstance(X, pd.DataFrame) and y is None and self._names_columns(X)):
            data = read_classified(X, self._asked(self.text_col, labelled, words))
        else:
            data = self._given(X, y, times, labelled)
        self._check_times(times, data)
        return data

    def _read(self, X: Any, y: Any = None, times: Any = None, *, labelled: bool = False) -> Labelled:
        """See `SequenceEstimator`; a DataFrame is read as that was which the model was fitted on."""
        check_fitted(self)
        if not isinstance(X, pd.DataFrame) or self._frame is None:
            return super()._read(X, y, times, labelled=labelled)
        if self._frame == "rows":
            data = self.options_._given(X, y, times, labelled)
        else:
            data = self.options_.read(X, labelled=labelled and y is None, words=self._holds_words)
            if labelled and y is not None:
                data = replace(data, labels=_labels(y, data.inputs))
        self._check_times(times, data)
        return self._in_form(data, labelled)

    def _names_columns(self, frame: pd.DataFrame) -> bool:
        return bool({self.text_col, self.label_col, self.id_col} & {str(name) for name in frame.columns})

    def _given(self, X: Any, y: Any, times: Any, labelled: bool) -> Labelled:
        """What was given as Python's own objects."""
        if isinstance(X, list | tuple | pd.Series | np.ndarray) and len(X) and isinstance(next(iter(X)), str):
            if wrong := [place for place, text in enumerate(X) if not isinstance(text, str)]:
                raise CeldaError(f"Text {wrong[0]} is a {type(list(X)[wrong[0]]).__name__}: all are strings, or none.")
            kind, inputs = "text", list(X)
        else:
            kind, inputs = "series", as_series(X, missing=self.missing == "mask")
        labels = _labels(y, inputs) if labelled else None
        clocks = None if times is None or kind == "text" else check_times(times, inputs)
        named = isinstance(X, pd.DataFrame) and all(isinstance(name, str) for name in X.columns)
        columns = tuple(X.columns) if named else None
        return Labelled(kind, inputs, labels, "the data", clocks, columns=columns)  # type: ignore[arg-type]

    def _in_terms(self, labels: Any) -> Any:
        return in_terms_of(self.classes_, labels)

    def _remember(self, X: Any, y: Any, data: Labelled) -> None:
        # How a DataFrame was read: by the names of its columns, or each row as a series.
        by_name = y is None and isinstance(X, pd.DataFrame) and self._names_columns(X)
        self._frame = ("columns" if by_name else "rows") if isinstance(X, pd.DataFrame) else None
        if isinstance(self.encoder_, SeriesEncoder):
            whole = self._frame == "rows" or (isinstance(X, np.ndarray) and X.ndim == 2)
            self.n_features_in_ = X.shape[1] if whole else len(data.columns or ()) or self.encoder_.features
        counts = np.bincount(self._targets(data, self.classes_), minlength=len(self.classes_))
        self.prior_ = counts / counts.sum()

    def _find_classes(self, data: Labelled) -> np.ndarray:
        return np.unique(data.labels)

    def _targets(self, data: Labelled, classes: np.ndarray) -> np.ndarray:
        """The place of each label among the classes. Raises CeldaError where one is not among them."""
        return places_of(classes, data.labels, data.name, "class")

    def _kept(self) -> dict[str, Any]:
        calibration = {"temperature": self.temperature_, "calibrated_on": self._calibrated_on}
        return {**calibration, "prior": self.prior_.tolist(), "frame": self._frame}

    def _take_up(self, kept: dict[str, Any]) -> None:
        self.temperature_, self._calibrated_on = kept["temperature"], kept["calibrated_on"]
        self.prior_, self._frame = np.array(kept["prior"]), kept["frame"]

    def _facts(self) -> list[tuple[str, str]]:
        count = f"the {self._calibrated_on} sequence(s) of the validation part"
        if not self.options_.calibrate:
            told = "not calibrated"
        elif not self._calibrated_on:
            told = "not calibrated, as there was no validation part"
        elif self.temperature_ == 1:
            told = f"as the network gives them: no correction proved itself on {count}"
        else:
            told = f"scores are divided by {self.temperature_:.3g}, found on {count}"
        return [("pooling", self.options_.pooling_of(self.kind_)), ("probabilities", told)]

    def _class_weights(self, data: Labelled, classes: np.ndarray) -> Tensor | None:
        return self._balance(data.labels, classes)

    def _hold_out(self, data: Labelled, share: float, chance: np.random.Generator) -> np.ndarray:
        """A share of each class, whole numbers of sequences; one at least stays to be learnt from."""
        chosen = [np.array([], dtype=int)]
        for label in self._find_classes(data):
            members = chance.permutation(np.flatnonzero(data.labels == label))
            chosen.append(members[: min(round(share * len(members)), len(members) - 1)])
        return np.sort(np.concatenate(chosen))

    def _padded(self, encoder: Encoder, data: Labelled, classes: np.ndarray) -> Padded:
        return Padded(self._encode(encoder, data), torch.from_numpy(self._targets(data, classes)))

    def _words(self, data: Labelled) -> list[list[str]]:
        return [words_of(text) for text in data.inputs]

    def _network(self, reader: Reader, classes: int, dropout: float) -> nn.Module:
        words = reader.sizes[0] if isinstance(reader, ReadWords) and self.wide else None
        sizes = {name: getattr(self, name) for name in ("num_layers", "bidirectional")}
        sizes["hidden_size"] = self.hidden_size or (64 if isinstance(reader, ReadSeries) else 32)
        pooling = self.pooling_of("series" if isinstance(reader, ReadSeries) else "text")
        return ClassificationNetwork(
            reader, classes, cell=self.cell, pooling=pooling, dropout=dropout, words=words, **sizes
        )

    def pooling_of(self, kind: str) -> str:
        """The pooling that was given, or what is usual with such data."""
        return self.pooling or ("last" if kind == "series" else "max")

    def _loss(self, weights: Tensor | None) -> Callable[[nn.Module, Any], Tensor]:
        def loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
            scores = network(batch)
            return F.cross_entropy(scores, batch["target"], None if weights is None else weights.to(scores))

        return loss

    def _calibration(self, ask: Callable[[], tuple[nn.Module, Padded]] | None) -> dict[str, Any]:
        """The temperature, by the scores that a network trained as the one that is kept gives the validation part."""
        if ask is None or not self.calibrate:
            return {"temperature_": 1.0, "_calibrated_on": 0}
        network, valid = ask()
        device = next(network.parameters()).device
        found = [valid.__getitems__(indices.tolist()) for indices in valid.by_length(256)]
        with torch.no_grad():
            scores = [network({name: value.to(device) for name, value in batch.items()}).cpu() for batch in found]
        target = torch.cat([batch["target"] for batch in found])
        return {"temperature_": calibration.proven_temperature(torch.cat(scores), target), "_calibrated_on": len(valid)}


def _labels(y: Any, inputs: Sequence[Any]) -> np.ndarray:
    """The labels (N,) that were given with N sequences. Raises CeldaError where they are none."""
    if y is None:
        raise CeldaError("fit requires y to be passed, but the target y is None: give a label a sequence.")
    try:
        labels: np.ndarray = column_or_1d(y, warn=True)
        check_consistent_length(inputs, labels)
        check_classification_targets(labels)
    except ValueError as error:
        raise CeldaError(str(error)) from error
    return labels
