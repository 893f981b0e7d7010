"""What every engine is given and gives back: one layer and direction of a cell over a whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from celda.language import Cell


@dataclass(frozen=True)
class Call:
    """One run of a cell over a sequence.

    Shapes: `inputs` holds the cell's input as (T, B, width) under its name, each further input as that or, constant
    over time, as (1, B, width), and likewise, H wide, each of the cell's masks, bool, and of the states of the layer
    below; `states` one (B, H) tensor a state; `weights` what `cell.weights` names, biases only where the layer has them
    and recurrent matrices whole, and what `cell.constants` names. `lengths` (B,) int: from that step on a sequence has
    ended: its states stay, its output is zero, and its inputs may be anything, NaN too, without a trace in results or
    gradients. `resets` (T, B) bool, False past a sequence's end: a sequence starts anew at that step, with zero states.
    `reverse` runs from the last step to the first; a reset then parts the same two steps. `start` is the value of
    `time()` at the first step. `keep` names the gates and states whose values are wanted at every step; gradients go
    through those of states. With `bfloat16`, matrices and what they multiply may be rounded to it; sums and all else
    are float32, as the tensors.
    """

    cell: Cell
    inputs: Mapping[str, Tensor]
    states: tuple[Tensor, ...]
    weights: Mapping[str, Tensor]
    lengths: Tensor | None = None
    resets: Tensor | None = None
    reverse: bool = False
    start: int = 0
    keep: tuple[str, ...] = ()
    bfloat16: bool = False


@dataclass(frozen=True)
class Result:
    """`output` (T, B, H), the states after the last step, each (B, H), and what was kept, each (T, B, H)."""

    output: Tensor
    states: tuple[Tensor, ...]
    kept: Mapping[str, Tensor] = field(default_factory=dict)


Engine = Callable[[Call], Result]
