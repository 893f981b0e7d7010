"""The options of a language model, met at the door, and what is derived from the text where they are None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celda.checks import whole_number
from celda.data.vocabulary import KINDS
from celda.errors import CeldaError
from celda.tasks.options import NUMBER, check_cell, check_count, check_probability
from celda.training import TrainingConfig

_COUNTS = ("hidden_size", "num_layers", "batch_size", "steps", "embedding_size", "epochs")
_DROPOUTS = ("dropout", "recurrent_dropout", "weight_drop", "embedding_dropout", "input_dropout", "output_dropout")
_TOKENS = 10_000_000  # to learn from in all, the text gone through again and again
_MOST_EPOCHS = 50
_EMBEDDING = 128  # numbers of a character; a word has as many as there are hidden units, to be tied
_PATIENCE = 5  # epochs without a better validation loss before weights are averaged: Merity et al.'s
_RATES = {"adam": 3e-3, "asgd": 30.0}  # of AdamW; and Merity et al.'s


@dataclass(frozen=True)
class Parts:
    """Where the training, the validation and the test part of a text of `length` characters end, by position."""

    train: int
    valid: int
    length: int

    @classmethod
    def of(cls, options: Any, length: int) -> Parts:
        """Split a text as a model's options say."""
        test, valid = round(length * options.test_size), round(length * options.val_size)
        return cls(length - test - valid, length - test, length)


def check_options(model: Any) -> None:
    """Raise CeldaError, in one line, for an option that cannot be used whatever the text."""
    given = model.get_params(deep=False)
    for name in _COUNTS:
        if given[name] is not None:
            check_count(name, given[name])
    if given["vocab_size"] is not None and whole_number(given["vocab_size"], 2) is None:
        raise CeldaError(f"vocab_size={given['vocab_size']!r} cannot be used: it is a whole number of at least 2.")
    for name in _DROPOUTS:
        check_probability(name, given[name])
    check_cell(given["cell"], "a text")
    for name, known in (("tokenizer", KINDS), ("optimizer", _RATES)):
        if given[name] not in known:
            raise CeldaError(f"There is no {name} {given[name]!r}: write one of {', '.join(map(repr, known))}.")
    for name in ("val_size", "test_size"):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, NUMBER) or not 0 < value < 0.5:
            raise CeldaError(f"{name}={value!r} is no share of the text below a half: write for example {name}=0.05.")
    if whole_number(given["seed"], 0) is None:  # what the training would take for one, "1" or 1.0, others do not
        raise CeldaError(f"seed={given['seed']!r} cannot be used: it is a whole number of at least 0.")
    training_config(model, 1)


def check_long_enough(options: Any, parts: tuple[int, int, int], unit: str, name: str) -> None:
    """Raise CeldaError where the three parts, so many tokens or characters, cannot be learnt from and tested on."""
    train, *held_out = parts
    needed = options.batch_size * options.steps + 1
    if train < needed:
        raise CeldaError(
            f"{name} is too short: {train:,} {unit} are left to learn from, and {needed:,} are needed, with "
            f"batch_size={options.batch_size} and steps={options.steps}: give a longer text, or write smaller ones."
        )
    for size, option in zip(held_out, ("val_size", "test_size"), strict=True):
        if size < 2:
            raise CeldaError(
                f"{name} is too short: {option}={getattr(options, option)} of it leaves {size} {unit}, and at least "
                f"2 are needed: give a longer text, or write a larger {option}."
            )


def training_config(options: Any, epochs: int) -> TrainingConfig:
    """How a model of these options is trained: AdamW with one cycle, or NT-ASGD (Merity, Keskar & Socher 2018)."""
    averaged = options.optimizer == "asgd"
    rate = _RATES[options.optimizer] if options.learning_rate is None else options.learning_rate
    return TrainingConfig(
        epochs=epochs,
        batch_size=1,  # a chunk of all streams
        shuffle=False,
        optimizer="sgd" if averaged else "adamw",
        averaging=_PATIENCE if averaged else None,
        learning_rate=rate,
        schedule="constant" if averaged else "one_cycle",
        warmup=0.0 if averaged else 0.1,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm,
        seed=options.seed,
        device=options.device,
        checkpoint_every=500,
    )


def default_epochs(tokens: int) -> int:
    """As many as make about 10 million tokens to learn from, 50 at most."""
    return max(1, min(_MOST_EPOCHS, round(_TOKENS / tokens)))


def embedding_size(options: Any) -> int:
    """The width of an embedding: given, or 128 for a character and else the hidden size."""
    if options.embedding_size is not None:
        return int(options.embedding_size)
    return _EMBEDDING if options.tokenizer == "character" else int(options.hidden_size)


def is_tied(options: Any) -> bool:
    """Whether the embedding is the matrix of the scores: as said, or for words and subwords, which have many."""
    return options.tokenizer != "character" if options.tied is None else bool(options.tied)
