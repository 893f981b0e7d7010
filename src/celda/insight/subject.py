"""What a task tells about a trained model, so that it can be explained: insight itself knows no task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor, nn


class Signal(Protocol):
    """What the steps of a sequence mean to its reader, as a line: `values` (n,) at the places `at` (n,), in steps."""

    @property
    def name(self) -> str: ...
    @property
    def at(self) -> np.ndarray: ...
    @property
    def values(self) -> np.ndarray: ...


class Part(Protocol):
    """A recurrent layer of the network, as the reader knows it; `layer` is its name among the network's modules.

    `title`: "Reading the window". `step`: what one step is, "6 hours" or "a character". `labels`: of the T steps of
    the sequence that is shown, the last one: time stamps, or texts. `columns` (I,): the names of what enters a step.
    `targets`: what units may follow, (T, B) each, of numbers or yes and no. `signal`: drawn above the gates.
    """

    @property
    def layer(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def labels(self) -> Sequence[object]: ...
    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def targets(self) -> Mapping[str, np.ndarray]: ...
    @property
    def signal(self) -> Signal | None: ...


class Question(Protocol):
    """An output of the network to be traced back to its input by integrated gradients.

    `output` maps inputs like `x` (1, L, ...) to one number a sequence. `words`: what that number is, "the mean of the
    forecast"; `baseline_words`: what `baseline` stands for, "a flat window". `labels`, `series` (L,): of the input's
    steps; `series` is drawn, and None where they are no numbers. `unit`: by how much one of the output is in the
    reader's unit; `unit_words`: what that is, "in the unit of load".
    """

    @property
    def words(self) -> str: ...
    @property
    def baseline_words(self) -> str: ...
    @property
    def x(self) -> Tensor: ...
    @property
    def baseline(self) -> Tensor: ...
    @property
    def labels(self) -> Sequence[object]: ...
    @property
    def series(self) -> np.ndarray | None: ...
    @property
    def unit(self) -> float: ...
    @property
    def unit_words(self) -> str: ...
    def output(self, x: Tensor) -> Tensor:
        """From (B, L, ...) to (B,)."""


class Subject(Protocol):
    """A trained network and sequences to look at it with, in the order of time; the last of them is shown.

    `title`, `facts`: what it is, for the head of a report. `parts`: its recurrent layers in the order in which `run`,
    a pass over all sequences, calls them; the first is looked at most closely. `question`: None where there is none.
    """

    @property
    def title(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, str]: ...
    @property
    def network(self) -> nn.Module: ...
    @property
    def parts(self) -> Sequence[Part]: ...
    @property
    def question(self) -> Question | None: ...
    def run(self) -> object:
        """Run the network over all sequences, without a word about modes or gradients."""
