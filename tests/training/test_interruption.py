"""Signals: taken in the main thread only, and given back."""

import os
import signal
import threading

import pytest

from celda.training.interruption import Interruption
from tests.training.toy import CONFIG, contrary, identical, mse, toy, trained, weights

pytestmark = pytest.mark.skipif(os.name == "nt", reason="os.kill is another thing there")


def interrupting(at, number=signal.SIGINT):
    """The loss of the toy, which presses Ctrl-C at its `at`-th call."""
    calls = iter(range(1, 10_000))

    def loss(model, batch):
        if next(calls) == at:
            os.kill(os.getpid(), number)
        return mse(model, batch)

    return loss


@pytest.fixture(scope="module")
def whole():
    return weights(trained()[0])


# An epoch is four steps and two batches of validation: in a step, in its last one, in a validation, in the last one.
@pytest.mark.parametrize("at", [2, 4, 6, 21, 24])
def test_ctrl_c_writes_a_checkpoint_to_resume_from(tmp_path, whole, at):
    _, history = trained(loss=interrupting(at), run=tmp_path)
    assert history.interrupted
    assert len(history.epochs) == {2: 0, 4: 0, 6: 1, 21: 3, 24: 4}[at]
    model, history = trained(run=tmp_path, resume=True)
    assert not history.interrupted
    assert len(history.epochs) == CONFIG.epochs
    assert identical(weights(model), whole)


def test_ctrl_c_restores_the_best_weights():
    config = CONFIG.model_copy(update={"learning_rate": 0.1, "epochs": 30, "schedule": "constant", "warmup": 0.0})
    model, history = trained(config, loss=interrupting(6 * 12 + 2), valid=contrary())
    assert history.interrupted
    assert history.best_epoch < len(history.epochs) == 12
    best, _ = trained(config.model_copy(update={"epochs": history.best_epoch}), valid=contrary())
    assert identical(weights(model), weights(best))


def test_sigterm_is_like_ctrl_c(tmp_path):
    assert trained(loss=interrupting(3, signal.SIGTERM), run=tmp_path)[1].interrupted


def test_the_second_raises_and_the_former_handlers_come_back():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interruption(quiet=True) as interruption:
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.received
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_unless_quiet_it_says_what_it_does(capfd):
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)
    assert capfd.readouterr().err.strip() == "Stopping after this step; once more to stop at once."


def test_a_signal_that_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not interruption.received
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_trains_without_touching_the_handlers():
    seen = []

    def loss(model, batch):
        seen.append(signal.getsignal(signal.SIGINT))
        return mse(model, batch)

    results = []
    thread = threading.Thread(target=lambda: results.append(trained(loss=loss, model=toy())))
    thread.start()
    thread.join()
    assert len(results[0][1].epochs) == CONFIG.epochs
    assert set(seen) == {signal.getsignal(signal.SIGINT)}
