"""The tagger reads what is around a step, and says in one line what it cannot use."""

import numpy as np
import pandas as pd
import pytest

import celda
from celda.errors import CeldaError
from tests.tasks.sequences.examples import sentences, tagger


def frames(count=30, seed=0):
    """Rows of features that rise or fall, and which."""
    chance = np.random.default_rng(seed)
    series, labels = [], []
    for _ in range(count):
        moves = np.repeat(chance.choice([-1.0, 1.0], 4), chance.integers(2, 5, 4))
        series.append(np.cumsum(moves)[:, None] + chance.normal(0, 0.1, (len(moves), 1)))
        labels.append(np.where(moves > 0, "up", "down"))
    return series, labels


@pytest.fixture(scope="module")
def fitted():
    return tagger().fit(*sentences())


@pytest.mark.parametrize("crf", [False, True])
def test_it_reads_what_is_around_a_word(crf, fitted):
    model = tagger(crf=crf).fit(*sentences()) if crf else fitted
    X, y = sentences(seed=1)
    test = model.evaluate(X, y)
    assert test.scores.loc["lstm", "accuracy"] > 0.95 > test.scores.loc["by word", "accuracy"]
    assert list(test.scores.index) == ["lstm", "by word", "most frequent"]
    assert test.by_class.loc["N", "F1"] > 0.9
    assert model.score(X, y) == test.scores.loc["lstm", "accuracy"]
    assert [len(tags) for tags in model.predict(X)] == [len(words) for words in X]
    for probabilities in model.predict_proba(X):
        assert probabilities.sum(1) == pytest.approx(np.ones(3), abs=1e-5)


@pytest.mark.parametrize("crf", [False, True])
def test_it_tags_frames(crf, tmp_path):
    model = tagger(crf=crf, epochs=30).fit(*frames())
    X, y = frames(seed=1)
    assert model.score(X, y) > 0.85
    model.save(tmp_path / "model")
    again = celda.load(tmp_path / "model")
    assert all((one == other).all() for one, other in zip(again.predict(X), model.predict(X), strict=True))
    assert list(again.evaluate(X, y).scores.index) == ["lstm", "most frequent"]


def test_a_saved_tagger_still_knows_the_tag_of_each_word(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    X, y = sentences(seed=1)
    assert celda.load(tmp_path / "model").evaluate(X, y).scores.equals(fitted.evaluate(X, y).scores)


def test_the_table_has_a_row_a_step(fitted):
    table = fitted.table([["the", "run"], ["we"]])
    assert table["token"].tolist() == ["the", "run", "we"]
    assert table["id"].tolist() == ["0", "0", "1"]
    assert table["step"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(("make", "options"), [(frames, {}), (sentences, {"num_layers": 2})])
def test_a_stream_says_what_the_whole_sequence_does(make, options, tmp_path):
    model = tagger(bidirectional=False, epochs=3, **options).fit(*make())
    X, _ = make(seed=1)
    stream, whole = model.stream(), model.predict_proba(X[:1])[0]
    found = [stream(step) for step in X[0][:2]]
    stream.save(tmp_path / "state")
    other = model.stream()
    other.restore(tmp_path / "state")  # in the middle of the sequence
    found += [other(step) for step in X[0][2:]]
    np.testing.assert_allclose([probabilities for _, probabilities in found], whole, atol=1e-5)
    assert [label for label, _ in found] == model.predict(X[:1])[0].tolist()
    other.reset()
    np.testing.assert_allclose(other(X[0][0])[1], whole[0], atol=1e-5)


def test_what_cannot_be_streamed(fitted):
    with pytest.raises(CeldaError, match="bidirectional=True needs more than one step at a time"):
        fitted.stream()


def test_missing_values_are_told():
    X, y = frames()
    X = [np.where(np.random.default_rng(0).random(one.shape) < 0.2, np.nan, one) for one in X]
    assert tagger(missing="mask", epochs=30).fit(X, y).score(X, y) > 0.8


def test_labels_that_one_sequence_alone_has_are_learnt():
    X, y = sentences()
    model = tagger(epochs=2).fit([["rare"], *X], [["R"], *y])
    assert "R" in model.classes_


@pytest.mark.parametrize(
    ("options", "data", "answer"),
    [
        ({}, ([["a", "b"]] * 3, [["x", "y"]] * 2), "There are 3 sequences and labels of 2"),
        ({}, ([["a", "b"]] * 2, [["x", "y"], ["x"]]), "Sequence 1 has 2 steps and its labels have shape"),
        ({}, ([["a", "b"]] * 2, [["x", "x"]] * 2), "only one class, x"),
        ({}, ([["a", "b"]] * 2, None), "have no labels: give y"),
        ({}, ([["a", "b"]], [["x", "y"]]), "a single sequence, of which no part is held out.*validation=0"),
        ({}, ([], []), "one at least"),
        ({"crf": True, "class_weight": "balanced"}, ([["a", "b"]] * 4, [["x", "y"]] * 4), "leave one out"),
        ({}, ([np.array([[np.nan]])] * 4, [["x"]] * 4), "holds NaN"),
        ({}, ([np.ones((2, 1))] * 4, [[0.1, 0.2]] * 4), "labels cannot tell classes apart.*continuous"),
        ({}, ([np.ones((2, 1))] * 4, [[0, np.nan]] * 4), r"Sequence 0 has no label at step 1 \(nan\)"),
        ({}, ([["a", "b"]] * 4, [["x", None]] * 4), r"Sequence 0 has no label at step 1 \(None\)"),
        ({}, ([["a", "b"]] * 4, [["x", "y"], [0, 1]] * 2), "labels are strings and numbers"),
        ({}, ([["a", float("nan")]] * 4, [["x", "y"]] * 4), r"Word 1 of sentence 0 is a float \(nan\)"),
        ({}, ([["a", "b"], []] * 2, [["x", "y"], []] * 2), "Sentence 1 has no word"),
        ({}, (["a b"] * 4, [["x", "y"]] * 4), "Sentence 0 is a str, not a list of words"),
        ({"crf": "no"}, ([["a", "b"]] * 4, [["x", "y"]] * 4), "crf='no' is neither True nor False"),
    ],
)
def test_what_cannot_be_learnt(options, data, answer):
    with pytest.raises(CeldaError, match=answer):
        tagger(**options).fit(*data)


def test_times_need_a_mask():
    X, y = frames(4)
    with pytest.raises(CeldaError, match="needs missing='mask'"):
        tagger().fit(X, y, times=[np.arange(len(one)) for one in X])


def test_columns_are_known_by_their_names():
    X, y = frames()
    parts = [pd.DataFrame({"id": i, "x": X[i][:, 0], "z": 1.0, "label": y[i]}) for i in range(30)]
    frame = pd.concat(parts)
    model = tagger(epochs=2).fit(frame)
    swapped = model.predict_proba(frame[["z", "id", "x"]])
    assert all((one == other).all() for one, other in zip(model.predict_proba(frame), swapped, strict=True))
    with pytest.raises(CeldaError, match="has no column 'z'"):
        model.predict(frame[["id", "x"]])


def test_a_label_that_was_not_learnt(fitted):
    with pytest.raises(CeldaError, match="a label that the model has not learnt, 'X': it knows D, N, P, V"):
        fitted.evaluate([["the"]], [["X"]])
