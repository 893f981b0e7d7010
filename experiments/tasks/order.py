"""Temporal order: in which order did X and Y come? (Hochreiter & Schmidhuber 1997, experiments 6a and 6b.)"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

SYMBOLS = "EBabcdXY"
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}  # 6a, 6b


def temporal_order(marks: int, batch_size: int) -> tuple[Tensor, Tensor]:
    """Sequences E ... B, (T, B, 8), and their classes, (B,): the order of two X or Y (6a: 4 classes), or three (6b: 8).

    The length is drawn from [100, 110], one for the batch; all else is drawn from a, b, c, d.
    """
    length = int(torch.randint(100, 111, ()))
    symbols = torch.randint(2, 6, (length, batch_size))
    symbols[0], symbols[-1] = SYMBOLS.index("E"), SYMBOLS.index("B")
    which, classes = torch.arange(batch_size), torch.zeros(batch_size, dtype=torch.long)
    for low, high in PLACES[marks]:
        drawn = torch.randint(2, (batch_size,))
        symbols[torch.randint(low, high + 1, (batch_size,)), which] = SYMBOLS.index("X") + drawn
        classes = 2 * classes + drawn
    return one_hot(symbols, len(SYMBOLS)).float(), classes


def wrong(outputs: Tensor, classes: Tensor) -> int:
    """How many sequences have an output that is .3 or more from its target, 1 for the class and 0 for others."""
    target = one_hot(classes, outputs.shape[-1])
    return int(((outputs - target).abs() >= 0.3).any(-1).sum())
