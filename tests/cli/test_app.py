"""The program end to end: what it prints, what it writes, and how it ends."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

SHORT = ("--h", "4", "--epochs", "1", "--hidden-size", "4", "--test-size", "24", "--quiet")


def celda(*args, cwd):
    command = [sys.executable, "-m", "celda", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.fixture
def csv(tmp_path):
    when = pd.date_range("2020-01-01", periods=300, freq="h")
    load = 10 + np.sin(np.arange(300) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.1, 300)
    pd.DataFrame({"when": when, "load": load}).to_csv(tmp_path / "my.csv", index=False)
    return tmp_path / "my.csv"


def test_from_a_csv_to_a_forecast(csv, tmp_path):
    columns = ("--time-col", "when", "--target-col", "load")
    done = celda("train", "forecast", csv, *SHORT, *columns, "--run", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("lstm", "ridge", "seasonal_naive", "MAE"):
        assert name in done.stdout
    assert (tmp_path / "run/model/model.safetensors").is_file()
    told = celda("predict", "run", cwd=tmp_path)
    assert told.stdout.splitlines()[1].split(",")[1].startswith("2020-01-13 12:00")
    assert "lstm" in celda("evaluate", "run", cwd=tmp_path).stdout
    assert celda("resume", "run", "--quiet", cwd=tmp_path).returncode == 0
    again = celda("train", "forecast", csv, *SHORT, *columns, "--run", "run", cwd=tmp_path)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("train", "forecast", "absent.csv", *SHORT, "--run", "r"), "absent.csv"),
        (("train", "forecast", "my.csv", *SHORT, "--target-col", "power", "--run", "r"), "power"),
        (("train", "forecast", "electricity", "--h", "0", "--run", "r"), "--h 0"),
        (("train", "forecast", "electricity", "--h", "4", "--cell", "lsmt", "--run", "r"), "lsmt"),
        (("predict", "absent"), "absent"),
        (("resume", "absent"), "absent"),
        (("evaluate", "absent"), "absent"),
        (("cells", "lsmt"), "lsmt"),
        (("cells", "--svg", "a.svg"), "celda cells lstm --svg lstm.svg"),
        (("data", "power"), "power"),
    ],
)
def test_bad_input_is_one_line_and_status_1(csv, tmp_path, args, told):
    ended = celda(*args, cwd=tmp_path)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert told in ended.stderr
    assert not (tmp_path / "r").exists()


def test_wrong_usage_is_status_2(tmp_path):
    assert celda("train", "forecast", "electricity", cwd=tmp_path).returncode == 2
    assert celda("fly", cwd=tmp_path).returncode == 2


def test_cells_are_listed_with_their_source(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    listed = celda("cells", cwd=tmp_path).stdout.splitlines()
    assert any(line.split()[:3] == ["peephole_lstm", "2000", "Gers"] for line in listed)
    assert max(map(len, listed)) <= 100


def test_cells_data_and_doctor_tell(tmp_path):
    told = celda("cells", "lstm", "--svg", "lstm.svg", cwd=tmp_path).stdout
    assert "f_t = σ(W_f x_t + R_f h_{t-1} + b_f)" in told
    assert "1. products weight_ih x_t, weight_hh h_{t-1}; unit by unit i, f, g, o, c, h" in told
    assert "weights: 33,280 (133.1 kB)" in told  # 4 gates of 64 x (64 + 64 + 2)
    assert "a step of a sequence: 65,536 FLOPs" in told  # 2 x 4 x 64 x 128
    assert "state: 128 numbers" in told
    assert "kept for the gradients: 320 numbers" in told  # i, f, g, o and c
    assert "engine: cpu" in told
    two = celda("cells", "gru_2014", cwd=tmp_path).stdout
    assert "2. products weight_ih x_t, weight_hh (r_t ⊙ h_{t-1}); unit by unit n, h" in two
    assert (tmp_path / "lstm.svg").read_text().lstrip().startswith("<")
    assert "4,032" in celda("data", cwd=tmp_path).stdout
    assert len(celda("data", "electricity", "--csv", cwd=tmp_path).stdout.splitlines()) == 4033
    assert "agrees with torch.nn.LSTM" in celda("doctor", cwd=tmp_path).stdout
    assert "compiled kernels" in celda("cache", "info", cwd=tmp_path).stdout


def test_version_and_help(tmp_path):
    assert celda("--version", cwd=tmp_path).stdout.startswith("celda 0.")
    assert "Commands" in celda(cwd=tmp_path).stdout
