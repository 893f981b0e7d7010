"""Trainings in processes of their own, killed and interrupted: `python -m tests.training.processes FOLDER`.

One program forks them all, because importing torch takes longer than any of them.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # so that no child has to import it
from safetensors.torch import save_file

from celda.training import TrainingConfig
from tests.training.toy import CONFIG, data, mse, toy, trained

KILLS = 5
# A checkpoint at each step: most of the time is spent in writing them, and so most kills come then.
KILLED = CONFIG.model_copy(update={"checkpoint_every": 1, "epochs": 15})
# Batches of an odd size, so that the shares differ.
TWO = TrainingConfig(epochs=3, batch_size=7, learning_rate=0.02, checkpoint_every=1)


def start(work, *args):
    """Fork a process that does `work(*args)`; its exit status is 0, or 42 after a KeyboardInterrupt."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        torch.set_num_threads(1)
        work(*args)
        status = 0
    except KeyboardInterrupt:
        status = 42
    finally:
        sys.stderr.flush()
        os._exit(status)


def end(pid):
    """Wait for a process; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def train(run, slow=None):
    model, _ = trained(KILLED, train=data(slow=slow), run=run, resume=True)
    save_file(model.state_dict(), run / "weights.safetensors")


def kill(folder):
    """Kill a training at random moments and resume it; then let it come to its end."""
    assert end(start(train, folder / "whole")) == 0
    for _ in range(KILLS):
        pid = start(train, folder / "killed", 0.02)
        time.sleep(random.uniform(0.02, 0.3))
        os.kill(pid, signal.SIGKILL)
        assert end(pid) == -signal.SIGKILL
        check_metrics(folder / "killed" / "metrics.jsonl")
    assert end(start(train, folder / "killed")) == 0
    check_metrics(folder / "killed" / "metrics.jsonl")


def check_metrics(path):
    lines = path.read_text().splitlines() if path.exists() else []
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))


def endless(run, slow):
    config = CONFIG.model_copy(update={"epochs": 2_000, "checkpoint_every": None})
    _, history = trained(config, train=data(slow=slow), run=run)
    (run / "history.json").write_text(json.dumps({"interrupted": history.interrupted, "epochs": len(history.epochs)}))


def interrupt(folder, number):
    """Send a signal after the first epoch: the training ends well."""
    pid = start(endless, folder, 0.01)
    while not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text():
        time.sleep(0.01)
    os.kill(pid, number)
    assert end(pid) == 0


def stuck(run):
    def minute(model, batch):
        (run / "stuck").touch()
        time.sleep(60)

    trained(loss=minute, run=run)


def interrupt_twice(folder):
    """Send a signal in the middle of a step that takes a minute, and once more: KeyboardInterrupt."""
    pid = start(stuck, folder)
    while not (folder / "stuck").exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.kill(pid, signal.SIGINT)
    assert end(pid) == 42


def share(run, dropout, killed_at, rank, port):
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", OMP_NUM_THREADS="1",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    calls = iter(range(1, 10_000))

    def loss(model, batch):
        if next(calls) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return mse(model, batch)

    model, _ = trained(TWO, model=toy(dropout=dropout), loss=loss, run=run, resume=True)
    save_file(model.state_dict(), run / f"rank{rank}.safetensors")


def two(run, dropout, killed_at=None):
    """Train in two processes, as under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = [start(share, run, dropout, killed_at, rank, port) for rank in (0, 1)]
    assert [end(pid) for pid in pids] == [-signal.SIGKILL if killed_at else 0] * 2


if __name__ == "__main__":
    here = Path(sys.argv[1])
    kill(here)
    interrupt(here / "sigint", signal.SIGINT)
    interrupt(here / "sigterm", signal.SIGTERM)
    interrupt_twice(here / "twice")
    two(here / "two", dropout=0.0)
    two(here / "two whole", dropout=0.3)
    two(here / "two killed", dropout=0.3, killed_at=10)
    two(here / "two killed", dropout=0.3)
