"""What tasks have in common that learn from labelled sequences."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from celda import cells
from celda.data.labelled import Labelled
from celda.data.labelled_reading import Asked
from celda.data.padded import Padded
from celda.data.series import SeriesEncoder
from celda.data.words import WordEncoder
from celda.errors import CeldaError
from celda.models.reading import Reader, ReadSeries, ReadWords
from celda.tasks.options import check_fitted, settled, to_plain
from celda.tasks.sequences.options import check_sequence_options, training_config
from celda.tasks.sizes import best_epoch, default_epochs
from celda.training import History, fit, forget

Encoder = SeriesEncoder | WordEncoder
_BATCH = 256  # sequences that are predicted at once
_DROPOUT = 0.2  # with series
_VIEW_WIDTH = 16  # of an embedding beside that of the word itself


@dataclass
class Training:
    """What the phases of a fit share, and the history of each."""

    options: Any
    identity: dict[str, Any]
    run: str | Path | None
    resume: bool
    quiet: bool
    histories: dict[str, History] = field(default_factory=dict)

    def train(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        train: Padded,
        valid: Padded | None,
        epochs: int,
        phase: str,
    ) -> None:
        """Train a network in place. Raises KeyboardInterrupt where it was interrupted."""
        config = training_config(self.options, epochs)
        if self.run is not None and not self.resume and not self.histories:
            forget(Path(self.run))  # only now, when nothing is left that could be refused
        where: dict[str, Any] = {"run": self.run, "resume": self.resume, "quiet": self.quiet}
        history = fit(network, loss, train, valid, config, phase=phase, identity=self.identity, **where)
        self.histories[phase] = history
        if history.interrupted:
            raise KeyboardInterrupt(history.signal or signal.SIGINT)


class SequenceEstimator(BaseEstimator):
    """A task that learns from labelled sequences; `Classifier` and `Tagger` say what a label is.

    Fitting has two phases. "choose" trains without a validation part and finds there how many epochs are best; "fit"
    trains anew for so many on everything. Where probabilities are calibrated a third one, "calibrate", lies between:
    it trains as "fit" does, but without the validation part, so that it can be asked there.
    """

    TASK: ClassVar[str]
    VIEWS: ClassVar[tuple[str, ...]]  # of words
    DROPOUT: ClassVar[float]  # with words

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        times: Any = None,
        run: str | Path | None = None,
        resume: bool = False,
        quiet: bool = True,
    ) -> Self:
        """Learn from labelled sequences.

        Args:
            X: sequences, or the path of a file or folder that holds them with their labels.
            y: the labels; None where X holds them.
            times: of the steps of each series, N arrays (T_i,), where their rate is irregular; with missing="mask".
            run: a folder for checkpoints and metrics; resume: whether to go on from them, to the very same weights.
            quiet: whether nothing is shown.

        Raises CeldaError where an option or the data cannot be used, and KeyboardInterrupt after Ctrl-C, when the
        checkpoint is written. What was fitted before stays as it was then.
        """
        check_sequence_options(self)
        options: Self = settled(self)
        data = options.read(X, y, times)
        classes = options.classes_of(data)
        plain = {name: value for name, value in to_plain(options).items() if name != "device"}
        identity = {"data": data.fingerprint()[:12], "equations": cells.find(options.cell).equations(), **plain}
        training = Training(options, identity, run, resume, quiet)
        learnt = options._learn(data, classes, training)
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        self.options_, self.classes_, self.kind_ = options, classes, data.kind
        self.histories_, self.notes_ = training.histories, data.notes
        self._form = data.form
        self._learnt_from: Labelled | None = data
        for name, value in learnt.items():
            setattr(self, name, value)
        if data.columns is not None:
            self.feature_names_in_ = np.array(data.columns, dtype=object)
        self._remember(X, y, data)
        return self

    def check_learnable(self, data: Labelled) -> None:
        """Raise CeldaError for labelled sequences that these options cannot learn from, before anything is written."""
        classes = self.classes_of(data)
        self._class_weights(data, classes)
        valid = self._hold_out(data, self.validation, np.random.default_rng(self.seed))
        self._fit_encoder(data.take(np.setdiff1d(np.arange(len(data)), valid)))

    def _learn(self, data: Labelled, classes: np.ndarray, training: Training) -> dict[str, Any]:
        """All phases; the fitted attributes by name."""
        loss = self._loss(self._class_weights(data, classes))
        valid = self._hold_out(data, self.validation, np.random.default_rng(self.seed))
        usual = default_epochs(len(data) - len(valid), self.batch_size)
        # Of a whole text each word is a weight of its own: it is soon learnt by heart.
        epochs = self.epochs or (max(1, usual // 3) if data.kind == "text" else usual)

        def trained(encoder: Encoder, train: Padded, valid: Padded | None, phase: str) -> nn.Module:
            network = self.build_network(encoder, len(classes))
            training.train(network, loss, train, valid, epochs, phase)
            return network

        ask = None
        if len(valid):
            train = np.setdiff1d(np.arange(len(data)), valid)
            parts = data.take(train), data.take(valid)
            part = self._fit_encoder(parts[0])
            first, second = (self._padded(part, one, classes) for one in parts)
            trained(part, first, second, "choose")
            epochs = best_epoch(training.histories["choose"], epochs)
            ask = lambda: (trained(part, first, None, "calibrate"), second)  # noqa: E731
        calibration = self._calibration(ask)
        encoder = self._fit_encoder(data)
        network = trained(encoder, self._padded(encoder, data, classes), None, "fit")
        return {"epochs_": epochs, "encoder_": encoder, "network_": network, **calibration}

    def read(self, X: Any, y: Any = None, times: Any = None, *, labelled: bool = True, words: bool = False) -> Labelled:
        """Sequences in the form that all tasks share. labelled: whether they must have labels; words: whether a table
        must hold words."""
        raise NotImplementedError

    def classes_of(self, data: Labelled) -> np.ndarray:
        """All labels that occur, sorted. Raises CeldaError where there is but one."""
        classes = self._find_classes(data)
        if len(classes) < 2:
            raise CeldaError(
                f"{data.name} holds only one class, {classes[0]!s}: at least two classes are needed to tell apart."
            )
        return classes

    def _find_classes(self, data: Labelled) -> np.ndarray:
        raise NotImplementedError

    def _targets(self, data: Labelled, classes: np.ndarray) -> Any:
        """The places of the labels among the classes. Raises CeldaError where one is not among them."""
        raise NotImplementedError

    def _class_weights(self, data: Labelled, classes: np.ndarray) -> Tensor | None:
        """What an error weighs with each class."""
        raise NotImplementedError

    def _hold_out(self, data: Labelled, share: float, chance: np.random.Generator) -> np.ndarray:
        """The indices of the validation part."""
        raise NotImplementedError

    def _padded(self, encoder: Encoder, data: Labelled, classes: np.ndarray) -> Padded:
        """Samples with targets."""
        raise NotImplementedError

    def _network(self, reader: Reader, classes: int, dropout: float) -> nn.Module:
        raise NotImplementedError

    def _loss(self, weights: Tensor | None) -> Callable[[nn.Module, Any], Tensor]:
        raise NotImplementedError

    def _asked(self, word_col: str, labelled: bool, words: bool) -> Asked:
        """How a file or a table is read with these options."""
        return Asked(
            word_col=word_col,
            label_col=self.label_col,
            id_col=self.id_col,
            time_col=self.time_col,
            missing=self.missing == "mask",
            labelled=labelled,
            words=words,
        )

    def _remember(self, X: Any, y: Any, data: Labelled) -> None:
        """Keep of what was learnt from what is asked for later."""
        raise NotImplementedError

    def _read(self, X: Any, y: Any = None, times: Any = None, *, labelled: bool = False) -> Labelled:
        """Sequences in the form that the model was fitted on, their labels in the terms of its classes.

        Raises CeldaError where they cannot be brought to it.
        """
        check_fitted(self)
        return self._in_form(self.options_.read(X, y, times, labelled=labelled, words=self._holds_words), labelled)

    @property
    def _holds_words(self) -> bool:
        """Whether the model has learnt from words."""
        return self._form.kind != "series"

    def _in_form(self, data: Labelled, labelled: bool) -> Labelled:
        data = data.in_form(self._form)
        if labelled:
            data = replace(data, labels=self._in_terms(data.labels))
            self._targets(data, self.classes_)
        return data

    def _in_terms(self, labels: Any) -> Any:
        """Labels that are written as the classes are, as those."""
        raise NotImplementedError

    def table(self, X: Any, *, times: Any = None) -> pd.DataFrame:
        """What `predict` says, as a table."""
        raise NotImplementedError

    def _kept(self) -> dict[str, Any]:
        """What of a fit is saved beside network, encoder and classes, as JSON can hold it."""
        raise NotImplementedError

    def _take_up(self, kept: dict[str, Any]) -> None:
        """Take up what `_kept` gave."""
        raise NotImplementedError

    def _facts(self) -> list[tuple[str, str]]:
        """Rows of the model card."""
        raise NotImplementedError

    def _calibration(self, ask: Callable[[], tuple[nn.Module, Padded]] | None) -> dict[str, Any]:
        """What is learnt from the validation part besides the number of epochs: fitted attributes by name.

        ask: trains for that many epochs without the validation part; the network, and that part. None: there is none.
        """
        return {}

    def _check_times(self, times: Any, data: Labelled) -> None:
        """Raise CeldaError where `times`, which were given, are of no use."""
        if times is not None and data.kind != "series":
            raise CeldaError("times= are of the steps of series, and these are texts or words: leave them out.")
        if times is not None and self.missing != "mask":
            raise CeldaError("times= tells how long ago a value was seen, which needs missing='mask': write that too.")

    def build_network(self, encoder: Encoder, classes: int) -> nn.Module:
        """A network with fresh weights."""
        with torch.random.fork_rng(devices=()):  # the caller's random numbers are not ours to move
            torch.default_generator.manual_seed(self.seed)
            return self._network(self._reader(encoder), classes, self._rate(encoder))

    def _reader(self, encoder: Encoder) -> Reader:
        if isinstance(encoder, SeriesEncoder):
            return ReadSeries(encoder.features, masks=encoder.masks, noise=self.noise)
        sizes = [len(table) for table in encoder.vocabularies.values()]
        widths = [self.embedding_size, *[_VIEW_WIDTH] * (len(sizes) - 1)]
        return ReadWords(sizes, widths, dropout=self._rate(encoder) / 2, word_dropout=self.word_dropout)

    def _rate(self, encoder: Encoder) -> float:
        """The dropout that was given, or what is usual with such data."""
        usual = _DROPOUT if isinstance(encoder, SeriesEncoder) else self.DROPOUT
        return usual if self.dropout is None else float(self.dropout)

    def _fit_encoder(self, data: Labelled) -> Encoder:
        if data.kind == "series":
            return SeriesEncoder.fit(data.inputs, data.times, self.missing == "mask")
        return WordEncoder.fit(
            self._words(data),
            self.VIEWS,
            min_count=self.min_count,
            max_length=getattr(self, "max_length", None),
            bag=getattr(self, "wide", False),
        )

    def _words(self, data: Labelled) -> Any:
        return data.inputs

    def _encode(self, encoder: Encoder, data: Labelled) -> list[dict[str, Tensor]]:
        if isinstance(encoder, SeriesEncoder):
            return encoder.encode(data.inputs, data.times)
        return encoder.encode(self._words(data))

    def _batches(self, data: Labelled) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
        """The indices and the batch of a few hundred sequences at a time, about equally long."""
        padded = Padded(self._encode(self.encoder_, data))
        device = next(self.network_.parameters()).device
        for indices in padded.by_length(_BATCH):
            yield indices, {name: value.to(device) for name, value in padded.__getitems__(indices.tolist()).items()}

    def _balance(self, targets: np.ndarray, classes: np.ndarray) -> Tensor | None:
        if self.class_weight is None:
            return None
        try:
            found = compute_class_weight(self.class_weight, classes=classes, y=targets)
        except ValueError as error:
            raise CeldaError(f"class_weight={self.class_weight!r} cannot be used: {error}") from error
        return torch.tensor(found, dtype=torch.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory that `celda.load` reads; a model that stands there is replaced.

        Raises CeldaError where something else stands there.
        """
        from celda.tasks.sequences.saved import save

        check_fitted(self)
        save(self, Path(directory))
