"""What the library says in Python's words, said in those of the command line."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import shlex
from collections.abc import Callable, Collection
from typing import ParamSpec

from celda.errors import CeldaError

P = ParamSpec("P")

_NAMES = (
    *("h", "input_size", "cell", "hidden_size", "num_layers", "dropout", "loss", "level", "calibrate", "scaler"),
    *("season", "learning_rate", "batch_size", "weight_decay", "epochs", "val_size", "seed", "device"),
    *("id_col", "time_col", "target_col", "freq", "past", "future", "static", "test_size", "overwrite"),
    *("tokenizer", "vocab_size", "encoding", "embedding_size", "tied", "recurrent_dropout", "weight_drop", "steps"),
    *("embedding_dropout", "input_dropout", "output_dropout", "optimizer", "clip_norm"),
    *("length", "temperature", "top_k", "top_p"),
    *("text_col", "token_col", "label_col", "bidirectional", "pooling", "crf", "word_dropout"),
    *("min_count", "max_length", "wide", "noise", "missing", "class_weight", "validation", "test"),
    *("step", "cells", "seeds"),
)
# How Python's arguments are called on the command line: its options are those of `celda train` and `celda sample`.
OPTIONS = {name: "--" + name.replace("_", "-") for name in _NAMES} | {"future_df": "--future-data"}
# Those that are no words of English, and so are meant where they stand without a value, too.
_PLAIN = [name for name in OPTIONS if "_" in name or name in ("h", "freq")]
_VALUE = r"'[^']*'|\"[^\"]*\"|\([^()]*\)|\[[^][]*\]|[-\w.]*\w"
_SAID = re.compile(
    rf"(?<![\w.'\"/=-])(?:(?P<given>{'|'.join(OPTIONS)})=(?P<value>{_VALUE})"
    rf"|(?P<plain>{'|'.join(_PLAIN)})(?![\w'\"/=-]|\.\w))"
)


def spoken(message: str, here: Collection[str] = tuple(OPTIONS.values())) -> str:
    """A message of the library with the options of the command line; one that is not `here` is told where it is."""

    def option(said: re.Match[str]) -> str:
        words = OPTIONS[said["given"] or said["plain"]]
        elsewhere = "" if words in here else " (of celda train)"
        if said["value"] is not None:
            words = _with_value(words, said["value"])
        return words + elsewhere

    return _SAID.sub(option, message)


def in_its_words(command: Callable[P, None]) -> Callable[P, None]:
    """The command, whose errors name its options as they are written there."""
    here = {"--" + name.replace("_", "-") for name in inspect.signature(command).parameters}

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CeldaError as error:
            raise CeldaError(spoken(str(error), here)) from error

    return run


def _with_value(option: str, text: str) -> str:
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if value is True:
        return option
    if value is False or value is None:
        return option.replace("--", "--no-", 1) if value is False else f"no {option}"
    items = value if isinstance(value, tuple | list) else [value]
    return " ".join(f"{option} {shlex.quote(str(item))}" for item in items)
