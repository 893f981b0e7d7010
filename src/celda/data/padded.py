"""Samples of unequal length as batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

IGNORED = -100  # the target of a step that is not there


class Padded:
    """A data set of samples, each a mapping of tensors whose first dimension is the steps.

    `targets`: a class a sample, (N,) int64, or the classes of its steps, N tensors (T_i,); None where nothing is known.
    A batch holds the same tensors (B, T, ...), filled up with zeros, `lengths` (B,) and `target`, (B,) or (B, T) filled
    up with `IGNORED`.
    """

    def __init__(
        self, samples: Sequence[Mapping[str, Tensor]], targets: Tensor | Sequence[Tensor] | None = None
    ) -> None:
        self.samples, self.targets = samples, targets
        self.lengths = torch.tensor([len(next(iter(sample.values()))) for sample in samples])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = [self.samples[index] for index in indices]
        batch = {name: pad_sequence([one[name] for one in chosen], batch_first=True) for name in chosen[0]}
        batch["lengths"] = self.lengths[list(indices)]
        if isinstance(self.targets, Tensor):
            batch["target"] = self.targets[list(indices)]
        elif self.targets is not None:
            target = [self.targets[index] for index in indices]
            batch["target"] = pad_sequence(target, batch_first=True, padding_value=IGNORED)
        return batch

    def by_length(self, most: int) -> Iterator[np.ndarray]:
        """The indices of all samples in batches of `most`, such that those of a batch are about equally long."""
        order = np.argsort(self.lengths.numpy(), kind="stable")
        for start in range(0, len(order), most):
            yield order[start : start + most]
