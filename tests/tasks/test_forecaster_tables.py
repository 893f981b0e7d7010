"""The tables of a Forecaster: their columns, stamps, series and covariates."""

import numpy as np
import pandas as pd
import pytest

import celda
from celda.errors import CeldaError
from celda.tasks.phases import fingerprint
from tests.tasks.conftest import daily, tiny

COVARIATES = {"past": ["visitors"], "future": ["promotion"], "static": ["kind"]}


def panel(seed=0):
    """Three series of unequal length and unequal size with missing values and covariates of each kind."""
    draw = np.random.default_rng(seed)
    frames = []
    for name, days, size in (("a", 150, 1.0), ("b", 90, 1000.0), ("c", 60, 0.01)):
        frame = daily(days, seed, name=name).assign(kind="shop" if name == "a" else "farm")
        frame["promotion"] = draw.integers(0, 2, days)
        frame["visitors"] = draw.normal(size=days)
        frame["y"] = size * (frame["y"] + 15 * frame["promotion"])
        frame.loc[draw.choice(days - 1, days // 10, replace=False), "y"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def test_series_keep_the_names_that_they_were_given():
    shops = pd.concat([daily(90, 1, name=7), daily(90, 2, name=12)])
    forecaster = tiny(epochs=1).fit(shops)
    assert forecaster.predict()["unique_id"].unique().tolist() == [7, 12]
    longer = pd.concat([daily(97, 1, name=7), daily(97, 2, name=12)])
    test = forecaster.evaluate(longer).frame
    assert len(test.merge(longer, on=["unique_id", "ds"])) == 14
    padded = forecaster.predict(longer.assign(unique_id=longer["unique_id"].map(" {} ".format)))
    assert padded["unique_id"].unique().tolist() == ["7", "12"]
    assert padded["lstm"].tolist() == forecaster.predict(longer)["lstm"].tolist()
    assert not [note for note in forecaster.notes_ if "not there in training" in note]


def test_a_fitted_forecaster_reads_with_the_columns_and_the_frequency_that_it_found(frame, tmp_path):
    found = frame.rename(columns={"ds": "day", "y": "load"})
    forecaster = tiny(epochs=1, freq=None, input_size=7).fit(found)
    later = found.assign(other=1.0, more=2.0, checked=frame["ds"])
    forecaster.save(tmp_path / "model")
    for model in (forecaster, celda.load(tmp_path / "model")):
        pd.testing.assert_frame_equal(model.predict(later), forecaster.predict())
    working = daily(150).query("ds.dt.day_of_week < 5")
    business = tiny(epochs=1, input_size=5, h=2, val_size=10).fit(working)
    assert business.predictor_.preprocessor.freq == "B"
    assert business.predict(working[-5:])["ds"].tolist() == business.predict()["ds"].tolist()  # five days of a week
    assert business.fit(frame).predictor_.preprocessor.freq == "D"


@pytest.mark.parametrize("gone", ["y", "ds"])
def test_a_fitted_forecaster_takes_no_column_for_another(fitted, frame, gone):
    table = frame.rename(columns={gone: "other"})
    with pytest.raises(CeldaError, match=f"no column {gone!r} for the .*, which the model has learnt from"):
        fitted.predict(table)


def test_a_fitted_forecaster_goes_on_without_time_stamps(tmp_path):
    table = pd.DataFrame({"y": np.sin(np.arange(60))})
    model = tiny(epochs=1).fit(table)
    wanted = model.predict(table)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(celda.load(tmp_path / "model").predict(table), wanted)
    with pytest.raises(CeldaError, match="has learnt from series 'y' up to 59"):
        model.evaluate(table)


def test_the_table_of_the_future_has_the_columns_of_the_history(frame):
    known = frame.assign(warm=np.arange(len(frame)) % 7)
    history, ahead = known.iloc[:-9], known.iloc[-9:].drop(columns="y")
    model = tiny(epochs=1, future=["warm"]).fit(history)
    assert len(model.predict(future_df=ahead))
    with pytest.raises(CeldaError, match="no column 'ds' for the time stamps, as in the history"):
        model.predict(future_df=ahead.rename(columns={"ds": "when"}))


def test_many_series_with_gaps_and_covariates(frame):
    table = panel()
    forecaster = tiny(**COVARIATES).fit(table)
    ends = table.groupby("unique_id")["ds"].max()
    ahead = pd.concat(
        [
            pd.DataFrame({"unique_id": name, "ds": pd.date_range(end, periods=8)[1:], "promotion": 1.0})
            for name, end in ends.items()
        ]
    )
    forecast = forecaster.predict(future_df=ahead)
    assert forecast.groupby("unique_id").size().to_dict() == {"a": 7, "b": 7, "c": 7}
    means = forecast.groupby("unique_id")["lstm"].mean()
    assert means["b"] / means["a"] == pytest.approx(1000, rel=0.5)
    without = forecaster.predict(future_df=ahead.assign(promotion=0.0))
    assert not without["lstm"].equals(forecast["lstm"])
    with pytest.raises(celda.CeldaError, match="promotion"):
        forecaster.predict()
    with pytest.raises(celda.CeldaError, match=r"no covariates that are known ahead of time: leave it out"):
        tiny().fit(daily()).predict(future_df=ahead)


def test_a_known_promotion_is_learnt():
    table = panel().query("unique_id == 'a'")
    forecaster = tiny(
        hidden_size=8, patch=7, epochs=60, learning_rate=0.02, batch_size=16, dropout=0.0, future=["promotion"]
    )
    result = forecaster.cross_validation(table, n_windows=4)
    error = {name: (result[name] - result["y"]).abs().mean() for name in ("lstm", "ridge", "seasonal_naive")}
    assert error["lstm"] < 0.7 * error["ridge"]
    assert error["lstm"] < 0.7 * error["seasonal_naive"]


def test_integers_as_time(frame):
    table = frame.assign(ds=np.arange(100, 250))
    forecast = tiny(season=7, epochs=1).fit(table).predict()
    assert forecast["ds"].tolist() == list(range(250, 257))


def test_covariates_known_later_belong_to_the_data(frame):
    def table(last):
        wind = np.arange(157.0)
        wind[-1] = last
        y = [*frame["y"], *[np.nan] * 7]
        later = pd.DataFrame({"ds": pd.date_range("2021-01-04", periods=157), "y": y, "wind": wind})
        return tiny(future=["wind"]).read(later)

    assert fingerprint(table(0.0)) == fingerprint(table(0.0)) != fingerprint(table(1.0))
