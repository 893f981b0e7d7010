"""Exact resumption, and what is refused."""

import json
import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celda import CeldaError
from celda.training import checkpoint, forget
from tests.training.toy import CONFIG, contrary, data, identical, mse, toy, trained, weights

FASTER = CONFIG.model_copy(update={"learning_rate": 0.5})
STEPS = 16  # four epochs of four batches, as in CONFIG


class Breakdown(Exception):
    pass


def breaking(at):
    """The loss of the toy, which breaks down at its `at`-th call."""
    calls = iter(range(1, 10_000))

    def loss(model, batch):
        if next(calls) == at:
            raise Breakdown
        return mse(model, batch)

    return loss


def broken(run, at, config=CONFIG, **options):
    with pytest.raises(Breakdown):
        trained(config, loss=breaking(at), run=run, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    model, history = trained(run=run)
    return weights(model), history, generators(run)


def generators(run):
    """Where the random numbers stood when the training ended."""
    return checkpoint.load(run / "checkpoints" / "fit.safetensors")[0]["generator.cpu"]


def untimed(history):
    return [(e.epoch, e.step, e.train_loss, e.valid_loss, e.learning_rate, e.gradient_norm) for e in history.epochs]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.integers(1, 24), min_size=1, max_size=3), every=st.sampled_from([None, 1, 3, 5]))
def test_broken_at_any_call_and_resumed_the_weights_are_the_same_bit_for_bit(whole, tmp_path_factory, breaks, every):
    run, config = tmp_path_factory.mktemp("run"), CONFIG.model_copy(update={"checkpoint_every": every})
    for at in breaks:
        torch.manual_seed(random.randrange(10**6))
        try:
            trained(config, loss=breaking(at), run=run, resume=True)
        except Breakdown:
            continue
    model, history = trained(config, model=toy(seed=5), run=run, resume=True)
    assert identical(weights(model), whole[0])
    assert untimed(history) == untimed(whole[1])
    assert torch.equal(generators(run), whole[2])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]


def test_another_seed_gives_other_weights(whole):
    assert not identical(weights(trained(CONFIG.model_copy(update={"seed": 1}))[0]), whole[0])


def test_a_finished_phase_returns_at_once(tmp_path, whole):
    model, history = trained(run=tmp_path)
    again, same = trained(model=toy(seed=9), loss=breaking(1), run=tmp_path, resume=True)
    assert identical(weights(again), weights(model))
    assert same == history
    assert torch.equal(generators(tmp_path), whole[2])
    assert not again.training


def test_phases_share_a_run(tmp_path):
    first, _ = trained(run=tmp_path, phase="fit")
    config = CONFIG.model_copy(update={"epochs": 2})
    with pytest.raises(Breakdown):
        trained(config, loss=breaking(5), valid=False, run=tmp_path, phase="final")
    again, _ = trained(loss=breaking(1), run=tmp_path, phase="fit", resume=True)
    assert identical(weights(again), weights(first))
    final, _ = trained(config, valid=False, run=tmp_path, phase="final", resume=True)
    assert identical(weights(final), weights(trained(config, valid=False)[0]))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["epoch"]) for line in lines] == [
        *(("fit", n) for n in (1, 2, 3, 4)),
        *(("final", n) for n in (1, 2)),
    ]


def test_the_first_checkpoint_stands_before_the_first_step(tmp_path, whole):
    broken(tmp_path, at=1)
    assert identical(weights(trained(model=toy(seed=5), run=tmp_path, resume=True)[0]), whole[0])


def test_without_resuming_a_run_starts_afresh(tmp_path, whole):
    broken(tmp_path, at=20, config=FASTER)
    model, history = trained(run=tmp_path)
    assert identical(weights(model), whole[0])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == len(history.epochs) == 4


