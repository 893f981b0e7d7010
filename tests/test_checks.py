from functools import partial

import numpy as np
import pytest

import celda
from celda.checks import whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_become_ints(value):
    assert whole_number(value) == 3
    assert type(whole_number(value)) is int


@pytest.mark.parametrize("value", [0, -1, 3.0, np.float64(3), True, np.bool_(True), "3", None, [3]])
def test_others_are_none(value):
    assert whole_number(value) is None


def test_the_least_is_the_callers():
    assert whole_number(0, least=0) == 0
    assert whole_number(6, least=7) is None


def test_a_warning_names_the_line_of_the_caller():
    for made in (celda.LSTM, partial(celda.Recurrent, "gru")):
        with pytest.warns(UserWarning, match="no effect with num_layers=1") as told:
            made(3, 4, dropout=0.5)
        assert told[0].filename == __file__


@pytest.mark.parametrize("made", [celda.LSTM, celda.RNN, partial(celda.Recurrent, "gru")])
def test_a_misspelt_option_is_recognised(made):
    with pytest.raises(TypeError, match="There is no option 'zonout': did you mean 'zoneout'"):
        made(3, 4, zonout=0.1)
    for other in ("colour", "cel", "input_siz"):  # the latter were given, by their place
        with pytest.raises(TypeError, match=f"There is no option '{other}': there are .*, zoneout, "):
            made(3, 4, **{other: 0.1})


@pytest.mark.parametrize("name", ["candidate_dropout", "clip_state", "couple", "weight_drop"])
def test_a_function_from_cell_to_cell_is_no_option(name):
    for made in (celda.LSTM, partial(celda.Recurrent, "gru")):
        with pytest.raises(TypeError, match=rf"There is no option '{name}': .* celda.Recurrent\({name}\(cell"):
            made(3, 4, **{name: 0.1})


def test_an_option_of_a_model_given_to_its_method():
    for labelling in (celda.Classifier, celda.Tagger):
        with pytest.raises(TypeError, match=rf"'epochs': it is an option of {labelling.__name__} itself."):
            labelling().fit([], epochs=3)
    model = celda.Forecaster(h=3)
    for method, name in ((model.fit, "time_col"), (model.predict, "h")):
        with pytest.raises(
            TypeError, match=rf"'{name}': it is an option of Forecaster itself. Write Forecaster\(..., {name}="
        ):
            method(**{name: 1})
    with pytest.raises(TypeError, match="There is no option 'resum': did you mean 'resume'"):
        model.fit("electricity", resum=True)
