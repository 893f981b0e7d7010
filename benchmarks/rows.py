"""What is measured and what is asked of it: one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from benchmarks.shapes import BATCHES, GRID, LARGE, SMALL, STREAMS, Shape


class Key(NamedTuple):
    """A contender: who does what."""

    task: str
    name: str

    def __str__(self) -> str:
        return f"{self.task}, {self.name}"


class Demand(NamedTuple):
    """Over the shapes, at least so much and preferably so much; at most, where less is better."""

    over: Literal["geometric mean", "worst shape"]
    least: float
    aim: float | None = None


@dataclass(frozen=True)
class Row:
    """One comparison over several shapes.

    Where more is better the number is how many times as fast `subject` is as the fastest of `base`; where less is
    better, how many times as long it takes. `per_flop`: times are divided by the operations of the contender first.
    `beside` is shown and does not count.
    """

    key: str
    what: str
    subject: Key
    base: tuple[Key, ...]
    shapes: tuple[Shape, ...]
    demands: tuple[Demand, ...]
    more_is_better: bool = True
    per_flop: bool = False
    percent: bool = False
    beside: tuple[Key, ...] = ()


class FirstCall(NamedTuple):
    """Seconds that the first call of a new cell takes at most, in a fresh process."""

    key: str
    what: str
    cached: bool
    least: float


CUSTOM = {"peephole": "peephole LSTM", "coupled": "coupled input-forget LSTM", "two_speed": "the README's cell"}
_LSTM = Key("lstm training", "celda")

ROWS = (
    Row(
        "lstm-train",
        "LSTM training against nn.LSTM",
        _LSTM,
        (Key("lstm training", "torch.nn"),),
        GRID,
        (Demand("geometric mean", 1.35, 1.6), Demand("worst shape", 0.95)),
    ),
    Row(
        "gru-train",
        "GRU training against nn.GRU",
        Key("gru training", "celda"),
        (Key("gru training", "torch.nn"),),
        GRID,
        (Demand("geometric mean", 2.5, 3.5),),
    ),
    Row(
        "rnn-train",
        "tanh RNN training against nn.RNN",
        Key("rnn training", "celda"),
        (Key("rnn training", "torch.nn"),),
        GRID,
        (Demand("geometric mean", 1.8, 3.0),),
    ),
    Row(
        "lstm-infer",
        "LSTM inference against the best of nn.LSTM, ONNX Runtime, OpenVINO",
        Key("lstm inference", "celda"),
        tuple(Key("lstm inference", name) for name in ("torch.nn", "ONNX Runtime", "OpenVINO")),
        GRID,
        (Demand("geometric mean", 1.1, 1.4), Demand("worst shape", 0.85)),
        beside=(Key("lstm inference", "OpenVINO's default"),),
    ),
    Row(
        "bfloat16-train",
        "LSTM training in bfloat16 against nn.LSTM",
        Key("lstm training in bfloat16", "celda"),
        (Key("lstm training in bfloat16", "torch.nn"),),
        GRID,
        (Demand("geometric mean", 1.0),),
        beside=(_LSTM,),
    ),
    Row(
        "bfloat16-infer",
        "LSTM inference in bfloat16 against the best of nn.LSTM, OpenVINO",
        Key("lstm inference in bfloat16", "celda"),
        tuple(Key("lstm inference in bfloat16", name) for name in ("torch.nn", "OpenVINO's default")),
        GRID,
        (Demand("geometric mean", 1.0),),
        beside=(Key("lstm inference", "celda"),),
    ),
    *(
        Row(
            "cells-per-flop",
            f"{what}, training time over our LSTM's per FLOP",
            Key(f"{name} training", "celda"),
            (_LSTM,),
            GRID,
            (Demand("geometric mean", 1.15),),
            more_is_better=False,
            per_flop=True,
        )
        for name, what in CUSTOM.items()
    ),
    *(
        Row(
            "cells-loop",
            f"{what}, training against a PyTorch loop",
            Key(f"{name} training", "celda"),
            (Key(f"{name} training", "PyTorch loop"),),
            SMALL,
            (Demand("geometric mean", 6.0),),
        )
        for name, what in CUSTOM.items()
    ),
    Row(
        "lstm-jax",
        "LSTM training against jax.lax.scan",
        _LSTM,
        (Key("lstm training", "JAX"), Key("lstm training", "JAX, input first")),
        GRID,
        (Demand("geometric mean", 1.7, 2.2),),
    ),
    Row(
        "stream-lstm",
        "one streaming step against nn.LSTM",
        Key("lstm step", "celda"),
        (Key("lstm step", "nn.LSTM"),),
        STREAMS,
        (Demand("worst shape", 10.0),),
    ),
    Row(
        "stream-cell",
        "one streaming step against nn.LSTMCell",
        Key("lstm step", "celda"),
        (Key("lstm step", "nn.LSTMCell"),),
        STREAMS,
        (Demand("worst shape", 4.0),),
    ),
    Row(
        "lengths",
        "LSTM training, a batch half full over the padded one",
        Key("lstm training, half full", "celda"),
        (_LSTM,),
        BATCHES,
        (Demand("geometric mean", 0.65),),
        more_is_better=False,
    ),
    Row(
        "gemm",
        "LSTM training, share of the machine's GEMM rate, large shapes",
        _LSTM,
        (Key("gemm", "oneDNN"),),
        LARGE,
        (Demand("worst shape", 0.72, 0.85),),
        per_flop=True,
        percent=True,
        beside=(Key("gemm", "torch.mm"),),
    ),
)

FIRST_CALLS = (
    FirstCall("first-call", "a new cell's first call: traced and compiled, forward and backward", False, 1.0),
    FirstCall("first-call", "a new cell's first call: from the disk cache", True, 0.05),
)

NAMES = tuple(dict.fromkeys([row.key for row in ROWS] + [row.key for row in FIRST_CALLS]))
