"""The state goes on from batch to batch, in order; the loss is that of one long pass, and a resumption is exact."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from celda import GRU
from celda.training import Carried, TrainingConfig, fit
from celda.training.learner import Learner
from tests.training.toy import identical, weights

STEPS, CHUNKS, BATCH = 5, 6, 3
CONFIG = TrainingConfig(epochs=3, batch_size=1, learning_rate=0.02, shuffle=False, checkpoint_every=4)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.recurrent, self.dropout, self.output = GRU(2, 4), nn.Dropout(0.2), nn.Linear(4, 1)

    def forward(self, x, state=None, start=0):
        y, state = self.recurrent(x, state)
        return self.output(self.dropout(y)), (state,) if isinstance(state, torch.Tensor) else state


class Stream:
    """The chunks of a stream that has to be remembered: y is a running mean of x."""

    def __init__(self, seed=0):
        self.x = torch.randn(STEPS * CHUNKS, BATCH, 2, generator=torch.Generator().manual_seed(seed))
        self.y = self.x.sum(-1, keepdim=True).cumsum(0) / 10

    def __len__(self):
        return CHUNKS

    def __getitem__(self, index):
        part = slice(index * STEPS, (index + 1) * STEPS)
        return {"x": self.x[part], "y": self.y[part], "start": index * STEPS}

    def __getitems__(self, indices):
        return self[indices[0]]


def loss(model, batch):
    return F.mse_loss(model(batch["x"], batch["start"]), batch["y"])


def carried():
    return Carried(Small(), [torch.zeros(1, BATCH, 4)])


def test_the_loss_of_the_chunks_is_that_of_one_pass_and_the_gradient_ends_at_each():
    model, stream = carried(), Stream()
    model.model.dropout.p = 0.0
    whole = F.mse_loss(model.model(stream.x)[0], stream.y)
    losses = [loss(model, stream[index]) for index in range(CHUNKS)]
    assert torch.stack(losses).mean().item() == pytest.approx(whole.item(), rel=1e-6)
    sum(losses).backward()
    by_chunks = [parameter.grad.clone() for parameter in model.parameters()]
    states, expected = None, torch.zeros(())
    for index in range(CHUNKS):
        chunk = stream[index]
        output, states = model.model(chunk["x"], states and tuple(state.detach() for state in states))
        expected = expected + F.mse_loss(output, chunk["y"])
    torch.testing.assert_close(list(torch.autograd.grad(expected, [*model.parameters()])), by_chunks)


def test_a_validation_leaves_no_trace_in_the_training():
    model, stream = carried(), Stream()
    loss(model, stream[0])
    before = [buffer.clone() for buffer in model.buffers()]
    model.eval()
    for index in range(CHUNKS):
        loss(model, stream[index])
    assert all(map(torch.equal, before, model.buffers()))


def test_a_training_interrupted_within_an_epoch_is_resumed_exactly(tmp_path, monkeypatch):
    whole = carried()
    fit(whole, loss, Stream(), Stream(1), CONFIG, quiet=True)
    step = Learner.step

    def stop(self, indices, interruption):
        if self.steps_done == 9:
            raise KeyboardInterrupt
        return step(self, indices, interruption)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(carried(), loss, Stream(), Stream(1), CONFIG, run=tmp_path, quiet=True)
    resumed = carried()
    fit(resumed, loss, Stream(), Stream(1), CONFIG, run=tmp_path, resume=True, quiet=True)
    assert identical(weights(resumed), weights(whole))
