"""What lies past the ends of sequences, out of the way of engines that compute there and drop what comes out."""

from __future__ import annotations

from dataclasses import replace

import torch

from celda.engines.call import Call


def without_padding(call: Call) -> Call:
    """The call with each sequence's last inputs in the place of what lies past its end.

    What is computed there is dropped, but a NaN in it would come back in the gradients, as 0 times NaN.
    """
    if call.lengths is None:
        return call
    steps = call.inputs[call.cell.inputs[0]].shape[0]
    last = (call.lengths - 1).clamp(min=0)
    index = torch.minimum(torch.arange(steps, device=last.device).unsqueeze(1), last).unsqueeze(-1)
    some = (call.lengths > 0).unsqueeze(-1)
    inputs = {}
    for name, value in call.inputs.items():
        within = value.gather(0, index.expand(-1, -1, value.shape[-1])) if value.shape[0] == steps else value
        inputs[name] = torch.where(some, within, torch.zeros_like(within))
    return replace(call, inputs=inputs)
