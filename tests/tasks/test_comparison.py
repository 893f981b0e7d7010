"""Cells compared: with as many weights, tested in pairs, kept when interrupted, and told in a table."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from celda.cli.app import app, main
from celda.errors import CeldaError
from celda.insight import gradient_of, record
from celda.tasks.comparison import Comparison, Run, compare
from celda.tasks.comparison.matching import matching_size
from celda.tasks.comparison.results import holm, paired
from tests.tasks.conftest import daily

FORECAST = {"h": 7, "input_size": 14, "val_size": 14, "hidden_size": 4, "epochs": 1}


def measure(network, run):
    return gradient_of(record(network, run)[0])


def made(errors):
    """A comparison of cells with these errors by seed."""
    runs = [
        Run(cell, seed, 4, 100, error, 3, (1.0, 0.5, 0.1), 1, 1.0, 1.0)
        for cell, by_seed in errors.items()
        for seed, error in enumerate(by_seed)
    ]
    return Comparison(runs, dict.fromkeys(errors, ()), "MAE", "1 row", "")


@pytest.mark.parametrize("wanted", [1, 5, 6, 96, 106, 107, 117, 10**6])
def test_the_hidden_size_is_the_one_of_the_nearest_number_of_weights(wanted):
    count = lambda n: n * n + 4 * n  # noqa: E731
    assert matching_size(count, wanted) == min(range(1, 1200), key=lambda n: abs(count(n) - wanted))


def test_the_paired_test_is_student_s():
    # differences 1, 2, 3, 4, 5: t = 3 / sqrt(2.5 / 5) = 4.243 with 4 degrees of freedom
    a = np.array([1.0, 2, 3, 4, 5])
    assert paired(a, np.zeros(5)) == pytest.approx(0.01324, abs=1e-5)
    assert paired(a, a) == 1.0


def test_several_p_are_corrected_as_holm_has_it():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([np.nan, 0.02])[0])


def test_the_best_is_marked_only_where_every_pair_tells_it():
    low, high = [1.0, 1.1, 0.9, 1.0, 1.05], [2.0, 2.2, 1.9, 2.1, 2.0]
    assert made({"a": high, "b": low, "c": [3 * e for e in high]}).best == "b"
    assert made({"a": high, "b": low, "c": [1.05, 1.05, 0.95, 0.98, 1.04]}).best is None
    # differences 0, 2, 3, 4, 5 (hundredths): p is 0.031, which Holm makes 0.093 for three; the note says which decides
    more = [1.0, 1.02, 1.03, 1.04, 1.05]
    found = made({"a": [1.0] * 5, "b": more, "c": more[::-1], "d": more[2:] + more[:2]})
    assert found.best == "a"
    assert found.deciding == pytest.approx(0.0312, abs=1e-4)
    assert found.table()["p"][1:].tolist() == pytest.approx([3 * found.deciding] * 3)
    assert any("the largest of their p is 0.031" in note for note in found.notes)
    assert not any("error:" in note for note in found.notes)
    few = made({"a": high[:4], "b": low[:4]})
    assert few.best is None
    assert few.table()["p"].isna().all()
    assert any("4 seeds are too few" in note for note in few.notes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A comparison by forecasts."""
    folder = tmp_path_factory.mktemp("comparison")
    daily(120).to_csv(folder / "days.csv", index=False)
    lines = []
    compare(
        "forecast",
        folder / "days.csv",
        ["lstm", "rnn"],
        FORECAST,
        measure=measure,
        seeds=2,
        out=folder / "out",
        report=lines.append,
    )
    assert len(lines) == 4
    return folder


def test_what_is_written_is_whole(folder):
    cells, runs = (pd.read_csv(folder / "out" / f"{name}.csv") for name in ("compare", "runs"))
    assert cells["cell"].tolist() == ["lstm", "rnn"]
    assert len(runs) == 4
    assert cells.loc[1, "error"] == pytest.approx(runs.query("cell == 'rnn'")["error"].mean(), rel=1e-4)
    assert abs(cells.loc[1, "weights"] / cells.loc[0, "weights"] - 1) < 0.1
    assert cells.loc[1, "hidden_size"] > cells.loc[0, "hidden_size"]
    assert runs["memory"].between(0, 13).all()
    assert (folder / "out" / "compare.png").is_file()
    assert not list((folder / "out").rglob(".*"))