def test_tied_weights_and_buffers_are_resumed(tmp_path):
    def count(model, _):
        model.steps += model.training

    def tied():
        model = toy()
        model.twin = model.head
        model.register_buffer("steps", torch.zeros((), dtype=torch.long))
        model.register_forward_pre_hook(count)
        return model

    expected, _ = trained(model=tied())
    assert expected.steps == STEPS
    with pytest.raises(Breakdown):
        trained(model=tied(), loss=breaking(9), run=tmp_path)
    model, _ = trained(model=tied(), run=tmp_path, resume=True)
    assert identical(weights(model), weights(expected))


def test_the_best_weights_are_resumed(tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 0.1, "epochs": 12, "schedule": "constant", "warmup": 0.0})
    expected, history = trained(config, valid=contrary())
    assert history.best_epoch < 12
    broken(tmp_path, at=6 * 11 + 2, config=config, valid=contrary())  # in the last epoch
    model, _ = trained(config, run=tmp_path, resume=True, valid=contrary())
    assert identical(weights(model), weights(expected))


def test_seconds_are_counted_over_all_sessions(tmp_path):
    _, history = trained(run=tmp_path)
    assert history.seconds == pytest.approx(sum(epoch.seconds for epoch in history.epochs))
    broken(tmp_path, at=10)
    _, history = trained(run=tmp_path, resume=True)
    assert history.seconds == pytest.approx(sum(epoch.seconds for epoch in history.epochs))


REFUSED = {
    "a setting": ({"config": FASTER}, "learning_rate was 0.02 and is now 0.5"),
    "another size": ({"train": data(30)}, r"training set was 29 samples \(0 float32\[5, 3\].* is now 30 samples"),
    "no validation": ({"valid": False}, r"validation set was 13 samples .* and is now none"),
    "another model": ({"model": toy(hidden_size=5)}, r"weight recurrent.weight_ih_l0 was float32\[12, 3\] and is now"),
}


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_a_changed_training_is_not_resumed(tmp_path, changed, message):
    broken(tmp_path, at=10)
    with pytest.raises(CeldaError, match=message) as error:
        trained(**changed, run=tmp_path, resume=True)
    assert "\n" not in str(error.value)


def test_how_often_to_save_may_change(tmp_path, whole):
    broken(tmp_path, at=10)
    config = CONFIG.model_copy(update={"checkpoint_every": 2, "device": "cpu"})
    assert identical(weights(trained(config, run=tmp_path, resume=True)[0]), whole[0])


def test_a_damaged_checkpoint_is_refused(tmp_path):
    broken(tmp_path, at=10)
    path = tmp_path / "checkpoints" / "fit.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CeldaError, match="Cannot read the checkpoint"):
        trained(run=tmp_path, resume=True)


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a pickle")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    for name in ("save", "load"):
        monkeypatch.setattr(torch, name, never)
    broken(tmp_path, at=10)
    trained(run=tmp_path, resume=True)


def test_global_generators_of_python_and_numpy_are_seeded_too():
    def drawing(model, batch):
        draws.append((random.random(), np.random.rand()))
        return mse(model, batch)

    draws = []
    trained(loss=drawing)
    first, draws = draws, []
    trained(loss=drawing)
    assert draws == first


def test_another_identity_is_refused(tmp_path):
    trained(run=tmp_path, identity={"loss": "mse", "data": "1234"})
    trained(run=tmp_path, identity={"loss": "mse", "data": "1234"}, resume=True)
    with pytest.raises(CeldaError, match="loss was mse and is now mae, data was 1234 and is now 5678;"):
        trained(run=tmp_path, identity={"loss": "mae", "data": "5678"}, resume=True)


def test_a_run_forgets_its_phases_and_nothing_else(tmp_path, whole):
    for phase in ("fit", "final"):
        trained(FASTER, run=tmp_path, phase=phase)
    for name in ("other.safetensors", "notes.txt"):
        (tmp_path / "checkpoints" / name).write_text("mine")
    forget(tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["notes.txt", "other.safetensors"]
    assert (tmp_path / "metrics.jsonl").read_text() == ""
    assert identical(weights(trained(run=tmp_path, phase="final", resume=True)[0]), whole[0])
    forget(tmp_path / "nowhere")
