"""The classifier learns, keeps its word, and says in one line what it cannot use."""

import numpy as np
import pandas as pd
import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.models.pooling import KINDS
from celda.tasks.sequences.calibration import calibration_error, temperature
from celda.tasks.sequences.classification_baselines import statistics
from tests.tasks.sequences.examples import classifier, reviews, waves


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(*waves())


@pytest.fixture(scope="module")
def of_texts():
    return classifier(wide=False).fit(*reviews())


@pytest.mark.parametrize("pooling", KINDS)
def test_it_tells_waves_of_unequal_length_apart(pooling):
    assert classifier(pooling=pooling).fit(*waves()).score(*waves(seed=1)) > 0.9


def test_it_tells_texts_apart_by_a_word_with_the_network_alone(of_texts):
    assert of_texts.score(*reviews(seed=1)) > 0.9


def test_the_words_without_order_are_those_of_the_whole_text():
    scores = [classifier(wide=wide, max_length=2).fit(*reviews()).score(*reviews(seed=1)) for wide in (True, False)]
    assert scores[0] > 0.9 > scores[1]


@pytest.mark.parametrize("model", ["fitted", "of_texts"])
def test_a_saved_model_says_the_same(model, request, tmp_path):
    before = request.getfixturevalue(model)
    X = (waves if model == "fitted" else reviews)(seed=1)[0]
    before.save(tmp_path / "model")
    after = celda.load(tmp_path / "model")
    assert isinstance(after, celda.Classifier)
    assert after.get_params() == before.get_params()
    np.testing.assert_allclose(after.predict_proba(X), before.predict_proba(X), rtol=1e-5)
    assert set(after.evaluate(X, before.predict(X)).scores.index) == {"lstm", "most frequent"}
    assert "fast" in (tmp_path / "model" / "README.md").read_text() or model == "of_texts"


def test_probabilities_are_ones_over_the_classes(fitted):
    X, _ = waves(seed=1)
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (60, 2)
    assert probabilities.sum(1) == pytest.approx(np.ones(60))
    assert (fitted.classes_[probabilities.argmax(1)] == fitted.predict(X)).all()


def test_a_sequence_is_told_the_same_alone_and_among_longer_ones(fitted):
    X, _ = waves(seed=1)
    np.testing.assert_allclose(fitted.predict_proba(X[:1]), fitted.predict_proba(X)[:1], atol=1e-6)


def test_the_same_seed_gives_the_same_model(fitted):
    again = classifier().fit(*waves())
    np.testing.assert_array_equal(again.predict_proba(waves()[0]), fitted.predict_proba(waves()[0]))


def test_an_evaluation_stands_beside_baselines(fitted):
    X, y = waves(seed=1)
    test = fitted.evaluate(X, y)
    assert list(test.scores.index) == ["lstm", "statistics", "most frequent"]
    assert test.scores.loc["lstm", "accuracy"] == fitted.score(X, y) == np.trace(test.confusion) / 60
    assert test.scores.loc["most frequent", "accuracy"] == 0.5
    assert test.by_class["count"].to_dict() == {"fast": 30, "slow": 30}
    assert list(test.frame.columns) == ["id", "label", "predicted", "probability"]


def test_rare_classes_can_weigh_more():
    X, y = waves(120)
    few = np.flatnonzero((y == "fast") | (np.arange(120) < 20))
    X, y = [X[i] + np.random.default_rng(i).normal(0, 0.8, X[i].shape) for i in few], y[few]
    recall = [
        classifier(class_weight=weight).fit(X, y).evaluate(*waves(seed=1)).by_class["recall"]["slow"]
        for weight in (None, "balanced")
    ]
    assert recall[1] > recall[0]


def test_missing_values_and_irregular_times_are_inputs():
    X, y = waves(80)
    chance = np.random.default_rng(0)
    X = [np.where(chance.random(one.shape) < 0.3, np.nan, one) for one in X]
    times = [np.cumsum(chance.exponential(1.0, len(one))) for one in X]
    model = classifier(missing="mask").fit(X, y, times=times)
    assert model.score(X, y, times=times) > 0.8
    other = [3 * one for one in times]
    assert not np.allclose(model.predict_proba(X, times=times), model.predict_proba(X, times=other))
    with pytest.raises(CeldaError, match="needs missing='mask'"):
        classifier().fit(*waves(), times=[np.arange(len(one)) for one in waves()[0]])


