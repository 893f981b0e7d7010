"""Runs of the classifier and the tagger, by the command line."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile
from typer.testing import CliRunner

import celda
from celda.cli.app import app
from celda.errors import CeldaError
from celda.tasks import run_folder
from celda.tasks.sequences import run as sequence_run
from celda.tasks.sequences.estimator import Training
from tests.tasks.sequences.examples import classifier, reviews, sentences

QUICK = ["--epochs=3", "--hidden-size=4", "--embedding-size=4", "--quiet"]


def run(*words, status=0):
    ended = CliRunner().invoke(app, [str(word) for word in words])
    if status == 0:
        assert ended.exit_code == 0, (ended.output, ended.exception)
        return " ".join(ended.output.split()) if words[0] != "predict" else ended.output
    return str(ended.exception)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    texts, labels = reviews(100)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def done(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "reviews"
    return folder, run("train", "classify", texts, "--run", folder, *QUICK)


def test_a_run_shows_its_scores_and_leaves_its_files(done):
    folder, told = done
    assert "Test: 20 sequences that the model had not seen" in told
    assert "bag of words" in told
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found < {*run_folder._FILES}  # what overwriting deletes
    assert {"test.csv", "figures/confusion.png", "model/model.safetensors", "scores.json"} < found
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    test = pd.read_csv(folder / "test.csv")
    assert scores["lstm"]["accuracy"] == pytest.approx((test["label"] == test["predicted"]).mean())
    assert f"{scores['lstm']['log-loss']:.4g}" in (folder / "model" / "README.md").read_text()
    assert isinstance(celda.load(folder), celda.Classifier)


def test_evaluate_and_predict_from_the_folder(done, texts, tmp_path):
    folder, _ = done
    assert "Test: 20 sequences" in run("evaluate", folder)
    assert "had ended already: nothing was left to train" in run("resume", folder, "--quiet")
    again = run("evaluate", folder, texts)
    assert f"{texts.name}: 100 sequences" in again
    assert "had not seen" not in again  # the model may have learnt from them
    assert "bag of words" in again
    run("predict", folder, texts, "--out", tmp_path / "p.csv")
    assert list(pd.read_csv(tmp_path / "p.csv").columns) == ["id", "predicted", "p_bad", "p_good"]
    assert "There is nothing to predict: give a file" in run("predict", folder, status=1)
    assert "--future-data is for forecasts" in run("predict", folder, texts, "--future-data", "x.csv", status=1)


def test_an_interrupted_run_resumes_to_the_same(done, texts, tmp_path, monkeypatch):
    folder, _ = done
    real = Training.train

    def stop(self, *args):
        if args[-1] == "fit":
            raise KeyboardInterrupt
        real(self, *args)

    monkeypatch.setattr(Training, "train", stop)
    options = classifier(epochs=3, hidden_size=4, embedding_size=4, batch_size=32, learning_rate=5e-3, min_count=2)
    with pytest.raises(KeyboardInterrupt):
        sequence_run.train(texts, tmp_path / "run", options, quiet=True)
    with pytest.raises(CeldaError, match=r"has not ended.*celda resume"):
        sequence_run.evaluate(tmp_path / "run")
    monkeypatch.setattr(Training, "train", real)
    run("resume", tmp_path / "run", "--quiet")
    ours, theirs = (path / "model" / "model.safetensors" for path in (tmp_path / "run", folder))
    assert ours.read_bytes() == theirs.read_bytes()


def test_other_data_is_not_resumed_with(done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "run")
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "a dull film,bad\na great film,good\n" * 10)
    assert "is not what the run in" in run("resume", folder, other, status=1)


def test_a_tagger_from_columns_to_tags(tmp_path):
    lines = ["\n".join(f"{w}\t{t}" for w, t in zip(*pair, strict=True)) for pair in zip(*sentences(), strict=True)]
    (tmp_path / "a.conll").write_text("\n\n".join(lines))
    told = run("train", "tag", tmp_path / "a.conll", "--crf", "--run", tmp_path / "run", *QUICK)
    assert "Test: 36 steps that the model had not seen" in told
    assert "by word" in told
    (tmp_path / "b.txt").write_text("we\nrun\n")
    assert run("predict", tmp_path / "run", tmp_path / "b.txt").splitlines()[0] == "id,step,token,predicted,probability"
    assert isinstance(celda.load(tmp_path / "run"), celda.Tagger)


def test_a_class_of_the_test_alone_is_told_before_the_training(texts, tmp_path):
    (tmp_path / "test.csv").write_text("text,label\nso so,middling\n")
    told = run("train", "classify", texts, "--test", tmp_path / "test.csv", "--run", tmp_path / "run", *QUICK, status=1)
    assert "test.csv holds a class that the model has not learnt, 'middling': it knows bad, good" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [("--learning-rate", "-1"), ("--seed", "-1"), ("--min-count", "1000")])
def test_what_cannot_be_trained_leaves_no_folder(options, texts, tmp_path):
    told = run("train", "classify", texts, "--run", tmp_path / "run", *QUICK, *options, status=1)
    assert options[0] in told or "No word occurs 1000 times" in told
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_leaves_no_folder(texts, tmp_path):
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(CeldaError, match=f"device='{absent}' was asked for"):
        sequence_run.train(texts, tmp_path / "run", classifier(device=absent), quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_test_of_another_rate_is_told_before_the_training(tmp_path):
    for folder, rate in (("data", 8000), ("test", 16_000)):
        for name in "ab":
            (tmp_path / folder / name).mkdir(parents=True)
            for place in range(3):
                wavfile.write(tmp_path / folder / name / f"{place}.wav", rate, np.zeros(800, np.int16))
    options = ("--test", tmp_path / "test", "--run", tmp_path / "run", "--epochs", "1", "--quiet")
    told = run("train", "classify", tmp_path / "data", *options, status=1)
    assert "test holds recordings of 16000 Hz, and the model was fitted on 8000 Hz" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "text", "answer"),
    [
        ("classify", "text,label\n" + "good,x\nbad,y\n" * 20, "'text', which the model has learnt from, only message"),
        (
            "tag",
            "id,token,label\n" + "".join(f"{k},good,x\n{k},bad,y\n" for k in range(20)),
            "'token', which the model has learnt from",
        ),
    ],
)
def test_a_model_of_words_takes_no_other_column_for_them(task, text, answer, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    run("train", task, tmp_path / "a.csv", "--run", tmp_path / "run", *QUICK)
    (tmp_path / "b.csv").write_text("message\nthe film was good\n")
    told = run("predict", tmp_path / "run", tmp_path / "b.csv", status=1)
    assert answer in told
    assert "rename the one that holds the" in told


@pytest.mark.parametrize(
    ("text", "options", "answer"),
    [
        ("text,label\na,x\nb,x\nc,x\nd,x\n", (), "only one class, x"),
        ("text,label\na,x\nb,y\n", (), "too few sequences (2) to hold a test out"),
        ("text,label\na,x\nb,y\n", ("--pooling", "sum"), "There is no pooling 'sum'"),
        ("text,label\na,x\nb,y\n", ("--test-size", "2"), "--test-size 2.0 is no share"),
        ("text,kind\na,x\nb,y\n", (), "name it (--label-col)"),
        ("text,Label\na,x\nb,y\n", (), "did you mean 'Label'? name it (--label-col)"),
    ],
)
def test_what_is_told_in_one_line(text, options, answer, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    told = run("train", "classify", tmp_path / "a.csv", "--run", tmp_path / "run", *options, *QUICK, status=1)
    assert answer in told
    assert "\n" not in told


def test_a_single_sequence_cannot_be_cut_into_a_test(tmp_path):
    """What is to be done is told, which validation=0 is not: that would be refused in the same words."""
    table = tmp_path / "one.csv"
    table.write_text("id,x,label\n" + "".join(f"1,{k},{'ab'[k % 2]}\n" for k in range(8)))
    with pytest.raises(CeldaError, match=r"a single sequence.*for the test.*\(id_col\), or give another file, test="):
        sequence_run.train(table, tmp_path / "run", celda.Tagger(epochs=1), quiet=True)
    assert not (tmp_path / "run").exists()
