"""A model, data and a loss so small that a training takes a moment; dropout makes it depend on the random numbers."""

import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from celda.training import TrainingConfig, fit

CONFIG = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.02, checkpoint_every=3)


class Toy(nn.Module):
    def __init__(self, hidden_size=4, dropout=0.3):
        super().__init__()
        self.recurrent = nn.GRU(3, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, x):
        return self.head(self.dropout(self.recurrent(x)[0][:, -1]))


class Slow(TensorDataset):
    """Takes its time over each batch, so that there is time to send a signal."""

    def __init__(self, *tensors, seconds):
        super().__init__(*tensors)
        self.seconds = seconds

    def __getitems__(self, indices):
        time.sleep(self.seconds)
        return self[torch.tensor(indices)]


def toy(seed=1, **options):
    torch.manual_seed(seed)
    return Toy(**options)


def data(samples=29, seed=2, slow=None):
    x = torch.randn(samples, 5, 3, generator=torch.Generator().manual_seed(seed))
    tensors = x, x.sum((1, 2))[:, None] / 4
    return Slow(*tensors, seconds=slow) if slow is not None else TensorDataset(*tensors)


def contrary(samples=13, seed=3):
    """What a model does the worse at, the more it learns from `data`: the best epoch comes early, whatever the bits."""
    x, y = data(samples, seed).tensors
    return TensorDataset(x, -y)


def mse(model, batch):
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


def trained(config=CONFIG, *, model=None, loss=mse, train=None, valid=True, **options):
    """A model after `fit`, and the history. `valid`: whether there is a validation set, or that set."""
    model = model or toy()
    train = data() if train is None else train
    valid = data(13, 3) if valid is True else valid or None
    history = fit(model, loss, train, valid, config, quiet=True, **options)
    return model, history


def weights(model):
    """Copies of a model's weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def identical(one, other):
    """Whether two sets of weights are the same bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
