"""From a data set to batches: a reproducible order, one call for many samples, a share for each process."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from celda.errors import CeldaError


class MapDataset(Protocol):
    """A data set that knows its length and gives a sample by its index, as `torch.utils.data.Dataset` may.

    Where it has `__getitems__(indices)`, a batch is fetched by one call, which is faster by far: that gives a list of
    samples, to be stacked, or the batch itself.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


def check(dataset: MapDataset, name: str) -> None:
    """Raise CeldaError unless samples can be taken from the data set by index."""
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise CeldaError(
            f"The {name} set, a {type(dataset).__name__}, has no length or no index: "
            "give a map-style data set, such as torch.utils.data.TensorDataset(x, y)."
        )
    if not len(dataset):
        raise CeldaError(f"The {name} set is empty: give at least one sample.")


def fetch(dataset: MapDataset, indices: Tensor) -> Any:
    """The batch of the samples at `indices` (n,): tensors with the batch first, in the structure of a sample."""
    if type(dataset) is TensorDataset:  # a subclass may take one index only
        return dataset[indices]
    if hasattr(dataset, "__getitems__"):
        samples = dataset.__getitems__(indices.tolist())
        return default_collate(samples) if isinstance(samples, list) else samples
    return default_collate([dataset[index] for index in indices.tolist()])


def shuffled(samples: int, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, ...]:
    """The indices of an epoch's batches in an order drawn from (seed, epoch) alone.

    The batches are as equal in size as can be, so that no last batch of a few samples makes a wild step.
    """
    order = torch.from_numpy(np.random.default_rng((seed, epoch)).permutation(samples))
    return order.tensor_split(batch_count(samples, batch_size))


def in_order(samples: int, batch_size: int) -> tuple[Tensor, ...]:
    """The indices of an epoch's batches, one sample after the other."""
    batches: tuple[Tensor, ...] = torch.arange(samples).split(batch_size)
    return batches


def batch_count(samples: int, batch_size: int) -> int:
    """How many batches of at most `batch_size` samples an epoch takes."""
    return -(-samples // batch_size)


def shard(indices: Tensor, process: int, processes: int) -> tuple[Tensor, float]:
    """One process's part of a batch, and which share of the batch's samples it is.

    A process for which no sample is left computes one in vain, with share 0: all must take part in every step.
    """
    part = indices[process::processes]
    return (part, len(part) / len(indices)) if len(part) else (indices[:1], 0.0)


def leaves(batch: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """What a nested batch is made of, each with its name: `x`, `x.past`, `0`."""
    if isinstance(batch, dict):
        items = list(batch.items())
    elif isinstance(batch, list | tuple):
        items = list(enumerate(batch))
    else:
        yield name, batch
        return
    for key, value in items:
        yield from leaves(value, f"{name}.{key}" if name else str(key))


def describe(dataset: MapDataset | None) -> str:
    """The shape of a data set in words: `3024 samples (x float32[336, 5], y float32[48])`."""
    if dataset is None:
        return "none"
    parts = ", ".join(
        f"{name} {kind(value[0])}".strip()
        if isinstance(value, Tensor) and value.ndim
        else f"{name} {type(value).__name__}"
        for name, value in leaves(fetch(dataset, torch.zeros(1, dtype=torch.long)))
    )
    return f"{len(dataset)} samples ({parts})"


def kind(tensor: Tensor) -> str:
    """A tensor's type and shape in words: `float32[336, 5]`."""
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
