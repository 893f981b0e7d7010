import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import celda
from celda.errors import CeldaError
from celda.language import cell, gate, linear, tanh
from celda.training import History
from tests.tasks.conftest import daily, tiny


@cell
def leaky(x, h):
    """A leaky integrator."""
    n = gate("n", tanh, linear(x, h))
    return 0.5 * h + 0.5 * n


def test_the_forecast_is_a_long_table_with_real_time_stamps(fitted, frame):
    forecast = fitted.predict()
    assert list(forecast) == ["unique_id", "ds", "lstm", "lstm-lo-80", "lstm-hi-80", "lstm-lo-95", "lstm-hi-95"]
    assert forecast["ds"].tolist() == list(pd.date_range(frame["ds"].iloc[-1] + pd.Timedelta(days=1), periods=7))
    ordered = forecast[["lstm-lo-95", "lstm-lo-80", "lstm", "lstm-hi-80", "lstm-hi-95"]].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert ordered.std() > 0
    assert ((ordered > 0) & (ordered < 100)).all()


def test_a_history_that_goes_further_is_forecast_from_its_end(fitted):
    longer = daily(170)
    forecast = fitted.predict(longer)
    assert forecast["ds"].iloc[0] == longer["ds"].iloc[-1] + pd.Timedelta(days=1)
    pd.testing.assert_frame_equal(fitted.predict(daily()), fitted.predict())


def test_the_same_seed_gives_the_same_forecast(fitted, frame):
    pd.testing.assert_frame_equal(tiny().fit(frame).predict(), fitted.predict())
    assert not tiny(seed=1).fit(frame).predict()["lstm"].equals(fitted.predict()["lstm"])


def test_the_manners_of_scikit_learn(fitted):
    forecaster = tiny(cell=leaky, level=(50,), past=("wind",))
    twin = clone(forecaster)
    assert twin.get_params() == forecaster.get_params()
    assert twin.cell is leaky
    assert twin.set_params(hidden_size=8).hidden_size == 8
    assert not hasattr(clone(fitted), "predictor_")


def test_what_the_fit_found(fitted):
    assert (fitted.sizes_.input_size, fitted.sizes_.season) == (14, 7)
    assert 1 <= fitted.epochs_ <= 2
    assert set(fitted.histories_) == {"choose", "fit"}
    assert fitted.trained_until_ == {"y": daily()["ds"].iloc[-1]}


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "num_layers": 2},
        {"cell": "peephole_lstm", "patch": 3},
        {"cell": leaky},
        {"loss": "mse", "scaler": "minmax"},
        {"loss": "mae", "level": (), "scaler": "none"},
        {"calibrate": True, "centre": False, "scaler": "robust"},
        {"calendar": False, "season": 1, "level": (99, 50, 80)},
    ],
    ids=str,
)
def test_every_option_fits_and_forecasts(options, frame):
    forecaster = tiny(epochs=1, **options).fit(frame)
    forecast = forecaster.predict()
    name = forecaster.name
    level = sorted(options.get("level", (80, 95)))
    assert list(forecast)[2:] == [name, *(f"{name}-{end}-{one}" for one in level for end in ("lo", "hi"))]
    assert np.isfinite(forecast[name]).all()


def test_calibration_moves_the_intervals_and_not_the_median(frame, fitted):
    calibrated, raw = tiny(calibrate=True).fit(frame).predict(), fitted.predict()
    assert calibrated["lstm"].equals(raw["lstm"])
    assert not calibrated["lstm-lo-80"].equals(raw["lstm-lo-80"])
    assert not fitted.predictor_.corrections.moves.any()


def test_corrections_are_in_the_units_of_the_series_and_not_of_the_last_scaling(frame):
    """After the fit the series grows tenfold: its scale does, and the errors that were measured do not."""
    forecaster = tiny(loss="mae", epochs=1).fit(frame)

    def width():
        forecast = forecaster.predict()
        return (forecast["lstm-hi-80"] - forecast["lstm-lo-80"]).to_numpy()

    before = width()
    grown = daily(300)
    grown.loc[150:, "y"] *= 10
    forecaster.refit(grown)
    assert width() == pytest.approx(before)


def test_too_few_validation_windows_for_a_level_are_told(frame):
    few, enough = tiny(loss="mae", epochs=1), tiny(loss="mae", epochs=1, val_size=40)
    (note,) = [note for note in few.fit(frame).notes_ if "val_size" in note]
    assert "8 forecasts of a step" in note
    assert "to 88 %: an interval of 95 %" in note
    assert not [note for note in enough.fit(frame).notes_ if "val_size" in note]


