"""Processes killed, interrupted and joined from outside, all in one program; see processes.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.processes import KILLED, TWO
from tests.training.toy import identical, toy, trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are those of POSIX"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes")
    root = Path(__file__).parents[2]
    program = [sys.executable, "-m", "tests.training.processes", str(path)]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return path


def test_killed_at_five_random_moments_and_resumed_the_weights_are_those_of_an_uninterrupted_run(folder):
    whole, killed = (load_file(folder / run / "weights.safetensors") for run in ("whole", "killed"))
    assert identical(whole, killed)
    assert not identical(whole, toy().state_dict())
    epochs = [json.loads(line) for line in (folder / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, KILLED.epochs + 1))
    assert [epoch["train_loss"] for epoch in epochs] == [
        json.loads(line)["train_loss"] for line in (folder / "whole" / "metrics.jsonl").read_text().splitlines()
    ]


@pytest.mark.parametrize("signal", ["sigint", "sigterm"])
def test_a_signal_from_outside_ends_the_training_well(folder, signal):
    history = json.loads((folder / signal / "history.json").read_text())
    lines = (folder / signal / "metrics.jsonl").read_text().splitlines()
    assert history["interrupted"]
    assert history["epochs"] == len(lines) >= 1


def test_a_second_signal_ends_it_at_once(folder):
    assert (folder / "twice" / "checkpoints" / "fit.safetensors").exists()


def test_two_processes_learn_what_one_learns(folder):
    one, history = trained(TWO, model=toy(dropout=0.0))
    ranks = [load_file(folder / "two" / f"rank{rank}.safetensors") for rank in (0, 1)]
    assert identical(*ranks)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(ranks[0][name], value, atol=1e-5, rtol=1e-4)
    epochs = [json.loads(line) for line in (folder / "two" / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert [epoch["valid_loss"] for epoch in epochs] == pytest.approx([e.valid_loss for e in history.epochs], rel=1e-4)


def test_two_processes_killed_and_resumed_end_with_the_same_weights(folder):
    ranks = [
        load_file(folder / run / f"rank{rank}.safetensors") for run in ("two whole", "two killed") for rank in (0, 1)
    ]
    assert all(identical(ranks[0], other) for other in ranks[1:])
