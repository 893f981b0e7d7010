"""Drop-in replacements for torch.nn's recurrent layers: the same arguments, weights, numbers and state_dict."""

from __future__ import annotations

from typing import Any

from torch import nn

from celda.errors import CeldaError
from celda.layers.recurrent import Recurrent


class _DropIn(Recurrent):
    """What torch.nn's layers have besides."""

    def flatten_parameters(self) -> None:
        """Nothing to do: the weights are never copied into one buffer."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters, a list for each layer and direction."""
        return [
            [getattr(self, f"{name}_l{layer}{suffix}") for name in self._arrays(layer)]
            for layer in range(self.num_layers)
            for suffix in self._suffixes
        ]


class LSTM(_DropIn):
    """`torch.nn.LSTM`, argument for argument; see `Recurrent` for what it can do besides."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("lstm", input_size, hidden_size, *args, **kwargs)


class GRU(_DropIn):
    """`torch.nn.GRU`, argument for argument; see `Recurrent` for what it can do besides."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("gru", input_size, hidden_size, *args, **kwargs)


class RNN(_DropIn):
    """`torch.nn.RNN`, argument for argument (`nonlinearity` "tanh" or "relu"); see `Recurrent` for the rest."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise CeldaError(f"nonlinearity={nonlinearity!r} is unknown: write 'tanh' or 'relu'.")
        cell = "rnn" if nonlinearity == "tanh" else "rnn_relu"
        super().__init__(cell, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity
