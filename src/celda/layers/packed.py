"""PackedSequence in, PackedSequence out: unpacked to a padded batch and its lengths, and packed again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

States = tuple[Tensor, ...]


def through(
    packed: PackedSequence, states: States | None, run: Callable[[Tensor, States | None, Tensor], tuple[Tensor, States]]
) -> tuple[PackedSequence, States]:
    """Run `run(x (T, B, I), states, lengths)` on a packed batch; states are in the order of the caller's sequences."""
    into, back = packed.sorted_indices, packed.unsorted_indices
    x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))
    y, new = run(x, None if states is None else _ordered(states, into), lengths.to(x.device))
    data, sizes, _, _ = pack_padded_sequence(y, lengths)
    return PackedSequence(data, sizes, into, back), _ordered(new, back)


def _ordered(states: States, indices: Tensor | None) -> States:
    return states if indices is None else tuple(torch.index_select(state, 1, indices) for state in states)