def test_what_was_noticed_is_told(frame):
    usual = daily(150, name="a").assign(kind="shop").sample(frac=1, random_state=0)
    forecaster = tiny(epochs=1, past=["kind"]).fit(usual)
    assert any("have been sorted" in note for note in forecaster.notes_)
    other = daily(164, name="b").assign(kind="farm")
    forecaster.predict(other)
    assert any("'b', each scaled by its own history" in note for note in forecaster.notes_)
    assert any("'farm' was not among the categories" in note for note in forecaster.notes_)
    other.loc[120:150, "y"] = np.nan
    test = forecaster.evaluate(other)
    assert any("'farm' was not among the categories" in note for note in test.notes)
    assert any(note.endswith("none to forecast, left out: 4.") for note in test.notes)
    assert forecaster.notes_ == test.notes


def test_the_unit_of_the_mase_is_that_of_training_whatever_history_is_given(frame, fitted):
    longer = daily(164)
    whole, part = fitted.evaluate(longer), fitted.evaluate(longer.iloc[120:])
    assert whole.scores["MASE"]["lstm"] == pytest.approx(part.scores["MASE"]["lstm"])
    y = frame["y"].to_numpy()
    assert whole.scale[0] == pytest.approx(np.abs(y[7:] - y[:-7]).mean())


def test_a_loss_of_the_point_alone_gets_its_intervals_from_calibration(frame):
    forecast = tiny(loss="mae").fit(frame).predict()
    assert (forecast["lstm-hi-80"] > forecast["lstm-lo-80"]).all()


def test_evaluation_is_of_what_came_after_and_beside_the_baselines(frame):
    longer = daily(164)
    forecaster = tiny().fit(frame)
    test = forecaster.evaluate(longer)
    assert list(test.points) == ["lstm", "ridge", "seasonal_naive"]
    assert test.y.ravel().tolist() == longer["y"].tolist()[150:]
    assert test.cutoffs[0] == frame["ds"].iloc[-1]
    naive = np.tile(longer["y"].to_numpy()[143:150], 1)
    assert test.points["seasonal_naive"][0] == pytest.approx(naive, rel=1e-5)
    assert test.points["lstm"][0] == pytest.approx(forecaster.predict()["lstm"].to_numpy(), rel=1e-5)
    assert len(forecaster.evaluate(longer, step_size=1).y) == 8
    assert not test.repeats_last_value


def test_no_forecast_depends_on_what_came_after_it(frame):
    forecaster, longer = tiny().fit(frame), daily(164)
    other = longer.copy()
    other.loc[150:, "y"] += 1000
    ours, theirs = forecaster.evaluate(longer), forecaster.evaluate(other)
    for name in ours.points:
        assert ours.points[name][0] == pytest.approx(theirs.points[name][0])
        assert ours.points[name][1] != pytest.approx(theirs.points[name][1])


