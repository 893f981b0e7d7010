import pytest

import celda
from celda.errors import CeldaError, meant


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("gur", "gru"),
        ("GRU", "gru"),
        ("Lstm", "lstm"),
        ("ltsm", "lstm"),
        ("lstm_norm", None),
        ("", None),
        ("xyz", None),
    ],
)
def test_the_name_that_was_meant(given, wanted):
    assert meant(given, ["mgu", "lstm", "gru"], 0.7) == wanted


def test_names_are_given_back_as_they_are_written():
    assert meant("demand_mw", ["ds", "Demand_MW"]) == "Demand_MW"


@pytest.mark.parametrize(("given", "wanted"), [("gur", "gru"), ("LSTM", "lstm"), ("peephole", "peephole_lstm")])
def test_a_misspelt_cell(given, wanted):
    with pytest.raises(CeldaError, match=f"There is no cell '{given}'. Did you mean '{wanted}'?"):
        celda.Recurrent(given, 3, 4)
