"""The random numbers of a training: where they start, and where they stand."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside the block the random numbers of Python, NumPy (the global generator) and torch (CPU and `device`) start
    from `seed`; after it they go on from where they stood before.
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    other = None if device.type == "cpu" else torch.get_device_module(device)
    there = other.get_rng_state() if other else None
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        if other:
            other.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if other:
            other.set_rng_state(there)


def generator_states(accelerator: Accelerator) -> dict[str, Tensor]:
    """The states of torch's generators, uint8 (processes, length): the CPU's and, on another device, that one's."""
    states = {"cpu": torch.get_rng_state()}
    if accelerator.device.type != "cpu":
        states["device"] = torch.get_device_module(accelerator.device).get_rng_state()
    return {
        name: accelerator.gather(state.to(accelerator.device)[None]).cpu().reshape(accelerator.num_processes, -1)
        for name, state in states.items()
    }


def load_generator_states(accelerator: Accelerator, states: Mapping[str, Tensor]) -> None:
    """Put back what `generator_states` gave, each process its own; a device that is not here is left out."""
    # Cloned, because torch.set_rng_state reads from the beginning of the storage, whatever the row.
    mine = {name: state[accelerator.process_index].clone() for name, state in states.items()}
    torch.set_rng_state(mine["cpu"])
    if accelerator.device.type != "cpu" and "device" in mine:
        torch.get_device_module(accelerator.device).set_rng_state(mine["device"])
