"""Drop-in replacements for torch.nn's recurrent layers: the same arguments, weights, numbers and state_dict."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from celda.checks import suggesting
from celda.errors import CeldaError
from celda.layers.recurrent import ELSEWHERE, Recurrent, State

_FURTHER = [*inspect.signature(Recurrent.__init__).parameters][2:]


class _DropIn(Recurrent):
    """What torch.nn's layers have besides."""

    mode: str

    def forward(  # type: ignore[override]  # torch's names, which may be given by name
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
        **unknown: Any,
    ) -> tuple[Any, State]:
        """Run over a batch: `input` and `hx` as `torch.nn` has them, `lengths` and `resets` as `Recurrent`."""
        return super().forward(input, hx, lengths=lengths, resets=resets, **unknown)  # which says what was meant

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights are never copied into one buffer."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [[getattr(self, mine) for mine in names.values()] for names in self._names]


class LSTM(_DropIn):
    """`torch.nn.LSTM`, argument for argument; see `Recurrent` for what it can do besides, by name: `options`."""

    mode = "LSTM"

    @suggesting(_FURTHER, ELSEWHERE)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        super().__init__("lstm", *sizes, device=device, dtype=dtype, **options)


class GRU(_DropIn):
    """`torch.nn.GRU`, argument for argument; see `Recurrent` for what it can do besides, by name: `options`."""

    mode = "GRU"

    @suggesting(_FURTHER, ELSEWHERE)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__("gru", *sizes, device=device, dtype=dtype, **options)


class RNN(_DropIn):
    """`torch.nn.RNN`, argument for argument (`nonlinearity` "tanh" or "relu"); `options` as `Recurrent` takes them."""

    @suggesting(_FURTHER, ELSEWHERE)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise CeldaError(f"nonlinearity={nonlinearity!r} is unknown: write 'tanh' or 'relu'.")
        cell = "rnn" if nonlinearity == "tanh" else "rnn_relu"
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(cell, *sizes, device=device, dtype=dtype, **options)
        self.nonlinearity, self.mode = nonlinearity, f"RNN_{nonlinearity.upper()}"
