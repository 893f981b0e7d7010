"""Averaged weights: when they begin, what they are, and that a training with them is resumed exactly."""

import pytest
import torch
from torch import nn

from celda import CeldaError
from celda.training import TrainingConfig, fit
from celda.training.averaging import Average, has_stalled
from celda.training.learner import Learner
from tests.training.toy import data, identical, mse, toy, trained, weights

CONFIG = TrainingConfig(
    epochs=8, batch_size=8, learning_rate=0.5, optimizer="sgd", averaging=1, schedule="constant", warmup=0.0
)


def test_the_trigger_is_that_of_the_paper():
    assert not has_stalled([3.0, 2.0], 2)
    assert not has_stalled([3.0, 2.0, 2.5], 2)  # better than the first
    assert has_stalled([3.0, 2.0, 2.5, 3.1], 2)
    assert has_stalled([2.0, 2.5], 1)
    assert not has_stalled([2.0, 2.0], 1)


def test_the_average_is_the_mean_and_comes_and_goes():
    model = nn.Linear(2, 1)
    average, seen = Average(model), []
    for step in range(4):
        with torch.no_grad():
            model.weight.fill_(step**2)
        average.add()
        seen.append(step**2)
    own = model.weight.clone()
    with average.in_place():
        assert model.weight[0, 0].item() == pytest.approx(sum(seen) / 4)
    assert model.weight.equal(own)


def test_a_validation_is_of_the_average_and_leaves_the_weights(monkeypatch):
    added, validated = [], []
    add, validate = Average.add, Learner.validate
    monkeypatch.setattr(Average, "add", lambda self: (add(self), added.append(self.steps)))

    def watched(self, valid):
        before = weights(self.model)
        loss = validate(self, valid)
        assert identical(before, weights(self.model))
        validated.append(bool(self.average.steps))
        return loss

    monkeypatch.setattr(Learner, "validate", watched)
    _, history = trained(CONFIG)
    assert added[:3] == [1, 2, 3]
    assert validated == sorted(validated)  # once begun, to the end
    assert True in validated
    assert min(epoch.valid_loss for epoch in history.epochs) == history.best_loss


def test_an_averaged_training_is_resumed_exactly(tmp_path, monkeypatch):
    whole, _ = trained(CONFIG)
    close = Learner.close_epoch

    def stop(self, loss):
        close(self, loss)
        self.history.interrupted = self.position.epoch == 7

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "close_epoch", stop)
        trained(CONFIG, run=tmp_path)
    # what was interrupted by Ctrl-C says so in its checkpoint only of this process
    monkeypatch.setattr(Learner, "load_state", _not_interrupted(Learner.load_state))
    resumed, history = trained(CONFIG, run=tmp_path, resume=True)
    assert len(history.epochs) == 8
    assert identical(weights(resumed), weights(whole))


def _not_interrupted(load):
    def loaded(self, *state):
        load(self, *state)
        self.history.interrupted = False

    return loaded


def test_averaging_needs_a_validation():
    with pytest.raises(CeldaError, match="averaging=1 needs a validation set"):
        fit(toy(), mse, data(), config=CONFIG, quiet=True)