def test_the_temperature_is_found_by_hand():
    torch.manual_seed(0)
    scores = torch.randn(4000, 3)
    target = torch.distributions.Categorical(logits=scores).sample()
    assert temperature(scores * 5, target) == pytest.approx(5, rel=0.1)
    assert temperature(scores / 3, target) == pytest.approx(1 / 3, rel=0.1)
    assert 0.05 < temperature(torch.eye(3), torch.arange(3)) < 1  # all right, but only three of them


def test_the_calibration_error_by_hand():
    sure, right = np.array([0.95, 0.95, 0.65, 0.65]), np.array([True, True, True, False])
    assert calibration_error(sure, right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.15)


def test_the_statistics_of_a_series_by_hand():
    found = statistics([np.array([[1.0], [3.0], [np.nan]])])
    assert found.tolist() == [pytest.approx([3, 2, np.sqrt(2 / 3), 1, 3, 1, 2, 1.5, 1 / 3])]


def test_without_validation_all_is_learnt_from():
    model = classifier(validation=0, epochs=3).fit(*waves())
    assert list(model.histories_) == ["fit"]
    assert (model.epochs_, model.temperature_) == (3, 1.0)


X, Y = waves(20)


@pytest.mark.parametrize(
    ("options", "data", "answer"),
    [
        ({}, (X, ["one"] * 20), "the data holds only one class, one: at least two classes are needed"),
        ({}, (X, Y[:-1]), r"inconsistent numbers of samples: \[20, 19\]"),
        ({}, (X, None), "y cannot be None|requires y"),
        ({}, (X, np.linspace(0, 1, 20)), "Unknown label type"),
        ({}, ([*X[:-1], np.full((5, 2), np.nan)], Y), "Series 19 holds NaN.*missing='mask'"),
        ({}, (["a", 3.0], [0, 1]), "Text 1 is a float"),
        ({"min_count": 9}, (["a b", "c d"], [0, 1]), "No word occurs 9 times"),
        ({"hidden_size": 0}, (X, Y), "hidden_size=0 cannot be used"),
        ({"pooling": "median"}, (X, Y), "There is no pooling 'median': write one of 'last', 'mean'"),
        ({"missing": "drop"}, (X, Y), "missing='drop' is not known"),
        ({"dropout": 1}, (X, Y), "dropout=1 is no probability"),
        ({"validation": 1}, (X, Y), "validation=1 is no share"),
        ({"class_weight": "rare"}, (X, Y), "class_weight='rare' is not known"),
        ({"cell": "lstmm"}, (X, Y), "lstm"),
    ],
)
def test_what_cannot_be_learnt(options, data, answer):
    with pytest.raises(CeldaError, match=answer):
        classifier(**options).fit(*data)


def test_what_cannot_be_predicted_or_scored(fitted, of_texts):
    X, y = waves(seed=1)
    with pytest.raises(CeldaError, match="holds a class that the model has not learnt, 'odd': it knows fast, slow"):
        fitted.evaluate(X, np.where(np.arange(60) == 3, "odd", y))
    with pytest.raises(CeldaError, match="have 1 features, and the model was fitted on 2"):
        fitted.predict([one[:, :1] for one in X])
    with pytest.raises(CeldaError, match="fitted on text, and the data holds series"):
        of_texts.predict(X)
    with pytest.raises(CeldaError, match="This Classifier is not fitted yet"):
        classifier().predict(X)


def test_a_corrupt_model_directory(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace("slow", "swift"))
    with pytest.raises(CeldaError, match=r"config\.json was changed after the model was saved"):
        celda.load(tmp_path / "model")


def test_a_data_frame_of_texts():
    texts, labels = reviews()
    frame = pd.DataFrame({"review": texts, "stars": labels})
    model = classifier(text_col="review", label_col="stars").fit(frame)
    assert model.score(frame) > 0.9
    assert list(model.table(frame[["review"]]).columns) == ["id", "predicted", "p_bad", "p_good"]
