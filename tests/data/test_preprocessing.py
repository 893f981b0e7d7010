import json

import numpy as np
import pandas as pd
import pytest
import torch

from celda import Forecaster
from celda.data import Preprocessor, Table, read_table

N = 60


def shops(**columns) -> pd.DataFrame:
    """Two series of daily sales with covariates of every kind."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(["a", "b"], N),
            "ds": np.tile(pd.date_range("2020-01-01", periods=N), 2),
            "y": np.concatenate([random.uniform(0, 10, N), random.uniform(1000, 3000, N)]),
            "wind": random.normal(5, 2, 2 * N),
            "weather": np.tile(["sun", "rain", "sun"], 2 * N // 3),
            "price": random.uniform(1, 2, 2 * N),
            "event": np.tile(["none", "fair"], N),
            "city": np.repeat(["Leeds", "York"], N),
            "size": np.repeat([10.0, 30.0], N),
        }
    )
    return frame.assign(**columns)


def table(frame: pd.DataFrame) -> Table:
    return read_table(frame, past=["wind", "weather"], future=["price", "event"], static=["city", "size"])


def test_the_columns_and_shapes_of_a_panel():
    whole = table(shops())
    preprocessor = Preprocessor.fit(whole, scaling="minmax")
    panel = preprocessor.transform(whole)
    assert preprocessor.past_names == ("wind", "weather=rain", "weather=sun")
    assert preprocessor.future_names[:3] == ("price", "event=fair", "event=none")
    assert preprocessor.future_names[3] == "week_sin_1"
    assert preprocessor.static_names == ("city=Leeds", "city=York", "size")
    assert panel.y.shape == panel.observed.shape == (2 * N,)
    assert panel.past.shape == (2 * N, 3)
    assert panel.future.shape == (2 * N, len(preprocessor.future_names))
    assert panel.static.tolist() == [[1, 0, -1], [0, 1, 1]]
    assert panel.past[:3, 1:].tolist() == [[0, 1], [1, 0], [0, 1]]
    assert {t.dtype for t in (panel.y, panel.past, panel.future, panel.static)} == {torch.float32}
    assert panel.notes == ()
    for s in (0, 1):
        own = panel.y[panel.starts[s] : panel.starts[s + 1]]
        assert (own.min(), own.max()) == (0, 1)
    back = panel.scaler.inverse(panel.y.numpy().reshape(2, N), np.array([0, 1]))
    np.testing.assert_allclose(back.ravel(), whole.frame["y"], rtol=1e-5)


def test_nothing_is_learnt_from_after_the_cut():
    calm, wild = shops(), shops()
    after = np.tile(np.arange(N) >= 40, 2)
    wild.loc[after, ["y", "wind", "price"]] *= 1000.0
    wild.loc[after, "weather"] = "snow"
    fits = [Preprocessor.fit(table(frame).until(40)) for frame in (calm, wild)]
    assert fits[0].to_dict() == fits[1].to_dict()
    panel = fits[1].transform(table(wild))
    assert any("'snow' was not among the categories of the training part" in note for note in panel.notes)
    assert (panel.past[after][:, 1:] == 0).all()


def test_plain_json_there_and_back():
    whole = table(shops(wind=lambda t: t["wind"].mask(t.index % 7 == 0)))
    preprocessor = Preprocessor.fit(whole, scaling="robust")
    text = json.dumps(preprocessor.to_dict(), allow_nan=False)
    again = Preprocessor.from_dict(json.loads(text))
    assert again.to_dict() == preprocessor.to_dict()
    one, two = preprocessor.transform(whole), again.transform(whole)
    for name in ("y", "observed", "past", "future", "static"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def test_missing_values_are_told():
    frame = shops(
        wind=lambda t: t["wind"].mask(t.index % 5 == 2),
        weather=lambda t: t["weather"].mask(t.index == 3),
        y=lambda t: t["y"].mask(t.index == 4),
    )
    preprocessor = Preprocessor.fit(table(frame))
    panel = preprocessor.transform(table(frame))
    assert preprocessor.past_names[:2] == ("wind", "wind is there")
    assert panel.past[2, :2].tolist() == [0, 0]
    assert panel.past[3].tolist()[1:] == [1, 0, 0]
    assert not panel.observed[4]
    assert panel.observed.sum() == 2 * N - 1
    assert torch.isfinite(panel.y).all()
    assert torch.isfinite(panel.past).all()


def test_missing_values_that_training_did_not_know():
    preprocessor = Preprocessor.fit(table(shops()))
    panel = preprocessor.transform(table(shops(wind=lambda t: t["wind"].mask(t.index == 9))))
    assert panel.notes == ("Covariate 'wind': missing values, taken as its mean: 1.",)
    assert panel.past[9, 0] == 0


def test_an_appended_future_is_not_taken_for_missing():
    frame = shops()
    whole = table(frame)
    preprocessor = Preprocessor.fit(whole)
    panel = preprocessor.transform(whole.until(-5).extend(5))
    assert panel.notes == ()
    assert (panel.horizon, list(panel.lengths)) == (5, [N - 5, N - 5])
    assert not panel.observed[N - 5 : N].any()
    assert torch.equal(panel.future, preprocessor.transform(whole).future)


def test_the_scaling_is_the_forecasters():
    scaling = Preprocessor.fit(table(shops())).to_dict()["scaling"]
    assert scaling == Forecaster(1).scaler


def test_a_new_series_is_scaled_by_its_own_history():
    preprocessor = Preprocessor.fit(table(shops()), scaling="minmax")
    other = table(shops(unique_id=np.repeat(["b", "c"], N), y=lambda t: t["y"] * 10))
    panel = preprocessor.transform(other)
    assert panel.ids == ("b", "c")
    assert panel.scaler.shift[0] == preprocessor.scaler.shift[1]
    assert (panel.y[N:].min(), panel.y[N:].max()) == (0, 1)
    assert panel.notes == ("Series that were not there in training, such as 'c', each scaled by its own history: 1.",)


def test_categories_that_look_like_numbers():
    mixed = shops(weather=np.tile(["1", "2", "x", "x", "y"], 2 * N // 5))
    preprocessor = Preprocessor.fit(table(mixed))
    assert preprocessor.past_names == ("wind", "weather=1", "weather=2", "weather=x", "weather=y")
    panel = preprocessor.transform(table(shops(weather=np.tile([1, 2], N))))
    assert panel.past[:2, 1:].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


def test_a_table_of_the_future_in_which_categories_look_like_numbers():
    whole = table(shops(event=np.tile(["1", "2", "x", "x", "y"], 2 * N // 5)))
    known = pd.DataFrame({"unique_id": ["a", "b"], "ds": pd.Timestamp("2020-03-01"), "price": 1.0, "event": [2, 1]})
    panel = Preprocessor.fit(whole).transform(whole.extend(1, known))
    assert panel.future[[N, 2 * N + 1], 1:5].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_no_calendar_where_it_is_not_wanted():
    assert Preprocessor.fit(read_table("electricity"), calendar=False).future_names == ()


@pytest.mark.parametrize("scaling", ["minmax", "standard", "robust", "none"])
def test_a_constant_series_stays_finite(scaling):
    still = table(shops(y=5.0, wind=1.0))
    panel = Preprocessor.fit(still, scaling=scaling).transform(still)
    assert torch.isfinite(panel.y).all()
    assert (panel.past[:, 0] == 0).all()
