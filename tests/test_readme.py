"""What the README and the pages of the documentation show is executed, in the order in which it stands there."""

import functools
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import celda
from celda.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# the pages train as long as it takes
SMALL = {"hidden_size": 4, "epochs": 1, "batch_size": 1024}
QUICK = {
    **dict.fromkeys(("forecast", "classify", "tag"), SMALL),
    "language": {"hidden_size": 4, "epochs": 1, "batch_size": 4, "steps": 20},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs the code of a page in an empty folder, and gives the names that its Python leaves."""
    monkeypatch.chdir(tmp_path)
    for task in ("Forecaster", "Classifier", "Tagger"):
        monkeypatch.setattr(celda, task, functools.partial(getattr(celda, task), **SMALL))

    def run_page(page):
        names = {}
        for language, block in re.findall(r"```(python|sh)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S):
            if language == "python":
                exec(compile(block, page, "exec"), names)
            else:
                for line in block.replace("\\\n", " ").splitlines():
                    run_command(shlex.split(line, comments=True))
        return names

    return run_page


def run_command(words):
    if words[:1] != ["celda"]:
        assert words[0] in ("make", ".", "pip")  # they set up an environment, and would run these tests again
        return
    if words[1] in ("train", "compare"):
        words += [f"--{name.replace('_', '-')}={value}" for name, value in QUICK[words[2]].items()] + ["--quiet"]
    ended = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output


def test_the_readme_runs_and_its_cell_learns(run, tmp_path):
    when = pd.date_range("2024-01-01", periods=400, freq="h")
    load = 10 + np.sin(when.hour * np.pi / 12) + np.random.default_rng(0).normal(0, 0.1, 400)
    pd.DataFrame({"when": when, "load": load}).to_csv(tmp_path / "my.csv", index=False)
    for name in ("book.txt", "other.txt"):
        (tmp_path / name).write_text("En un lugar de la Mancha\n" * 50, encoding="utf-8")
    texts = [f"a {word} film, number {place}" for place in range(20) for word in ("good", "bad")]
    reviews = pd.DataFrame({"text": texts, "label": ["praise", "blame"] * 20})
    reviews.to_csv(tmp_path / "reviews.csv", index=False)
    reviews[["text"]].to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "sentences.conll").write_text("we P\nrun V\n\nthe D\nrun N\n\n" * 10)
    names = run("README.md")
    assert names["losses"][-1] < names["losses"][0]
    assert "z_t = σ(W_z x_t + R_z h_{t-1} + b_z)" in names["two_speed"].equations()
    assert names["drawing"].lstrip().startswith("<")
    assert names["y_0"].shape == (8, 16)
    assert names["model"].h == 24


def test_the_page_on_forecasting_runs(run, tmp_path):
    names = run("docs/forecasting.md")
    assert (names["forecast"]["ds"].min(), names["ahead"]["ds"].min()) == (
        pd.Timestamp(2024, 2, 10),
        pd.Timestamp(2024, 2, 5),
    )
    assert (
        len(names["test"].y) == 2 * 5
    )  # two sites, the five days between the end of the first table and of the longer
    assert len(names["folds"]) == 2 * 3 * 24
    assert list(pd.read_csv(tmp_path / "next-day.csv")["site"].unique()) == ["north", "south"]
    assert "minimal" in names["model"].predict("sites.csv")


def test_the_page_on_language_models_runs(run, tmp_path):
    names = run("docs/language-models.md")
    assert names["model"].scores_.loc["lstm", "loss"] < names["model"].scores_.loc["unigram", "loss"]
    assert len(names["begun"]) == len(names["rest"]) == 50
    assert (tmp_path / "runs/book/sample.txt").is_file()
    assert names["awd"].get_params()["optimizer"] == "asgd"


def test_the_page_on_classification_runs(run):
    names = run("docs/classification.md")
    assert list(names["test"].scores.index) == ["lstm", "bag of words", "most frequent"]
    assert names["again"].predict(["lovely"]) == names["classifier"].predict(["lovely"])
    assert names["gaps"].encoder_.masks


def test_the_page_on_tagging_runs(run, tmp_path):
    names = run("docs/tagging.md")
    assert [len(one) for one in names["found"]] == [len(one) for one in names["frames"]]
    assert set(pd.read_csv(tmp_path / "tags.csv")["predicted"]) <= {"D", "N", "V", "P"}


def test_the_page_on_the_language_runs(run):
    assert run("docs/language.md")["peephole_lstm"].states == ("h", "c")


def test_the_page_on_weights_runs(run):
    names = run("docs/weights.md")
    assert 0 <= names["forget"].min() < names["forget"].max() <= np.log(783)
    assert [a.shape for a in names["first"]] == [(3, 64), (16, 64), (64,)]
    assert {name: a.shape for name, a in names["arrays"].items()} == {"W": (2, 48, 3), "R": (2, 48, 16), "B": (2, 96)}


def test_the_page_beside_torch_runs(run):
    names = run("docs/torch.md")
    wanted, found = names["model"](names["x"]), (names["y"], (names["h"], names["c"]))
    torch.testing.assert_close(found, wanted)


def test_the_page_on_options_runs(run):
    names = run("docs/options.md")
    assert names["y"].equal(names["again"])
    assert not names["y"].equal(names["mean"])
    assert names["forgets"].shape == (20, 8, 16)
    assert names["gated"].highway_weight_l3.shape == (32, 32)


def test_the_page_on_insight_runs(run, tmp_path):
    names = run("docs/insight.md")
    kept = {name: one.factor(50) for name, one in names["gradients"].items()}
    assert kept["LSTM, forget bias 1"] > 1e5 * kept["LSTM, forget bias 0"]
    assert kept["LSTM, forget bias 0"] < 100 * kept["plain RNN"]
    assert (tmp_path / "gradient.png").is_file()
    assert (tmp_path / "runs/demo/explained/report.html").is_file()


def test_the_page_on_comparing_cells_runs(run, tmp_path):
    days = pd.date_range("2021-01-04", periods=150, freq="D")
    y = np.array([10, 12, 13, 12, 11, 5, 4])[days.dayofweek] + np.random.default_rng(0).normal(size=150)
    pd.DataFrame({"ds": days, "y": y}).to_csv(tmp_path / "days.csv", index=False)
    assert list(run("docs/comparing.md")["found"].cells) == ["lstm", "rnn"]
    assert (tmp_path / "runs/compared/compare.png").is_file()


def test_the_page_on_streams_runs_and_its_model_learns(run):
    names = run("docs/streams.md")
    assert names["losses"][-1] < 0.6 * names["losses"][0]
    assert names["scores"][-1].shape == (70, 2, 8)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings], (
            target
        )
