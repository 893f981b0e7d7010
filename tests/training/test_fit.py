"""The loop: learning, early stopping, clipping, divergence, precision, metrics."""

import copy
import json
import math
import random

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.utils.data import TensorDataset

from celda import CeldaError
from celda.training import TrainingConfig, fit
from celda.training.device import accelerator_for
from tests.training.toy import CONFIG, Toy, data, identical, mse, toy, trained, weights


def test_it_learns():
    config = TrainingConfig(epochs=40, batch_size=8, learning_rate=0.05)
    model, history = trained(config, model=toy(hidden_size=8, dropout=0.0), train=data(64))
    assert history.epochs[-1].train_loss < 0.05 * history.epochs[0].train_loss
    assert not model.training
    assert [epoch.step for epoch in history.epochs] == [8 * n for n in range(1, 41)]


def test_it_is_the_training_one_would_write_by_hand():
    config = TrainingConfig(epochs=2, batch_size=29, learning_rate=0.1, schedule="constant", warmup=0.0, clip_norm=0.5)
    model, history = trained(config, model=toy(dropout=0.0), valid=False)
    hand, x, y = toy(dropout=0.0), *data().tensors
    matrices = [p for p in hand.parameters() if p.ndim > 1]
    vectors = [p for p in hand.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}], lr=0.1)
    for epoch in history.epochs:
        optimizer.zero_grad()
        loss = mse(hand, (x, y))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(hand.parameters(), 0.5)
        optimizer.step()
        assert epoch.train_loss == pytest.approx(loss.item(), rel=1e-5)
        assert epoch.gradient_norm == pytest.approx(norm.item(), rel=1e-4)
    for name, value in hand.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, atol=1e-5, rtol=1e-4)


