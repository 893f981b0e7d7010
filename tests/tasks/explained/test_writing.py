"""A language model, opened: its pieces are those of the text, and what it foretells stands on what it read."""

import itertools

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from celda import LanguageModel
from celda.cli.app import app
from celda.errors import CeldaError
from celda.insight import integrated_gradients
from celda.tasks import explained

TEXT = "En un lugar de la Mancha.\n¿Qué es la vida?\n" * 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing")
    (folder / "book.txt").write_text(TEXT, encoding="utf-8")
    model = LanguageModel(hidden_size=16, batch_size=4, steps=20, epochs=3, learning_rate=0.02, test_size=0.1)
    model.fit(folder / "book.txt").save(folder / "model")
    return folder


def test_the_pieces_are_the_text_one_after_another(folder):
    found = explained.subject(folder / "model", folder / "book.txt")
    texts = ["".join(column) for column in found._texts.T]
    assert "".join(text[:-1] for text in texts) == TEXT[: 20 * len(texts)]
    assert all(one[-1] == other[0] for one, other in itertools.pairwise(texts))
    assert list(found.parts[0].labels) == list(texts[-1][:-1])


def test_what_units_may_follow_is_so(folder):
    targets = explained.subject(folder / "model", folder / "book.txt").parts[0].targets
    text = np.array(list(TEXT[:20]))
    np.testing.assert_array_equal(targets["a blank"][:, 0], text == " ")
    np.testing.assert_array_equal(targets["a capital letter"][:, 0], np.isin(text, ["E", "M"]))
    np.testing.assert_array_equal(targets["a vowel"][:, 0], np.isin(text, list("Euae")))
    np.testing.assert_array_equal(targets["steps since a blank"][:5, 0], [np.nan, np.nan, 0, 1, 2])


def test_the_surprise_is_the_loss_of_each_step(folder):
    found = explained.subject(folder / "model", folder / "book.txt")
    with torch.no_grad():
        scores = found.network(found.pieces[:-1, -1:])[0][:, 0]
    expected = torch.nn.functional.cross_entropy(scores, found.pieces[1:, -1], reduction="none")
    np.testing.assert_allclose(found.parts[0].signal.values, expected, rtol=1e-5, atol=1e-6)


def test_the_probability_is_shared_out_among_the_characters(folder):
    found = explained.subject(folder / "model", folder / "book.txt")
    question = found.question
    with torch.no_grad():
        expected = found.network(found.pieces[:-1, -1:])[0][-1, 0].log_softmax(-1)[found.pieces[-1, -1]]
    shared = integrated_gradients(question.output, question.x, question.baseline, points=256)
    assert float(shared.output) == pytest.approx(float(expected), rel=1e-5)
    assert shared.gap < 0.05


def test_a_text_of_one_character_has_nothing_to_foretell(folder):
    with pytest.raises(CeldaError, match="none follows another"):
        explained.subject(folder / "model", "E")


def test_the_command_opens_the_test_part_of_a_run(folder, tmp_path):
    run = str(tmp_path / "run")
    words = ["--hidden-size", "8", "--batch-size", "4", "--steps", "20", "--epochs", "1", "--quiet"]
    trained = CliRunner().invoke(app, ["train", "language", str(folder / "book.txt"), "--run", run, *words])
    assert trained.exit_code == 0, trained.output
    ended = CliRunner().invoke(app, ["explain", run])
    assert ended.exit_code == 0, ended.output
    page = (tmp_path / "run" / "explained" / "report.html").read_text(encoding="utf-8")
    assert "lstm foretelling a text, character by character" in page
    assert "the log-probability that" in page
