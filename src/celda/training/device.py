"""The accelerator of a training: which device, which precision, how many processes."""

import logging

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized

from celda.errors import CeldaError

logging.getLogger("accelerate").setLevel(logging.ERROR)  # its warnings are about clusters, not about this training


def make_accelerator(device: str, precision: str) -> Accelerator:
    """An Accelerator for `TrainingConfig.device` and `.precision`. Raises CeldaError where this machine has it not."""
    cpu = device == "cpu" or not torch.accelerator.is_available()
    # accelerate keeps one state a process and refuses a second precision or device: then start from a clean one.
    if not is_initialized() or _state() != (precision, cpu):
        AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(cpu=cpu, mixed_precision=precision)
    except ValueError as error:
        raise CeldaError(f"precision={precision!r} cannot be used here ({error}): write precision='no'.") from error
    found = accelerator.device.type
    if device not in ("auto", found):
        raise CeldaError(f"device={device!r} was asked for, but torch finds only {found!r} here: write device='auto'.")
    if precision == "fp16" and found == "cpu":
        raise CeldaError("precision='fp16' needs a GPU, and there is none here: write precision='bf16' or 'no'.")
    return accelerator


def _state() -> tuple[str, bool]:
    state = AcceleratorState()
    return state.mixed_precision, state.device.type == "cpu"
