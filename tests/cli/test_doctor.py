"""`celda doctor`: the engines, why each would run or not, and its check of them."""

import llvmlite
import pytest
import torch
from typer.testing import CliRunner

from celda import engines
from celda.cli import doctor
from celda.cli.app import app
from celda.engines.cpu import machine
from celda.errors import CeldaError


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CELDA_CACHE", str(tmp_path))
    monkeypatch.delenv("CELDA_ENGINE", raising=False)
    monkeypatch.setattr("celda.cli.console.console._width", 1000)


def told(status=0):
    ended = CliRunner().invoke(app, ["doctor"])
    assert ended.exit_code == status, ended.output
    return ended.stdout


def test_it_says_what_kernels_are_made_with_and_for_and_that_the_engines_agree(tmp_path):
    text = told()
    for part in (llvmlite.__version__, machine.host().cpu, f"{8 * machine.host().vector_bytes} bits"):
        assert part in text
    assert "the gpu engine has not run on a GPU yet" in text
    assert f"{tmp_path / 'kernels'}, which can be written" in text
    assert "the reference agrees with torch.nn.LSTM" in text
    assert "on the cpu engine, compiled anew in" in text
    assert "s, agrees with the reference here" in text
    assert "CELDA_ENGINE" not in text


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "kernels").write_text("a file")
    assert "cannot be written (File exists), so every process compiles anew: set CELDA_CACHE" in told()


def test_an_engine_that_cannot_run_says_why(monkeypatch):
    monkeypatch.setattr(engines, "_HAS_COMPILER", False)
    text = told()
    assert "llvmlite is not installed" in text
    assert "on the cpu engine" not in text


def test_the_environment_is_told(monkeypatch):
    monkeypatch.setenv("CELDA_ENGINE", "reference")
    assert "CELDA_ENGINE=reference is set" in told()
    for same in ("", "auto"):
        monkeypatch.setenv("CELDA_ENGINE", same)
        assert "CELDA_ENGINE" not in told()
    monkeypatch.setenv("CELDA_ENGINE", "fast")
    ended = CliRunner().invoke(app, ["doctor"])
    assert isinstance(ended.exception, CeldaError)
    assert "CELDA_ENGINE='fast': there is no such engine" in str(ended.exception)
    assert "agrees with" in ended.stdout
    assert "decides" not in ended.stdout


def test_a_wrong_engine_is_found_out(monkeypatch):
    monkeypatch.setattr(engines, "_engine", lambda _: _wrong)
    assert "DIFFERS from the reference" in told(status=1)


def test_an_engine_that_fails_is_told(monkeypatch):
    def fails(_):
        raise OSError("no memory may be executed")

    monkeypatch.setattr(engines, "_engine", lambda _: fails)
    assert "the cpu engine FAILS here: OSError: no memory may be executed" in told(status=1)


def _wrong(call):
    right = engines.reference(call)
    return engines.Result(right.output * 1.001, right.states, right.kept)


def test_not_a_number_is_a_difference():
    assert not doctor._told("this", "that", [torch.tensor([torch.nan])], [torch.zeros(1)])
