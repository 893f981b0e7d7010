"""A classifier and a tagger, opened: their words, labels and probabilities are told as they are."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from celda import Classifier, Tagger
from celda.cli.app import app
from celda.insight import integrated_gradients
from celda.tasks import explained
from celda.tasks.explained import labelling

GOOD, BAD = ["muy buena", "excelente"], ["muy mala de verdad", "horrible"]
REVIEWS = [
    (f"la obra es {what} y {other}", kind) for kind, of in (("pos", GOOD), ("neg", BAD)) for what in of for other in of
]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelling")
    rows = "".join(f"{text},{label}\n" for text, label in REVIEWS * 4)
    (folder / "reviews.csv").write_text("text,label\n" + rows, encoding="utf-8")
    Classifier(hidden_size=8, epochs=3, validation=0.0).fit(folder / "reviews.csv").save(folder / "model")
    return folder


def test_the_words_of_the_longest_text_are_the_steps(classifier):
    found = explained.subject(classifier / "model", classifier / "reviews.csv")
    assert " ".join(found.parts[0].labels) == "la obra es muy mala de verdad y muy mala de verdad"
    assert found.data.labels[-1] == "neg"
    negative = found.parts[0].targets["the label “neg”"]
    np.testing.assert_array_equal(negative[0], [label == "neg" for label in found.data.labels])
    assert not negative[~found._within.numpy().T].any()


def test_the_score_of_a_class_is_shared_out_among_the_words(classifier):
    question = explained.subject(classifier / "model", classifier / "reviews.csv").question
    shared = integrated_gradients(question.output, question.x, question.baseline, points=512)  # the maximum has kinks
    assert shared.gap < 0.02
    assert shared.values.shape[:2] == (1, 12)


def test_it_is_the_probability_that_the_model_gives(classifier):
    model = Classifier(hidden_size=8, epochs=3, validation=0.0).fit(classifier / "reviews.csv")
    model.temperature_ = 2.5
    found = labelling.subject(model, classifier / "reviews.csv")
    question = found.question
    with torch.no_grad():
        several = question.output(question.x.expand(3, -1, -1)).exp().tolist()
    told = model.predict_proba(found.data)[-1][question.label]
    assert several == pytest.approx([told] * 3, rel=1e-5)
    assert "bag of words" in question.baseline_words


def test_texts_without_labels_can_be_looked_at_too(classifier, tmp_path):
    (tmp_path / "new.csv").write_text("text\n" + "".join(f"{text}\n" for text, _ in REVIEWS), encoding="utf-8")
    targets = explained.subject(classifier / "model", tmp_path / "new.csv").parts[0].targets
    assert list(targets) == ["steps from the beginning"]


def series(count):
    random = np.random.default_rng(0)
    values = [random.normal(size=(int(length), 2)) for length in random.integers(5, 12, count)]
    return values, [np.where(one[:, 0] > 0, "up", "down") for one in values]


def rows_of(values, labels):
    for place, (one, tags) in enumerate(zip(values, labels, strict=True)):
        for (a, b), label in zip(one.tolist(), tags, strict=True):
            yield place, a, b, label


def test_columns_in_another_order_are_taken_by_their_names(tmp_path):
    frame = pd.DataFrame(list(rows_of(*series(24))), columns=["id", "a", "b", "label"])
    frame.to_csv(tmp_path / "data.csv", index=False)
    frame[["label", "b", "id", "a"]].to_csv(tmp_path / "swapped.csv", index=False)
    model = Tagger(hidden_size=8, epochs=1).fit(tmp_path / "data.csv")
    one, other = (labelling.subject(model, tmp_path / f"{name}.csv") for name in ("data", "swapped"))
    assert one.batch["values"].equal(other.batch["values"])


@pytest.mark.parametrize("crf", [False, True])
def test_a_tagger_of_series(tmp_path, crf):
    values, labels = series(24)
    model = Tagger(hidden_size=8, epochs=3, crf=crf).fit(values, labels)
    model.save(tmp_path / "model")
    rows = list(rows_of(values, labels))
    pd.DataFrame(rows, columns=["id", "a", "b", "label"]).to_csv(tmp_path / "data.csv", index=False)
    found = explained.subject(tmp_path / "model", tmp_path / "data.csv")
    part, question = found.parts[0], found.question
    assert list(part.labels) == list(range(1, max(map(len, values)) + 1))
    assert len(part.columns) == 2
    shown = found.data.inputs[-1][:, 0]
    np.testing.assert_array_equal(part.targets["the label “up”"][:, -1], shown > 0)
    told = model.predict_proba([found.data.inputs[-1]])[0][question.place, question.label]
    with torch.no_grad():
        assert float(question.output(question.x).exp()) == pytest.approx(told, rel=1e-5)


def test_the_command_opens_a_run(classifier, tmp_path):
    run = str(tmp_path / "run")
    words = ["--hidden-size", "8", "--epochs", "2", "--quiet"]
    trained = CliRunner().invoke(app, ["train", "classify", str(classifier / "reviews.csv"), "--run", run, *words])
    assert trained.exit_code == 0, trained.output
    ended = CliRunner().invoke(app, ["explain", run])
    assert ended.exit_code == 0, ended.output
    assert "the log-probability of" in (tmp_path / "run" / "explained" / "report.html").read_text(encoding="utf-8")
