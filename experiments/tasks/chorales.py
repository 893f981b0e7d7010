"""Bach's chorales as piano rolls of 88 notes (Boulanger-Lewandowski, Bengio & Vincent 2012): which notes sound next?"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from experiments.data import folder
from experiments.experiment import Figures
from experiments.learning import Network, weights

NOTES = 88


@dataclass(frozen=True)
class Setting:
    """The setting of a run.

    Attributes:
        cell: its name.
        hidden_size: units.
        learning_rate: Adam's; with several, each seed takes the one that is best on the validation set.
        dropout: of the layer's outputs.
        recurrent_dropout: of what its recurrent matrices multiply.
        batch_size: chorales a step.
        epochs: at most.
        patience: epochs without a better validation error after which it ends.
    """

    cell: str
    hidden_size: int
    learning_rate: tuple[float, ...]
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    batch_size: int = 16
    epochs: int = 600
    patience: int = 40


class Padded(NamedTuple):
    """Chorales side by side: `x` and the step after it, `following`, (T, B, 88); which steps are `real`, (T, B)."""

    x: Tensor
    following: Tensor
    real: Tensor


def pad(rolls: list[Tensor]) -> Padded:
    """Every step but the first is predicted from those before it."""
    padded = nn.utils.rnn.pad_sequence(rolls)
    real = torch.arange(len(padded) - 1).unsqueeze(1) < torch.tensor([len(roll) - 1 for roll in rolls])
    return Padded(padded[:-1], padded[1:], real)


def read() -> dict[str, list[Tensor]]:
    """The rolls (T, 88) of the three parts as published: "train", "valid", "test"."""
    from scipy.io import loadmat

    parts = loadmat(folder("music_jsb") / "JSB_Chorales.mat")
    return {
        part: [torch.from_numpy(roll.astype(np.float32)) for roll in parts[f"{part}data"][0]]
        for part in ("train", "valid", "test")
    }


def error(net: nn.Module, batch: Padded) -> Tensor:
    """The negative log-likelihood of a step, in nats: summed over the notes, the mean over the real steps."""
    scores, _ = net(batch.x)
    each = binary_cross_entropy_with_logits(scores, batch.following, reduction="none").sum(-1)
    return each[batch.real].mean()


def batches(rolls: list[Tensor], size: int) -> Iterator[Padded]:
    """All of them once, in a drawn order."""
    for places in torch.randperm(len(rolls)).split(size):
        yield pad([rolls[place] for place in places.tolist()])


def _learn(setting: Setting, rate: float, rolls: dict[str, list[Tensor]]) -> tuple[float, int, nn.Module]:
    """The best validation error, its epoch, and the network as it was then."""
    options = {"recurrent_dropout": setting.recurrent_dropout} if setting.recurrent_dropout else {}
    net = Network(setting.cell, NOTES, setting.hidden_size, NOTES, setting.dropout, **options)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    valid = pad(rolls["valid"])
    best, best_epoch, kept = float("inf"), 0, copy.deepcopy(net.state_dict())
    for epoch in range(1, setting.epochs + 1):
        net.train()
        for batch in batches(rolls["train"], setting.batch_size):
            optimizer.zero_grad()
            error(net, batch).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        net.eval()
        with torch.no_grad():
            now = error(net, valid).item()
        if now < best:
            best, best_epoch, kept = now, epoch, copy.deepcopy(net.state_dict())
        elif epoch - best_epoch >= setting.patience:
            break
    net.load_state_dict(kept)
    return best, best_epoch, net.eval()


def once(setting: Setting, seed: int) -> Figures:
    """Learn; the validation set says when to stop and which rate to take, the test set is looked at once."""
    rolls = read()
    tried = []
    for rate in setting.learning_rate:
        torch.manual_seed(seed)
        tried.append((*_learn(setting, rate, rolls), rate))
    valid, epoch, net, rate = min(tried, key=lambda one: one[0])
    with torch.no_grad():
        test = error(net, pad(rolls["test"])).item()
    return {"test": test, "valid": valid, "epochs": epoch, "rate": rate, "weights": weights(net)}
