"""The language model: learnt from a text, it foretells the next token, and so writes and scores texts."""

from __future__ import annotations

import hashlib
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from celda import cells, training
from celda.checks import options_of, suggesting
from celda.data import StreamChunks, Text, Tokens
from celda.data.vocabulary import KINDS, Vocabulary
from celda.errors import CeldaError
from celda.files import delete
from celda.language import Cell
from celda.models import LanguageNetwork
from celda.models.language import next_token_loss
from celda.tasks.language import saved
from celda.tasks.language.baselines import baselines
from celda.tasks.language.notes import of_score, of_training
from celda.tasks.language.options import (
    Parts,
    check_long_enough,
    check_options,
    default_epochs,
    embedding_size,
    is_tied,
    training_config,
)
from celda.tasks.language.sampler import Sampler
from celda.tasks.language.scores import Score, score, table
from celda.tasks.options import check_count, check_fitted, settled, to_plain

Source = str | Path | Text
_STREAM = 2_000  # tokens of a stream of the validation part, at least


class LanguageModel(BaseEstimator):
    """A recurrent language model of characters, words or subwords.

    It has the manners of scikit-learn. A text is a string, or the path of a file; a string of one line that is the name
    of a file stands for that file. The text is kept as it is, in any language and alphabet.

    Args:
        tokenizer: what the text is taken apart into: "character", "word" or "subword" (byte-pair encoding, which needs
            the package `tokenizers`).
        vocab_size: how many different tokens, the most frequent ones, the others being unknown; by default all
            characters, 10,000 words or 4,000 subwords.
        cell: the recurrent cell: a name (`celda.cells.CELLS`), or a cell of your own.
        hidden_size, num_layers: of the recurrent layers.
        embedding_size: numbers that stand for a token; by default 128 for a character, else as many as hidden units.
        tied: whether the embedding is the matrix of the scores, too; by default for words and subwords.
        dropout: between layers. recurrent_dropout: of what recurrent matrices multiply, one mask a chunk. weight_drop:
            of weights of recurrent matrices. embedding_dropout: of whole tokens. input_dropout, output_dropout: of what
            enters the first layer and leaves the last.
        optimizer: "adam" (AdamW along one cycle of the learning rate), or "asgd" (averaged gradient descent at a
            constant rate, NT-ASGD, of Merity, Keskar & Socher 2018).
        learning_rate: the highest; by default 0.003 with "adam" and 30 with "asgd". weight_decay: L2. clip_norm: the
            largest norm of a gradient.
        batch_size: the parallel streams that the text is laid out as. steps: tokens of a chunk, which gradients go back
            through (truncated backpropagation through time); the state goes on from chunk to chunk.
        epochs: how often the text is gone through; by default so often that 10 million tokens are, 50 times at most.
        val_size, test_size: shares of the text, at its end, that the best epoch is chosen on, and that is tested on.
        encoding: of text files. seed: of all random numbers. device: "auto", "cpu", "cuda" or "mps".

    Attributes, once fitted:
        options_: a copy of these options as they were then. vocabulary_: the tokens. network_: the network, which has
            the weights of the epoch `epochs_`. history_: the `History` of the training.
        scores_: the loss (nats a token), perplexity and bits a character on the test part, beside n-gram baselines.
        notes_: what the last call of a method noticed.
    """

    @suggesting()
    def __init__(
        self,
        tokenizer: Literal["character", "word", "subword"] = "character",
        *,
        vocab_size: int | None = None,
        cell: str | Cell = "lstm",
        hidden_size: int = 512,
        num_layers: int = 1,
        embedding_size: int | None = None,
        tied: bool | None = None,
        dropout: float = 0.2,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.2,
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.1,
        output_dropout: float = 0.3,
        optimizer: Literal["adam", "asgd"] = "adam",
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        clip_norm: float = 1.0,
        batch_size: int = 32,
        steps: int = 100,
        epochs: int | None = None,
        val_size: float = 0.05,
        test_size: float = 0.05,
        encoding: str = "utf-8",
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    ) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding_size = embedding_size
        self.tied = tied
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.weight_drop = weight_drop
        self.embedding_dropout = embedding_dropout
        self.input_dropout = input_dropout
        self.output_dropout = output_dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.steps = steps
        self.epochs = epochs
        self.val_size = val_size
        self.test_size = test_size
        self.encoding = encoding
        self.seed = seed
        self.device = device

    def read(self, source: Source) -> Text:
        """The text that a user gave, where it can be learnt from with these options.

        Raises CeldaError, in one line, for an option or a text that cannot be used.
        """
        check_options(self)
        text = Text.of(source, self.encoding)
        if self.tokenizer == "character":  # of others it is only known how many tokens there are when they are made
            parts = Parts.of(self, text.length)
            sizes = parts.train, parts.valid - parts.train, parts.length - parts.valid
            check_long_enough(self, sizes, "characters", text.name)
        return text

    @suggesting(elsewhere=options_of("LanguageModel", __init__))
    def fit(
        self,
        source: Source,
        y: object = None,
        *,
        run: str | Path | None = None,
        resume: bool = False,
        quiet: bool = True,
    ) -> Self:
        """Learn from a text, choose the best epoch on its validation part, and score its test part; `y` is ignored.

        The vocabulary is that of the training part. With a folder `run` the training keeps its checkpoint and metrics
        there, and `resume=True` goes on from them to the very same weights. However long the text is, memory holds a
        block of it: its tokens go to a file beside the run, or among the temporary files, until the end.

        Raises CeldaError where an option or the text cannot be used, and KeyboardInterrupt after Ctrl-C, when the
        checkpoint is written.
        """
        text = self.read(source)
        options: Self = settled(self)
        parts = Parts.of(options, text.length)
        vocabulary = KINDS[options.tokenizer].fit(
            text.blocks(0, parts.train), options.vocab_size or KINDS[options.tokenizer].default_size
        )
        bounds = {"train": (0, parts.train), "valid": (parts.train, parts.valid), "test": (parts.valid, parts.length)}
        with _folder(run) as folder:
            train, valid, test = (
                Tokens.write(folder / name, text.blocks(*ends), vocabulary) for name, ends in bounds.items()
            )
            check_long_enough(options, (train.count, valid.count, test.count), "tokens", text.name)
            epochs = options.epochs or default_epochs(train.count)
            network = build_network(options, vocabulary)
            history = training.fit(
                training.Carried(network, network.start(options.batch_size)),
                _loss,
                StreamChunks(train, options.batch_size, options.steps),
                StreamChunks(valid, max(1, min(options.batch_size, valid.count // _STREAM)), options.steps),
                training_config(options, epochs),
                run=run,
                identity=_identity(options, vocabulary, train, valid),
                resume=resume,
                quiet=quiet,
            )
            if history.interrupted:
                raise KeyboardInterrupt(history.signal or signal.SIGINT)
            found = score(network, test)
            scores = {cells.find(options.cell).name: found, **baselines(train, valid, test, vocabulary.size)}
            told = of_training(options, vocabulary, train, history, epochs)
        self.options_, self.vocabulary_, self.network_ = options, vocabulary, network
        self.history_, self.epochs_, self.scores_ = history, history.best_epoch or epochs, table(scores)
        self.tested_, self.notes_ = test.characters, (*of_score(self.scores_, test), *told)
        return self

    def evaluate(self, source: Source) -> pd.DataFrame:
        """How well the model foretells a text: a row with the loss (nats a token), perplexity and bits a character.

        What the model does not know counts as one unknown token, and `notes_` says how much of it there is.
        """
        found, tokens = self._score(source)
        scores = table({cells.find(self.options_.cell).name: found})
        self.notes_ = tuple(of_score(scores, tokens))
        return scores

    def score(self, source: Source, y: object = None) -> float:
        """The mean log-likelihood of a text in nats a token: more is better, 0 the most; `y` is ignored."""
        return -self._score(source)[0].loss

    def perplexity(self, source: Source) -> float:
        """Among how many tokens, equally likely, the next one of a text would be as uncertain, in the mean."""
        return self._score(source)[0].perplexity

    def bits_per_character(self, source: Source) -> float:
        """The bits that a text takes, a character in the mean; models of different tokens can be compared by them."""
        return self._score(source)[0].bits_per_character

    def sampler(
        self,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Sampler:
        """A `Sampler`, which writes on and on, and whose state can be saved and restored."""
        check_fitted(self)
        return Sampler(self.network_, self.vocabulary_, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)

    def sample(
        self,
        prime: str = "",
        length: int = 400,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """Write `length` characters that go on from `prime`, which is not returned; see `Sampler` for the others."""
        sampler = self.sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
        sampler.read(prime)
        return "".join(sampler.write(length))

    def predict(self, prime: str, most: int = 10) -> pd.DataFrame:
        """The likeliest tokens to come after `prime`: `token` and `probability`, `most` rows."""
        check_fitted(self)
        check_count("most", most)
        sampler = self.sampler()
        sampler.read(prime)
        likely = sampler.probabilities().cpu().topk(min(most, self.vocabulary_.size))
        tokens = [self.vocabulary_.decode([one]) for one in likely.indices.tolist()]
        return pd.DataFrame({"token": tokens, "probability": likely.values.tolist()})

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory that `celda.load` reads; a model that stands there is replaced.

        Raises CeldaError where something else stands there.
        """
        check_fitted(self)
        saved.save(self, Path(directory))

    def _score(self, source: Source) -> tuple[Score, Tokens]:
        check_fitted(self)
        text = Text.of(source, self.encoding)
        with _folder(None) as folder:
            tokens = Tokens.write(folder / "text", text.blocks(), self.vocabulary_)
            if tokens.count < 2:
                raise CeldaError(f"{text.name} is one token, which nothing foretells: give a longer text.")
            return score(self.network_, tokens), tokens


def build_network(options: LanguageModel, vocabulary: Vocabulary) -> LanguageNetwork:
    """A network with fresh weights."""
    with torch.random.fork_rng(devices=()):  # the caller's random numbers are not ours to move
        torch.default_generator.manual_seed(options.seed)
        return LanguageNetwork(
            options.cell,
            vocabulary.size,
            embedding_size=embedding_size(options),
            hidden_size=options.hidden_size,
            num_layers=options.num_layers,
            tied=is_tied(options),
            dropout=options.dropout,
            recurrent_dropout=options.recurrent_dropout,
            weight_drop=options.weight_drop,
            embedding_dropout=options.embedding_dropout,
            input_dropout=options.input_dropout,
            output_dropout=options.output_dropout,
        )


def _loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    return next_token_loss(model(batch["x"], batch["start"]), batch["y"])


def _identity(options: LanguageModel, vocabulary: Vocabulary, train: Tokens, valid: Tokens) -> dict[str, Any]:
    """What a training that is resumed must have in common with the one that began."""
    plain = {name: value for name, value in to_plain(options).items() if name != "device"}
    made_of = hashlib.sha256(f"{vocabulary.to_json()} {train.sha256} {valid.sha256}".encode())
    equations = cells.find(options.cell).equations()
    return {**plain, "equations": equations, "data": f"a text {made_of.hexdigest()[:12]}"}


@contextmanager
def _folder(run: str | Path | None) -> Iterator[Path]:
    """A folder for tokens, beside a run's files where there is a run: it may be as large as the text."""
    if run is not None:
        Path(run).mkdir(parents=True, exist_ok=True)
        for left in Path(run).glob(".tokens.*.aside"):  # by a process that was killed
            delete(left)
    with tempfile.TemporaryDirectory(prefix=".tokens.", suffix=".aside", dir=run) as folder:
        yield Path(folder)