def test_what_has_ended_is_not_done_again_and_the_rest_is(folder):
    kept = folder / "out" / "runs" / "rnn-1.json"
    first = json.loads(kept.read_text())["run"]
    kept.unlink()
    lines = []
    again = compare(
        "forecast",
        folder / "days.csv",
        ["lstm", "rnn"],
        FORECAST,
        measure=measure,
        seeds=2,
        out=folder / "out",
        report=lines.append,
    )
    assert ["done before" in line for line in lines] == [True, True, True, False]
    assert again.of("rnn")[1].error == first["error"]  # the same seed, the same weights


def test_a_folder_of_other_options_is_refused(folder):
    other = {**FORECAST, "epochs": 2}
    with pytest.raises(CeldaError, match="other data or other options"):
        compare("forecast", folder / "days.csv", ["lstm", "rnn"], other, measure=measure, out=folder / "out", seeds=1)
    with pytest.raises(CeldaError, match="no task 'paint'"):
        compare("paint", folder / "days.csv", ["lstm", "rnn"], measure=measure)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"nope": 0}, "'nope' is no option of Forecaster"), ({"cell": "gru"}, "cells="), ({"seed": 3}, "seeds=")],
)
def test_options_without_an_effect_are_refused(folder, options, told):
    with pytest.raises(CeldaError, match=told):
        compare("forecast", folder / "days.csv", ["lstm", "rnn"], {**FORECAST, **options}, measure=measure)


def test_texts_and_languages_are_compared_too(tmp_path):
    texts = [f"a {word} film, number {place}" for place in range(10) for word in ("good", "bad")]
    pd.DataFrame({"text": texts, "label": ["praise", "blame"] * 10}).to_csv(tmp_path / "reviews.csv", index=False)
    (tmp_path / "book.txt").write_text("En un lugar de la Mancha\n" * 60, encoding="utf-8")
    small = {"hidden_size": 4, "epochs": 1}
    words = compare("classify", tmp_path / "reviews.csv", ["lstm", "rnn"], small, measure=measure, seeds=1)
    assert all(0 <= run.error <= 1 for run in words.runs)
    options = {**small, "batch_size": 4, "steps": 10}
    text = compare("language", tmp_path / "book.txt", ["lstm", "rnn"], options, measure=measure, seeds=1)
    sentences = "".join(f"{who} PER\nruns O\nin O\n{place} LOC\n\n" for who in "abcde" for place in "vwxyz")
    (tmp_path / "words.conll").write_text(sentences)
    eager = {"hidden_size": 8, "epochs": 60, "learning_rate": 0.02}
    tags = compare("tag", tmp_path / "words.conll", ["lstm", "rnn"], eager, measure=measure, seeds=1)
    assert tags.step == "a word"
    assert all(run.error < 0.5 for run in tags.runs)  # of three labels
    assert all(0 <= run.memory < 10 for run in text.runs)
    assert len(text.runs[0].gradient) == 10


def test_the_command_prints_the_table(folder):
    words = "--cells lstm,rnn --h 7 --input-size 14 --hidden-size 4 --epochs 1 --seeds 1 --quiet"
    ended = CliRunner().invoke(app, ["compare", "forecast", str(folder / "days.csv"), *words.split()])
    assert ended.exit_code == 0, ended.output
    assert "against lstm" in ended.output
    assert "1 seed is too few" in ended.output
    assert "Write --seeds 5" in ended.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("forecast days.csv --h 7 --cells lstm,nothing", "no cell 'nothing'"),
        ("forecast days.csv --h 7 --cells lstm,gru,lstm", "named twice"),
        ("forecast days.csv --h 7 --cells lstm", "two or more"),
        ("forecast days.csv --h 7 --seeds 0", "--seeds 0 cannot be used"),
        ("forecast days.csv", "--h 24"),
        ("forecast none.csv --h 7", "none.csv"),
        ("classify days.csv --h 7", "--h 7 is no option of the task classify"),
        ("forecast days.csv --h 7 --out days.csv", "cannot be written to"),
        ("forecast days.csv --h 7 --out .", "other files than those of a comparison"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(folder, words, told, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["celda", "compare", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert told in said.err
    assert said.err.count("\n") == 1


def test_an_unknown_task_is_an_error_of_usage(folder):
    assert CliRunner().invoke(app, ["compare", "paint", str(folder / "days.csv")]).exit_code == 2
