"""The report: whole in itself, of any cell, of what any task tells."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.insight import explain, gradient_by_lag, record, walk
from celda.insight.figures import LIGHT, averages_figure, gradient_figure, themed
from celda.insight.report import content


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
    keys = re.findall(r'<a href="#([a-z]+)">', page)
    assert keys == re.findall(r'<h2 id="([a-z]+)">', page)  # the links lead to the sections, in their order
    assert ("open" in keys) == (cell != "rnn")
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


def test_text_of_ones_own_is_no_markup(tmp_path):
    text = Text(Reader("lstm"))
    evil = "<script>alert(1)</script>"
    text.parts[0].labels, text.parts[0].step = [evil] * 9, "a <b>step</b>"
    text.parts[0].title, text.parts[0].targets = evil, {evil: text.parts[0].targets["a"]}
    text.title, text.facts = evil, {evil: evil}
    page = explain(text, tmp_path / "out")["report"].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>step</b>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>Effective memory" in page  # what is markup stays


def test_of_several_layers_one_place_is_shown_and_named(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(content, "walk", lambda *given, place, **more: shown.append(place) or walk(*given, place=place))
    text = Text(Reader("gru", num_layers=2, bidirectional=True))
    page = explain(text, tmp_path / "out")["report"].read_text(encoding="utf-8")
    assert shown == [0]
    assert all(f"gate of layer {n}, {way}," in page for n in (1, 2) for way in ("forwards", "backwards"))
    assert re.search("unit \\d of layer 1, forwards", page)
    assert "What the gates alone leave, in layer 1, forwards" in page
    part, recording = text.parts[0], record(text.network, text.run)[0]
    (axis,) = averages_figure(recording, part, LIGHT).axes
    line = next(line for line in axis.lines if line.get_label().startswith("z"))
    np.testing.assert_allclose(line.get_ydata(), recording.traced["z"][0, :, -1].mean(-1), rtol=1e-6)


@dataclass
class Answer:
    """The first letter's embedding, summed, as an answer: nothing but the input."""

    x: torch.Tensor
    baseline: torch.Tensor
    words: str = "the sum"
    baseline_words: str = "zeros"
    labels: tuple = tuple("abcdefghi")
    series: None = None
    unit: float = 1.0
    unit_words: str = "apples"

    def output(self, x):
        return x.sum((1, 2))


def test_rounding_is_no_finding(tmp_path):
    text = Text(Reader("rnn"))
    x = torch.ones(1, 9, 3)
    text.question = Answer(x, x + 1e-8)
    page = explain(text, tmp_path / "out")["report"].read_text(encoding="utf-8")
    assert "There is no difference between the two answers" in page
    assert not (tmp_path / "out" / "inputs.png").exists()
    text.question = Answer(x, 0 * x)
    said = []
    page = explain(text, tmp_path / "out", tell=said.append)["report"].read_text(encoding="utf-8")
    assert "differ by 27 apples" in page
    assert "it adds 3 apples" in page
    assert "following the gradient back in time" in said


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
    for axis in (left, right):
        assert all(float(tick).is_integer() for tick in axis.get_xticks())
