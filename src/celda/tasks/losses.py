"""What a forecasting network is trained to make small: a mean over the values that were observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from celda.errors import CeldaError

Loss = Callable[[nn.Module, Any], Tensor]


def pinball_loss(error: Tensor, quantiles: Tensor) -> Tensor:
    """Twice the pinball loss, so that the median alone gives the absolute error; `error` = actual - forecast."""
    return 2 * torch.maximum(quantiles * error, (quantiles - 1) * error)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "quantile": pinball_loss,
    "mae": lambda error, quantiles: error.abs(),
    "mse": lambda error, quantiles: error.square(),
}


def forecast_loss(name: str, quantiles: Sequence[float]) -> Loss:
    """The loss of that name for `celda.training.fit`, over batches of `celda.data.Windows`.

    "quantile": pinball, over all `quantiles` at once. "mae", "mse": of the point forecast, the only output then.
    """
    if name not in LOSSES:
        raise CeldaError(f"There is no loss {name!r}: write one of {', '.join(map(repr, LOSSES))}.")
    measure = LOSSES[name]

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        target, mask = batch["future_y"].unsqueeze(-1), batch["future_mask"].unsqueeze(-1)
        error = measure(target - model(batch), target.new_tensor(quantiles))
        return (error * mask).sum() / (mask.sum() * error.shape[-1])

    return loss