class Constant(nn.Module):
    """Gives its only weight, which a loss can push wherever it likes."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1))

    def forward(self, x):
        return self.weight.expand(len(x), 1)


def drifting(model, batch):
    """In training the weight grows for ever; in validation it is best near 1."""
    value = model(batch[0]).mean()
    return -value if model.training else (value - 1).abs()


def test_early_stopping_restores_the_best_weights():
    config = TrainingConfig(epochs=50, batch_size=29, learning_rate=0.1, patience=3, schedule="constant", warmup=0.0)
    model, history = trained(config, model=Constant(), loss=drifting)
    assert history.stopped_early
    assert history.best_epoch == 10
    assert len(history.epochs) == 13
    assert model.weight.item() == pytest.approx(1, abs=0.06)
    assert history.best_loss == pytest.approx(abs(model.weight.item() - 1))


def test_without_patience_the_best_weights_are_restored_too():
    config = TrainingConfig(epochs=14, batch_size=29, learning_rate=0.1, schedule="constant", warmup=0.0)
    model, history = trained(config, model=Constant(), loss=drifting)
    assert not history.stopped_early
    assert (history.best_epoch, len(history.epochs)) == (10, 14)
    assert model.weight.item() == pytest.approx(1, abs=0.06)


def test_without_validation_the_last_weights_stay():
    config = TrainingConfig(epochs=14, batch_size=29, learning_rate=0.1, schedule="constant", warmup=0.0)
    model, history = trained(config, model=Constant(), loss=drifting, valid=False)
    assert history.best_epoch is None
    assert history.epochs[-1].valid_loss is None
    assert model.weight.item() > 1.3


def test_the_validation_loss_is_the_mean_over_samples():
    model = toy()
    _, history = trained(TrainingConfig(epochs=1, batch_size=8), model=model)  # 13 samples: batches of 8 and 5
    x, y = data(13, 3).tensors
    with torch.no_grad():
        assert history.best_loss == pytest.approx(mse(model, (x, y)).item(), rel=1e-6)


def test_clipping_bounds_what_a_step_sees():
    norms = []

    def exploding(model, batch):
        return 1e4 * mse(model, batch)

    class Watched(Toy):
        def train(self, mode=True):
            gradients = [p.grad.norm() for p in self.parameters() if p.grad is not None]
            norms.extend([torch.stack(gradients).norm().item()] if gradients else [])
            return super().train(mode)

    for clip in (2.0, None):
        norms.clear()
        torch.manual_seed(0)
        _, history = trained(TrainingConfig(epochs=2, clip_norm=clip, batch_size=8), model=Watched(), loss=exploding)
        assert history.epochs[0].gradient_norm > 100
        assert max(norms) <= 2.001 if clip else max(norms) > 100


@pytest.mark.parametrize("clip", [1.0, None])
def test_a_nan_in_the_input_is_found_at_its_step(tmp_path, clip):
    x, y = data().tensors
    x = x.clone()
    x[5, 2, 1] = math.nan
    config = TrainingConfig(epochs=3, batch_size=29, clip_norm=clip)
    model = toy()
    before = weights(model)
    with pytest.raises(
        CeldaError, match=r"loss is not a finite number at step 1 \(epoch 1\). Its batch .* in 0:"
    ) as error:
        trained(config, model=model, train=TensorDataset(x, y), run=tmp_path)
    assert "learning rate lower than 0.001" in str(error.value)
    assert "\n" not in str(error.value)
    assert identical(weights(model), before)


def diverging(at, infinite_gradient=False):
    calls = iter(range(1, 10_000))

    def loss(model, batch):
        value = mse(model, batch)
        if next(calls) != at:
            return value
        # the square root of 0 has an infinite slope
        return value + (value - value.detach()).abs().sqrt() if infinite_gradient else value * math.inf

    return loss


@pytest.mark.parametrize(("infinite_gradient", "what"), [(False, "loss"), (True, "gradient")])
def test_a_divergence_stops_and_the_last_checkpoint_stands(tmp_path, infinite_gradient, what):
    with pytest.raises(
        CeldaError, match=rf"The {what} is not a finite number at step 6 \(epoch 2\). Its batch is finite"
    ):
        trained(loss=diverging(8, infinite_gradient), run=tmp_path)  # the call after 4 steps, 2 validations, 1 step
    model, _ = trained(run=tmp_path, resume=True)
    assert identical(weights(model), weights(trained()[0]))


def test_a_nan_in_the_validation_is_told():
    x, y = data(13, 3).tensors
    with pytest.raises(CeldaError, match="validation loss is nan in epoch 1: look for NaN"):
        fit(toy(), mse, data(), TensorDataset(x, y * math.nan), CONFIG, quiet=True)


MISTAKES = {
    "patience without validation": ({"config": TrainingConfig(patience=3), "valid": False}, "needs a validation set"),
    "resuming nothing": ({"resume": True}, "needs the run's folder"),
    "a phase that is a path": ({"run": ".", "phase": "../x"}, "phase='../x' cannot name a file"),
    "a run that is a file": ({"run": __file__}, "The run folder .* cannot be made"),
    "no data": ({"train": TensorDataset(torch.zeros(0, 5, 3))}, "The training set is empty"),
    "a loss for each sample": ({"loss": lambda model, batch: model(batch[0])[:, 0]}, r"must be one number, .* \[8\]"),
    "no such device": ({"config": TrainingConfig(device="cuda")}, "device='cuda' was asked for"),
    "no such precision": ({"config": TrainingConfig(precision="fp16")}, "precision='fp16' needs a GPU"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_said_in_one_line(arguments, message, request):
    if "no such" in request.node.callspec.id and torch.accelerator.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(CeldaError, match=message) as error:
        trained(**{"config": CONFIG, **arguments})
    assert "\n" not in str(error.value)


def test_metrics_have_a_line_an_epoch(tmp_path):
    _, history = trained(run=tmp_path / "deep" / "run")
    lines = [json.loads(line) for line in (tmp_path / "deep" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["valid_loss"] for line in lines] == [epoch.valid_loss for epoch in history.epochs]
    assert lines[0].keys() == {
        "phase", "epoch", "step", "train_loss", "valid_loss", "learning_rate", "gradient_norm", "seconds",
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "deep" / "run").rglob("*") if path.is_file()) == [
        "fit.safetensors",
        "metrics.jsonl",
    ]


def test_fits_of_different_precision_in_one_process_leave_the_models_as_they_were():
    seen = []

    def loss(model, batch):
        seen.append(model(batch[0]).dtype)
        return mse(model, batch)

    for precision in ("no", "bf16", "no"):
        seen.clear()
        model = toy()
        attributes = set(vars(model))
        trained(CONFIG.model_copy(update={"precision": precision, "device": "cpu"}), model=model, loss=loss)
        assert set(seen) == {torch.bfloat16 if precision == "bf16" else torch.float32}
        assert set(vars(model)) == attributes
        assert model(torch.zeros(1, 5, 3)).dtype == torch.float32
        copy.deepcopy(model)


def test_double_precision_models_are_trained_in_double_precision():
    x, y = (tensor.double() for tensor in data().tensors)
    _, history = trained(CONFIG, model=toy().double(), train=TensorDataset(x, y), valid=False)
    assert len(history.epochs) == 4


def drawn():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_random_numbers_of_the_caller_go_on_where_they_stood():
    def seed():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    model = toy()
    seed()
    wanted = drawn()
    seed()
    trained(model=model)
    assert drawn() == wanted
    seed()
    with pytest.raises(CeldaError, match="not a finite number"):
        trained(model=model, loss=lambda model, batch: mse(model, batch) / 0)
    assert drawn() == wanted


@pytest.fixture
def no_accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_an_accelerator_of_the_user_stays_as_it_is(no_accelerator):
    theirs = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    trained()
    assert theirs.mixed_precision == "bf16"
    assert theirs.device.type == "cpu"
    assert theirs.gradient_accumulation_steps == 4
    assert AcceleratorState().mixed_precision == "bf16"


def test_no_accelerator_is_left_behind(no_accelerator):
    trained()
    assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"


def test_a_device_that_accelerate_does_not_take_is_told(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(CeldaError, match="device='cuda' was asked for"), accelerator_for("cuda", "no"):
        pass
