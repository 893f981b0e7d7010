"""The accelerator of a training: which device, which precision, how many processes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from celda.errors import CeldaError

logging.getLogger("accelerate").setLevel(logging.ERROR)  # its warnings are about clusters, not about this training


def check_device(device: str) -> None:
    """Raise CeldaError where this machine has not the device that is asked for, as in `TrainingConfig.device`."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device not in ("auto", "cpu", there := "cpu" if found is None else found.type):
        raise _absent(device, there)


def _absent(device: str, there: str) -> CeldaError:
    return CeldaError(f"device={device!r} was asked for, but torch finds only {there!r} here: write device='auto'.")


@contextmanager
def accelerator_for(device: str, precision: str) -> Iterator[Accelerator]:
    """An Accelerator for `TrainingConfig.device` and `.precision`, for the time of the block.

    accelerate keeps one state a process and refuses a second precision or device. So ours is made in the place of one
    that the user may have, which is put back at the end. Raises CeldaError where this machine has not what is asked.
    """
    states = [kind._shared_state for kind in (PartialState, AcceleratorState, GradientState)]
    former = [dict(state) for state in states]
    for state in states:
        state.clear()
    try:
        yield _make(device, precision)
    finally:
        for state, before in zip(states, former, strict=True):
            state.clear()
            state.update(before)


def _make(device: str, precision: str) -> Accelerator:
    cpu = device == "cpu" or not torch.accelerator.is_available()
    try:
        accelerator = Accelerator(cpu=cpu, mixed_precision=precision)
    except ValueError as error:
        raise CeldaError(f"precision={precision!r} cannot be used here ({error}): write precision='no'.") from error
    found = accelerator.device.type
    if device not in ("auto", found):  # whoever chose otherwise: accelerate heeds variables of the environment
        raise _absent(device, found)
    if precision == "fp16" and found == "cpu":
        raise CeldaError("precision='fp16' needs a GPU, and there is none here: write precision='bf16' or 'no'.")
    return accelerator
