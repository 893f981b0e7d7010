"""What is said below the scores of a language model, a sentence or two each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from celda.data import Tokens, Vocabulary
from celda.training import History

if TYPE_CHECKING:
    from celda.tasks.language.model import LanguageModel

READING = (
    "Lower is better. The loss is in nats a token; a perplexity of 4 means as uncertain as among 4 equally likely "
    "tokens; bits-per-character can be compared between models of characters, words and subwords."
)


def of_score(scores: pd.DataFrame, tokens: Tokens) -> list[str]:
    """How to read the scores, what of the text is unknown, and whether a baseline is better."""
    said = [READING]
    if tokens.unknown:
        said.append(
            f"{tokens.unknown:,} of the {tokens.count:,} tokens were not in the training text: each counts as one "
            "unknown token, which is easier to foretell than what it stands for where there are many."
        )
    model, *others = scores["loss"].items()
    if better := [f"{name} ({loss:.4g})" for name, loss in others if loss < model[1]]:
        said.append(
            f"On this text {' and '.join(better)} had a lower loss than {model[0]} ({model[1]:.4g}): counting is the "
            "better model here; a longer text or more epochs may change that."
        )
    return said


def of_training(
    options: LanguageModel, vocabulary: Vocabulary, train: Tokens, history: History, epochs: int
) -> list[str]:
    """What the model was learnt from, and which epoch was the best."""
    best = history.best_epoch or epochs
    learnt = (
        f"Learnt from {train.characters:,} characters as {train.count:,} tokens of {vocabulary.size:,} kinds "
        f"({vocabulary.kind}), the first {1 - options.val_size - options.test_size:.0%} of the text."
    )
    which = "the last" if best == epochs else f"number {best} of {epochs}"
    more = " More may help." if best == epochs else ""
    return [learnt, f"Kept the epoch with the lowest loss on the validation part, {which}.{more}"]
