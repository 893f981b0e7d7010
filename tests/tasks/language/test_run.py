"""A run of a language model: its files, Ctrl-C, resuming, and the command line end to end."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import celda
from celda.cli.app import app
from celda.errors import CeldaError
from celda.tasks import forecast_run, run_folder, runs
from celda.tasks.language import run as language_run
from celda.training.learner import Learner
from tests.tasks.conftest import daily
from tests.tasks.conftest import tiny as forecaster
from tests.tasks.language.conftest import text, tiny

FILES = [
    "checkpoints/fit.safetensors",
    "config.json",
    "figures/loss.png",
    "metrics.jsonl",
    "model/README.md",
    "model/config.json",
    "model/model.safetensors",
    "model/preprocessor.json",
    "sample.txt",
    "scores.json",
]
QUICK = ("--hidden-size=8", "--epochs=1", "--batch-size=4", "--steps=20", "--quiet")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "quijote.txt"
    path.write_text(text(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "quijote"
    return folder, language_run.train(source, folder, tiny(), quiet=True)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_run_leaves_all_its_files(done, fitted):
    folder, outcome = done
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == FILES
    assert set(found) <= set(run_folder._FILES)  # what overwriting deletes
    assert outcome.scores.equals(fitted.scores_)
    assert (outcome.windows, outcome.what) == (fitted.tested_, "characters")
    assert len((folder / "sample.txt").read_text(encoding="utf-8")) == 1001
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_evaluate_from_the_folder(done, source):
    folder, outcome = done
    again = language_run.evaluate(folder)
    pd.testing.assert_frame_equal(again.scores, outcome.scores)
    assert (again.windows, again.what, again.notes) == (outcome.windows, outcome.what, outcome.notes)
    other = language_run.evaluate(folder, text(seed=2))
    assert other.scores.loc["lstm", "loss"] == pytest.approx(-celda.load(folder).score(text(seed=2)))
    assert runs.task_of(folder / "model") == "language"


def test_interrupted_within_an_epoch_it_saves_and_resumes_to_the_same(done, source, tmp_path, monkeypatch):
    folder, step = tmp_path / "run", Learner.step

    def interrupted(self, indices, interruption):
        interruption.received = self.steps_done == 100
        return step(self, indices, interruption)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            language_run.train(source, folder, tiny(), quiet=True)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "config.json", "metrics.jsonl"]
    for early in (language_run.evaluate, celda.load):
        with pytest.raises(CeldaError, match=r"has not ended.*celda resume"):
            early(folder)
    assert run("resume", folder, "--quiet").exit_code == 0
    for name in ("model/model.safetensors", "model/config.json", "sample.txt"):
        assert (folder / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_a_text_in_memory_is_given_again(tmp_path, source):
    language_run.train(text(), tmp_path / "run", tiny(epochs=1), quiet=True)
    with pytest.raises(CeldaError, match="with a text in memory, not with a file: give that text again"):
        language_run.resume(tmp_path / "run")
    assert (
        language_run.resume(tmp_path / "run", text(), quiet=True).windows
        == language_run.evaluate(tmp_path / "run").windows
    )
    with pytest.raises(CeldaError, match=r"not what the run in .* began with"):
        language_run.resume(tmp_path / "run", text(seed=1))


@pytest.mark.parametrize(("source", "answer"), [("a" * 50, "too short"), ("", "empty"), ("no.txt", "does not exist")])
def test_a_text_that_cannot_be_learnt_from_leaves_no_folder(source, answer, tmp_path):
    with pytest.raises(CeldaError, match=answer):
        language_run.train(source, tmp_path / "run", tiny(), quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_leaves_no_folder(source, tmp_path):
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(CeldaError, match=f"device='{absent}' was asked for"):
        language_run.train(source, tmp_path / "run", tiny(device=absent), quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_command_line_from_a_text_to_a_sample(source, tmp_path):
    folder = tmp_path / "run"
    trained = run("train", "language", source, "--run", folder, *QUICK)
    assert trained.exit_code == 0, trained.output
    assert "characters that the model" in trained.output
    assert "unigram" in trained.output
    sampled = run("sample", folder, "--prime", "En un lugar", "--length", 50, "--top-k", 5, "--top-p", 0.9, "--seed", 1)
    assert sampled.exit_code == 0
    assert sampled.stdout.startswith("En un lugar")
    again = celda.load(folder).sample("En un lugar", 50, top_k=5, top_p=0.9, seed=1)
    assert sampled.stdout == f"En un lugar{again}\n"
    assert run("sample", folder / "model", "--seed", 1, "--length", 9).exit_code == 0
    assert "bits-per-character" in run("evaluate", folder, source).output
    assert run("resume", folder, "--quiet").exit_code == 0


def test_letters_that_the_terminal_has_not_are_escaped(done):
    for encoding, shown in (("ascii", b"ni\\xf1a"), ("ascii:replace", b"ni?a")):
        command = [sys.executable, "-c", "from celda.cli import main; main()", "sample", done[0], "--prime", "niña"]
        environment = os.environ | {"PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        ended = subprocess.run([*command, "--length", "300"], capture_output=True, env=environment)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith(shown)


def test_bad_input_of_the_command_line_is_one_line(done, source, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes(text().encode("cp1252"))
    forecast = tmp_path / "forecast"
    forecast_run.train(daily(), forecast, forecaster(epochs=1), test_size=14, quiet=True)
    train = ("train", "language", "--run", tmp_path / "run", *QUICK)
    cases = [
        ((*train, tmp_path / "empty.txt"), "empty.txt is empty"),
        ((*train, tmp_path / "latin.txt"), "is not UTF-8: byte 0xBF at position"),
        ((*train, tmp_path / "latin.txt"), "--encoding cp1252"),
        ((*train, tmp_path / "absent.txt"), "absent.txt does not exist"),
        (
            (*train, "--steps=10000", source),
            "--steps 10000: give a longer text, or write smaller ones",
        ),
        (("sample", tmp_path / "absent"), "absent does not exist"),
        (("sample", done[0], "--prime", "Ω"), "does not know 'Ω'"),
        (("sample", done[0], "--temperature", -1), "--temperature -1"),
        (("sample", forecast), "holds a Forecaster, which writes no text"),
        (("predict", done[0]), "holds a language model, which writes on"),
        (("resume", done[0], "--future-data", "x.csv"), "--future-data is for forecasts"),
        (("evaluate", tmp_path), "holds no run"),
    ]
    for words, answer in cases:
        ended = run(*words)
        assert isinstance(ended.exception, CeldaError), ended.output
        assert answer in str(ended.exception)
        assert "\n" not in str(ended.exception)
    assert not (tmp_path / "run").exists()


def test_a_run_of_a_task_that_is_not_there_is_told(done, tmp_path):
    config = json.loads((done[0] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "task": "translate"}))
    with pytest.raises(CeldaError, match="a run of the task 'translate', which this version has not"):
        runs.of(tmp_path)
