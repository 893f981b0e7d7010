"""The classifier learns, keeps its word, and says in one line what it cannot use."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import wavfile
from sklearn.metrics import log_loss

import celda
from celda.errors import CeldaError
from celda.models.pooling import KINDS
from celda.tasks.sequences import estimator
from celda.tasks.sequences.calibration import calibration_error, proven_temperature, temperature
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


def test_a_temperature_must_prove_itself():
    torch.manual_seed(0)
    scores = torch.randn(1000, 3)
    target = torch.distributions.Categorical(logits=scores).sample()
    assert proven_temperature(scores * 5, target) == pytest.approx(5, rel=0.2)
    assert proven_temperature(scores / 3, target) == pytest.approx(1 / 3, rel=0.2)
    assert proven_temperature(scores[:9] * 5, target[:9]) == 1  # too few


def noisy(count, seed):
    """Series whose class is half noise."""
    chance = np.random.default_rng(seed)
    X = chance.normal(size=(count, 6, 2))
    return X, (X[:, :, 0].sum(1) + chance.normal(0, 2.5, count) > 0).astype(int)


def test_calibrated_probabilities_are_no_worse_than_raw_ones_on_other_data():
    losses = {True: [], False: []}
    for seed in range(3):
        for calibrate, found in losses.items():
            model = classifier(calibrate=calibrate, seed=seed, epochs=40, validation=0.4).fit(*noisy(100, seed))
            X, y = noisy(1000, seed + 100)
            found.append(log_loss(y, model.predict_proba(X)))
    assert np.mean(losses[True]) < np.mean(losses[False])
    assert max(np.subtract(losses[True], losses[False])) < 0.05


def test_the_card_says_what_was_calibrated(tmp_path):
    for validation, words in ((0, "there was no validation part"), (0.4, "of the validation part")):
        classifier(validation=validation, epochs=1).fit(X, Y).save(tmp_path / "model")
        assert words in (tmp_path / "model" / "README.md").read_text()


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
        ({"seed": -1}, (X, Y), "seed=-1 cannot be used"),
        ({"seed": None}, (X, Y), "seed=None cannot be used"),
        ({"learning_rate": -1}, (X, Y), "learning_rate=-1 cannot be used"),
        ({"bidirectional": "no"}, (X, Y), "bidirectional='no' is neither True nor False"),
        ({"class_weight": {"fast": -1}}, (X, Y), "class_weight gives 'fast' the weight -1: write a number above 0"),
        ({"class_weight": {"fast": float("nan")}}, (X, Y), "class_weight gives 'fast' the weight nan"),
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


def test_times_of_texts_are_of_no_use():
    with pytest.raises(CeldaError, match="times= are of the steps of series, and these are texts"):
        classifier(missing="mask").fit(*reviews(), times=[np.arange(3)] * 60)


def table(seed=0, count=40):
    """Two features that must not be taken for one another, a row a step, and the labels."""
    series, labels = waves(count, seed)
    parts = [pd.DataFrame(one, columns=["x", "z"]).assign(id=i, label=labels[i]) for i, one in enumerate(series)]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(z=5 * frame["z"] - 20)


@pytest.fixture(scope="module")
def of_table():
    return classifier().fit(table())


def test_columns_are_known_by_their_names(of_table, tmp_path):
    frame = table(1)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[["z", "label", "x", "id"]].to_csv(tmp_path / "b.csv", index=False)
    frame.rename(columns={"z": "q"}).to_csv(tmp_path / "c.csv", index=False)
    of_table.save(tmp_path / "model")
    for model in (of_table, celda.load(tmp_path / "model")):
        assert list(model.feature_names_in_) == ["x", "z"]
        a, b = (model.predict_proba(tmp_path / name) for name in ("a.csv", "b.csv"))
        np.testing.assert_array_equal(a, b)
        with pytest.raises(
            CeldaError, match=r"c\.csv has a column 'q' that the model has not learnt from: it knows x, z"
        ):
            model.predict(tmp_path / "c.csv")


def test_a_data_frame_is_read_as_it_was_at_the_fit(of_table):
    frame = table(1)
    bare = frame.drop(columns="label")
    assert len(of_table.predict(bare)) == 40
    labels = frame.groupby("id")["label"].first()
    assert of_table.score(bare, labels) == of_table.score(frame)
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["id", "b", "c"])
    model = classifier(epochs=2).fit(rows, Y)
    assert list(model.feature_names_in_) == ["id", "b", "c"]
    np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(rows.to_numpy()))
    np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(rows[["c", "id", "b"]]))


def test_recordings_of_another_rate_are_refused(tmp_path):
    chance = np.random.default_rng(0)
    for rate in (8000, 16_000):
        for name in "ab":
            (tmp_path / f"{rate}" / name).mkdir(parents=True)
            for place in range(2):
                noise = chance.normal(0, 0.1, 800).astype(np.float32)
                wavfile.write(tmp_path / f"{rate}" / name / f"{place}.wav", rate, noise)
    model = classifier(epochs=1, validation=0).fit(tmp_path / "8000")
    model.save(tmp_path / "model")
    again = celda.load(tmp_path / "model")
    assert len(again.predict(tmp_path / "8000" / "a")) == 2
    assert len(again.predict(tmp_path / "8000" / "a" / "0.wav")) == 1
    with pytest.raises(CeldaError, match="recordings of 16000 Hz, and the model was fitted on 8000 Hz"):
        again.predict(tmp_path / "16000")


def test_whole_numbers_are_the_labels_of_a_file(tmp_path):
    frame = table()
    numbers = (frame["label"] == "slow").astype(int)
    frame.assign(label=numbers).to_csv(tmp_path / "a.csv", index=False)
    series, labels = waves(40)
    series = [one * [1, 5] - [0, 20] for one in series]
    model = classifier().fit(series, (labels == "slow").astype(int))
    assert model.score(tmp_path / "a.csv") > 0.9
    assert model.evaluate(tmp_path / "a.csv").by_class["count"].to_dict() == {"0": 20, "1": 20}


def test_weights_of_classes_that_are_numbers_are_kept(tmp_path):
    weights = {0: 1.0, 1: 5.0}
    data = X, (Y == "slow").astype(int)
    model = classifier(class_weight=weights, epochs=1).fit(*data, run=tmp_path / "run")
    classifier(class_weight=weights, epochs=1).fit(*data, run=tmp_path / "run", resume=True)
    model.save(tmp_path / "model")
    again = celda.load(tmp_path / "model")
    assert again.class_weight == weights
    again.fit(*data)


def test_a_fit_that_is_stopped_leaves_the_former_model(monkeypatch):
    model = classifier(epochs=2).fit(X, Y)
    before, attributes = model.predict_proba(X), set(vars(model))
    real = estimator.fit

    def stop(*args, phase, **kwargs):
        if phase == "fit":
            raise KeyboardInterrupt
        return real(*args, phase=phase, **kwargs)

    monkeypatch.setattr(estimator, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*reviews())
    assert set(vars(model)) == attributes
    np.testing.assert_array_equal(model.predict_proba(X), before)
    monkeypatch.undo()
    model.fit(*reviews())
    assert not hasattr(model, "n_features_in_")


def test_a_run_is_not_forgotten_for_what_cannot_be_learnt(tmp_path):
    model = classifier(epochs=1, min_count=1).fit(*reviews(), run=tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["calibrate.safetensors", "choose.safetensors", "fit.safetensors"]
    for bad in ({"learning_rate": -1}, {"min_count": 10**6}):
        with pytest.raises(CeldaError):
            model.set_params(**{"learning_rate": 0.01, "min_count": 1, **bad}).fit(*reviews(), run=tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == kept


def test_texts_that_share_no_word_are_tested_beside_baselines():
    texts, labels = [f"w{i} w{i}" for i in range(60)], ["a", "b"] * 30
    assert "bag of words" in classifier(epochs=1).fit(texts, labels).evaluate(texts, labels).scores.index


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
