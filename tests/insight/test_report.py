"""The report: whole in itself, of any cell, of what any task tells."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.insight import explain
from celda.insight.figures import LIGHT, gradient_figure, themed
from celda.insight.gradients import gradient_by_lag


class Reader(torch.nn.Module):
    """Reads letters, and tells after each of them what comes next."""

    def __init__(self, cell, **options):
        super().__init__()
        self.embed, self.layer = torch.nn.Embedding(5, 3), celda.Recurrent(cell, 3, 6, **options)

    def forward(self, letters):
        return self.layer(self.embed(letters))[0]


@dataclass
class Letters:
    """A part of a text, with a class of characters."""

    text: str
    labels: list
    targets: dict
    layer: str = "layer"
    title: str = "Reading <text>"
    step: str = "a character"
    columns: tuple = ("e1", "e2", "e3")
    signal: None = None


@dataclass
class Text:
    """What a task of texts would tell."""

    network: Reader
    title: str = "Inside a reader of <letters>"
    facts: dict = field(default_factory=lambda: {"data": "a & b"})
    question: None = None

    def __post_init__(self):
        self.letters = torch.from_numpy(np.random.default_rng(0).integers(0, 5, size=(9, 6)))
        shown = ["abc \n"[k] for k in self.letters[:, -1]]
        self.parts = [Letters("", shown, {"a": (self.letters == 0).numpy()})]

    def run(self):
        return self.network(self.letters)


@pytest.mark.parametrize("cell", ["gru", "rnn", "janet"])
def test_the_report_is_whole_in_itself_and_needs_no_task(cell, tmp_path):
    torch.manual_seed(0)
    written = explain(Text(Reader(cell)), tmp_path / "out", step=3)
    page = written["report"].read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in written.values()}
    assert not re.search(r"""(?:src|href|srcset)=["'](?!data:|#)""", page)  # nothing is fetched
    assert "prefers-color-scheme: dark" in page
    assert "<letters>" not in page
    assert "a &amp; b" in page
    assert "step 4 of 9" in page
    assert page.count("<section") == page.count("</section")
    for path in written.values():
        assert path.suffix == ".html" or path.read_bytes().startswith(b"\x89PNG")
    assert ("hands its state straight on" in page) == (cell == "rnn")


def test_a_report_is_replaced_and_the_files_of_others_are_left(tmp_path):
    text, out = Text(Reader("lstm")), tmp_path / "out"
    first = explain(text, out)
    (out / "notes.txt").write_text("mine")
    again = explain(Text(Reader("rnn", num_layers=2, bidirectional=True)), out)
    assert set(first) > set(again)  # a plain network has no gates
    assert {path.name for path in out.iterdir()} == {path.name for path in again.values()} | {"notes.txt"}
    (out / "open.png").write_text("mine, too")
    with pytest.raises(CeldaError, match=r"holds open\.png, which no report"):
        explain(text, out)
    assert (out / "open.png").read_text() == "mine, too"


@pytest.mark.parametrize("name", ["notes.txt", "report.html"])
def test_a_folder_without_a_report_of_celda_is_refused(name, tmp_path):
    (tmp_path / name).write_text("<html><head></head>mine")
    with pytest.raises(CeldaError, match="holds no report of Celda's"):
        explain(Text(Reader("rnn")), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_folder_may_be_the_one_we_are_in_and_need_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explain(Text(Reader("rnn")), ".")
    assert (tmp_path / "report.html").is_file()
    with pytest.raises(CeldaError, match="Cannot make the folder"):
        explain(Text(Reader("rnn")), "no/such/folder")


def test_what_does_not_fit_is_told_and_nothing_is_written(tmp_path):
    text = Text(Reader("rnn"))
    with pytest.raises(CeldaError, match="step=9"):
        explain(text, tmp_path / "out", step=9)
    text.parts = text.parts * 2
    with pytest.raises(CeldaError, match="layer, layer"):
        explain(text, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_names_are_written_as_they_are(tmp_path):
    text = Text(Reader("lstm"))
    text.parts[0].labels = ["$\\foo$", *text.parts[0].labels[1:]]
    text.parts[0].targets = {"cost ($) at 5% ($)": np.arange(54.0).reshape(9, 6)}
    assert explain(text, tmp_path / "out")["units"].is_file()


def test_the_figure_of_the_gradient_shows_what_it_is_given():
    layer = celda.LSTM(2, 4)
    found = {"one": gradient_by_lag(layer, torch.randn(6, 2, 2))}
    with themed(LIGHT):
        figure = gradient_figure(found, LIGHT)
    left, right = figure.axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), found["one"].inputs.numpy(), rtol=1e-6)
    assert left.lines[0].get_ydata()[0] == pytest.approx(1)
    assert left.get_yscale() == "log"
