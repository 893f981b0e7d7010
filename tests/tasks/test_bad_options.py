"""Every wrong option and every wrong order of calls gets one line that says what to write instead."""

import dataclasses

import pytest

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from tests.tasks.conftest import daily, tiny

OPTIONS = [
    ({"h": 0}, "h=0: write for example h=24"),
    ({"h": 2.5}, "h=2.5"),
    ({"h": True}, "h=True"),
    ({"input_size": 0}, "input_size=0 cannot be used: it is a whole number of at least 1"),
    ({"hidden_size": 1.5}, "hidden_size=1.5 cannot be used"),
    ({"num_layers": 0}, "num_layers=0"),
    ({"epochs": -1}, "epochs=-1"),
    ({"batch_size": "64"}, "batch_size='64'"),
    ({"cell": "lstn"}, "There is no cell 'lstn'. Did you mean 'lstm'?"),
    ({"cell": None}, "cell=None is no cell: write cell='lstm'"),
    ({"cell": "image_rnn"}, r"The cell image_rnn wants a further input \(image\)"),
    ({"dropout": 1.0}, "dropout=1.0 is no probability below 1"),
    ({"dropout": "half"}, "dropout='half'"),
    ({"loss": "rmse"}, "There is no loss 'rmse': write one of 'quantile', 'mae', 'mse'"),
    ({"scaler": "max"}, "There is no scaler 'max': write one of 'minmax', 'standard', 'robust', 'none'"),
    ({"level": 80}, r"level=80 is no list of levels: write for example level=\(80, 95\)"),
    ({"level": (80, 100)}, "The level 100 is no per cent between 0 and 100"),
    ({"level": ("80",)}, "The level '80'"),
    ({"level": (0.8,)}, r"less than one per cent: write it in per cent, as level=\(80,\)"),
    ({"level": (80, 80.0)}, "names a level twice"),
    ({"loss": "mse", "calibrate": False}, r"gives no intervals: write level=\(\)"),
    ({"learning_rate": 0}, "learning_rate=0"),
    ({"weight_decay": -1.0}, "weight_decay=-1.0"),
    ({"seed": -1}, "seed=-1"),
    ({"device": "gpu"}, "device='gpu'"),
    ({"season": 15}, "A season of 15 steps does not fit in a window of 14"),
    ({"input_size": 130}, "Series 'y' has 150 steps to learn from, and 151 are needed"),
    ({"target_col": "load", "time_col": "when"}, "when"),
    ({"future": ["promotion"]}, "promotion"),
    ({"past": "wind"}, r"write past=\['wind'\]"),
]


@pytest.mark.parametrize(("options", "answer"), OPTIONS, ids=[str(options) for options, _ in OPTIONS])
def test_a_wrong_option(options, answer):
    frame = daily().assign(other=1.0, third="x") if "target_col" in options else daily()
    with pytest.raises(CeldaError, match=answer) as error:
        tiny(**options).fit(frame)
    assert "\n" not in str(error.value)


def test_nothing_is_said_before_the_fit():
    assert celda.Forecaster(0, cell="lstn").h == 0


@pytest.mark.parametrize("call", [lambda f: f.predict(), lambda f: f.evaluate(daily()), lambda f: f.save("x")])
def test_not_fitted_yet(call):
    with pytest.raises(CeldaError, match="not fitted yet: call fit first"):
        call(tiny())


@pytest.mark.parametrize("step_size", [0, -1, 1.5, "2", True])
def test_a_step_size_that_cannot_be(fitted, step_size):
    with pytest.raises(CeldaError, match=f"step_size={step_size!r} cannot be used"):
        fitted.evaluate(daily(164), step_size=step_size)


@pytest.mark.parametrize("name", ["y", "ridge", "seasonal_naive", "cutoff"])
def test_a_cell_that_is_called_like_a_column(name):
    with pytest.raises(CeldaError, match=f"A cell cannot be called '{name}' here"):
        tiny(cell=dataclasses.replace(CELLS["gru"], name=name)).fit(daily())


def test_nothing_to_evaluate_on(fitted):
    with pytest.raises(CeldaError, match=r"learnt from series 'y' up to 2021-06-02.*a test needs 7 steps after that"):
        fitted.evaluate(daily(156))


def test_a_short_history_to_predict_from(fitted):
    with pytest.raises(CeldaError, match="has 10 steps, fewer than the window of 14"):
        fitted.predict(daily(10))


def test_another_frequency_to_predict_from(fitted):
    weekly = daily().iloc[::7]
    with pytest.raises(CeldaError, match="fitted at the frequency 'D'"):
        fitted.predict(weekly)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"n_windows": 0}, "n_windows=0 cannot be used: it is a whole number of at least 1"),
        ({"n_windows": 1.5}, "n_windows=1.5 cannot be used"),
        ({"n_windows": "2"}, "n_windows='2' cannot be used"),
        ({"step_size": 0}, "step_size=0 cannot be used"),
        ({"n_windows": 30}, "Series 'y' has 150 steps, so 210 of them cannot be held out: write a smaller n_windows"),
        ({"n_windows": 17}, "Series 'y' has 31 steps to learn from, and 35 are needed"),
    ],
)
def test_a_cross_validation_that_cannot_be(options, answer):
    with pytest.raises(CeldaError, match=answer):
        tiny().cross_validation(daily(), **options)


def test_a_misspelt_option_is_told_with_the_one_that_was_meant():
    with pytest.raises(TypeError, match=r"^There is no option 'hiden_size': did you mean 'hidden_size'\?$"):
        celda.Forecaster(3, hiden_size=3)
    with pytest.raises(TypeError, match=r"^There is no option 'xyz': there are input_size, .*, static\.$"):
        celda.Forecaster(3, xyz=3)
