"""A run that is killed, at whatever moment, and resumed ends with the very files of one that was not."""

import subprocess
import sys
import time

import pytest

from celda.tasks import forecast_run
from tests.tasks.conftest import daily, tiny

OPTIONS = {"epochs": 8, "batch_size": 8, "dropout": 0.2, "patch": 7}
RESUME = """
import sys, torch
from celda.tasks import forecast_run
torch.set_num_threads(1)
forecast_run.resume(sys.argv[1], quiet=True)
"""


def lines(folder, phase):
    path = folder / "metrics.jsonl"
    return path.read_text().count(f'"phase": "{phase}"') if path.exists() else 0


def killed_in(phase, folder):
    """Resume a run in a process of its own, and kill that when the phase is under way."""
    process = subprocess.Popen([sys.executable, "-c", RESUME, str(folder)])
    until = time.monotonic() + 60
    while not lines(folder, phase):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until, f"{phase} never began"
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert not (folder / "scores.json").exists()


@pytest.mark.slow
def test_killed_in_every_phase_and_resumed(tmp_path, monkeypatch):
    source = tmp_path / "demand.csv"
    daily().to_csv(source, index=False)
    whole = forecast_run.train(source, tmp_path / "whole", tiny(**OPTIONS), test_size=14, quiet=True)
    # A run that was killed at once: nothing but its configuration.
    monkeypatch.setattr(forecast_run, "_go", lambda *_, **__: None)
    forecast_run.train(source, tmp_path / "killed", tiny(**OPTIONS), test_size=14, quiet=True)
    monkeypatch.undo()
    for phase in ("choose", "fit", "final"):
        killed_in(phase, tmp_path / "killed")
    resumed = forecast_run.resume(tmp_path / "killed", quiet=True)
    assert resumed.scores.equals(whole.scores)
    for name in ("model/model.safetensors", "model/config.json", "model/preprocessor.json", "test.csv", "forecast.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