@given(days=st.integers(85, 125), seed=st.integers(0, 9), jump=st.floats(-1e5, 1e5), known=st.booleans())
@settings(max_examples=15)
def test_what_comes_after_a_cutoff_cannot_change_its_forecasts(fitted, days, seed, jump, known):
    first = daily(160 if known else days, seed, name="y" if known else "new")
    whole = fitted.evaluate(first, step_size=1)
    n = (157 if known else 3 * days // 4) - 1
    cutoff = first["ds"].iloc[n]
    changed = fitted.evaluate(first.assign(y=first["y"].mask(first["ds"] > cutoff, jump)), step_size=1)
    before = whole.cutoffs <= cutoff
    assert before.any()
    for name in ("lstm", "ridge", "seasonal_naive"):
        np.testing.assert_array_equal(whole.points[name][before], changed.points[name][before])
    np.testing.assert_array_equal(whole.quantiles[before], changed.quantiles[before])


def test_a_series_unknown_to_the_model_is_evaluated_on_its_second_half(fitted):
    test = fitted.evaluate(daily(100, seed=5, name="new"))
    assert len(test.y) == 7
    assert test.stamps[0, 0] == daily(100)["ds"].iloc[50]


def test_refit_learns_from_more_and_keeps_what_was_found(frame):
    forecaster = tiny().fit(frame)
    epochs, corrections = forecaster.epochs_, forecaster.predictor_.corrections
    forecaster.refit(daily(170))
    assert forecaster.epochs_ == epochs
    assert forecaster.predictor_.corrections is corrections
    assert forecaster.trained_until_ == {"y": daily(170)["ds"].iloc[-1]}


@pytest.mark.parametrize("refit", [False, True])
def test_cross_validation_rolls_the_origin(frame, refit):
    table = tiny(epochs=1).cross_validation(frame, n_windows=3, step_size=5, refit=refit)
    assert list(table.columns[:5]) == ["unique_id", "ds", "cutoff", "y", "lstm"]
    assert {"ridge", "seasonal_naive"} < set(table.columns)
    cutoffs = table["cutoff"].unique()
    assert list(cutoffs) == list(frame["ds"].iloc[[132, 137, 142]])
    assert (table.groupby("cutoff").size() == 7).all()
    merged = table.merge(frame, on="ds", suffixes=("", "_actual"))
    assert (merged["y"] == merged["y_actual"]).all()


@pytest.mark.parametrize("refit", [False, True])
def test_the_scores_and_notes_of_a_cross_validation(frame, refit):
    forecaster = tiny(epochs=1, loss="mae")
    table = forecaster.cross_validation(frame, n_windows=2, refit=refit)
    assert forecaster.scores_["MAE"]["lstm"] == pytest.approx((table["lstm"] - table["y"]).abs().mean())
    assert forecaster.scores_["MAE"]["ridge"] == pytest.approx((table["ridge"] - table["y"]).abs().mean())
    assert any("val_size" in note for note in forecaster.notes_)


def test_cross_validation_leaves_the_forecaster_as_it_was(frame):
    forecaster = tiny(epochs=1)
    forecaster.cross_validation(frame)
    assert not hasattr(forecaster, "predictor_")


def test_one_step_ahead(frame):
    test = tiny(h=1, epochs=1).fit(frame).evaluate(daily(160))
    assert {name: point.shape for name, point in test.points.items()} == dict.fromkeys(test.points, (10, 1))
    assert test.scores["MAE"].max() < 10


def test_the_users_numbers_of_threads_and_defaults_are_left_alone(frame):
    before = torch.get_num_threads(), torch.get_default_dtype()
    tiny(epochs=1).fit(frame)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before


def test_an_interrupted_fit_ends_as_ctrl_c_does(frame, monkeypatch):
    monkeypatch.setattr("celda.tasks.phases.fit", lambda *_, **__: History(interrupted=True))
    forecaster = tiny()
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(frame)
    assert not hasattr(forecaster, "predictor_")


def test_what_is_set_after_the_fit_counts_at_the_next_one(frame, tmp_path):
    forecaster = tiny(dropout=0.0).fit(frame)
    forecast, longer = forecaster.predict(), daily(164)
    tested = forecaster.evaluate(longer).frame
    forecaster.save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    forecaster.set_params(level=(50,), cell="gru", h=3, hidden_size=9, scaler="minmax", centre=False, seed=4)
    pd.testing.assert_frame_equal(forecaster.predict(), forecast)
    pd.testing.assert_frame_equal(forecaster.evaluate(longer).frame, tested)
    forecaster.save(tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert forecaster.h == 3
    pd.testing.assert_frame_equal(forecaster.refit(frame).predict(), forecast)
    assert list(forecaster.fit(frame).predict()) == ["unique_id", "ds", "gru", "gru-lo-50", "gru-hi-50"]


def test_a_fit_that_fails_leaves_the_former_one(frame, monkeypatch):
    forecaster = tiny().fit(frame)
    forecast = forecaster.predict()
    with monkeypatch.context() as patch:
        patch.setattr("celda.tasks.phases.fit", lambda *_, **__: History(interrupted=True))
        with pytest.raises(KeyboardInterrupt):
            forecaster.set_params(input_size=21, h=5).fit(frame)
    assert forecaster.sizes_.input_size == 14
    assert set(forecaster.histories_) == {"choose", "fit"}
    pd.testing.assert_frame_equal(forecaster.predict(), forecast)


def test_numpy_numbers_are_numbers(frame, tmp_path):
    given = {"h": 7, "hidden_size": 4, "epochs": 1, "input_size": 14, "val_size": 14, "seed": 3, "patch": 7}
    options = {name: np.int64(value) for name, value in given.items()}
    forecaster = tiny(**options, level=np.array([80, 95]), dropout=np.float32(0), learning_rate=np.float64(0.01))
    forecast = forecaster.fit(frame).predict()
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(celda.load(tmp_path / "model").predict(frame), forecast)
    plain = tiny(**given, level=(80, 95), dropout=0.0, learning_rate=0.01)
    pd.testing.assert_frame_equal(plain.fit(frame).predict(), forecast)


def test_a_fit_resumes_with_the_same_options_and_data_alone(frame, tmp_path):
    tiny(epochs=1).fit(frame, run=tmp_path)
    tiny(epochs=1, device="cpu").fit(frame, run=tmp_path, resume=True)
    for options in ({"loss": "mae"}, {"dropout": 0.3}, {"scaler": "minmax"}, {"cell": "rnn"}):
        with pytest.raises(CeldaError, match=f"Cannot resume .*{next(iter(options))} was .* and is now"):
            tiny(epochs=1, **options).fit(frame, run=tmp_path, resume=True)
    with pytest.raises(CeldaError, match=r"Cannot resume .*data was a table .* and is now a table"):
        tiny(epochs=1).fit(daily(seed=1), run=tmp_path, resume=True)


def test_a_fit_that_starts_afresh_forgets_every_phase_of_the_former_one(frame, tmp_path, monkeypatch):
    tiny(epochs=1).fit(frame, run=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("celda.tasks.phases.fit", lambda *_, **__: History(interrupted=True))
        with pytest.raises(KeyboardInterrupt):
            tiny(epochs=1, seed=1).fit(frame, run=tmp_path)
    resumed = tiny(epochs=1, seed=1).fit(frame, run=tmp_path, resume=True)
    pd.testing.assert_frame_equal(resumed.predict(), tiny(epochs=1, seed=1).fit(frame).predict())
