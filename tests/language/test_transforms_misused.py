"""Mistakes with options, each answered with what to write instead."""

import pytest

from celda.cells import CELLS
from celda.language import (
    Cell,
    CellError,
    candidate_dropout,
    cell,
    clip_state,
    couple,
    diagonal,
    exp,
    gate,
    linear,
    recurrent_dropout,
    sigmoid,
    tanh,
    weight_drop,
    zoneout,
)
from tests.language.graphs import forward
from tests.language.steps import LSTM, H, new_states, same, step_of


@cell
def two_candidates(x, h):
    return gate("a", tanh, linear(x, h)) * gate("b", tanh, linear(x, h))


@cell
def late_forget(x, h):
    i = gate("i", sigmoid, linear(x, h))
    f = gate("f", sigmoid, linear(x) + i)
    return f * h + i * gate("g", tanh, linear(x, h))


@cell
def deaf(x, h):
    return gate("f", sigmoid, linear(x)) * h + exp(-abs(h)) * gate("g", tanh, linear(x) + diagonal(h))


MISTAKES = {
    "a name": (lambda: zoneout("lstm", 0.1), "CELLS['lstm']"),
    "a function": (lambda: recurrent_dropout(lambda x, h: h, 0.1), "recurrent_dropout takes a cell"),
    "no cell to couple": (lambda: couple(None), "couple takes a cell"),
    "no cell to clip": (lambda: clip_state("lstm", 1.0), "clip_state takes a cell"),
    "more than 1": (lambda: zoneout(LSTM, 1.1), "from 0 to 1"),
    "less than 0": (lambda: zoneout(LSTM, -0.1), "from 0 to 1"),
    "not a number": (lambda: zoneout(LSTM, float("nan")), "from 0 to 1"),
    "true": (lambda: zoneout(LSTM, True), "from 0 to 1"),
    "nothing is left to hear": (lambda: recurrent_dropout(LSTM, 1), "from 0 to below 1"),
    "nothing is left to write": (lambda: candidate_dropout(LSTM, 1.0), "from 0 to below 1"),
    "no weight is left": (lambda: weight_drop(LSTM, 1.0), "from 0 to below 1"),
    "text": (lambda: weight_drop(LSTM, "0.5"), "from 0 to below 1"),
    "no matrix": (lambda: recurrent_dropout(deaf, 0.5), "nothing to drop"),
    "no matrix of weights": (lambda: weight_drop(deaf, 0.5), "nothing to drop"),
    "which candidate": (lambda: candidate_dropout(two_candidates, 0.5), "say it with gate=, one of a, b"),
    "no candidate": (lambda: candidate_dropout(couple(late_forget, "g", "f"), 0.5), "say it with gate="),
    "no such gate": (lambda: candidate_dropout(LSTM, 0.5, "n"), "no gate 'n'; it has i, f, g, o"),
    "no limit": (lambda: clip_state(LSTM, 0), "a number above 0"),
    "a limit that is none": (lambda: clip_state(LSTM, float("nan")), "a number above 0"),
    "a limit in words": (lambda: clip_state(LSTM, "c"), "a number above 0"),
    "no such state": (lambda: clip_state(LSTM, 1.0, "n"), "no state 'n'; it has h, c"),
    "no such state to keep": (lambda: zoneout(LSTM, 0.1, "n"), "no state 'n'; it has h, c"),
    "no such gate to couple": (lambda: couple(CELLS["gru"]), "no gate 'i'; it has r, z, n"),
    "no such gate to couple to": (lambda: couple(LSTM, "i", "k"), "no gate 'k'"),
    "the wrong way round": (lambda: couple(late_forget), "gate='f', to='i'"),
    "a gate with itself": (lambda: couple(LSTM, "f", "f"), "two gates"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    make, told = MISTAKES[name]
    with pytest.raises(CellError) as caught:
        make()
    assert told in str(caught.value)


def test_a_candidate_may_be_named():
    taken = candidate_dropout(two_candidates, 0.5, "b")
    step, weights = step_of(taken)
    values = forward(two_candidates, step, weights, H)
    plain = values[two_candidates.outputs["h"]]
    same(new_states(taken, step, weights)["h"], plain * step["candidate_dropout"] / 0.5)


def test_the_other_way_round_works():
    taken = couple(late_forget, "f", "i")
    assert isinstance(taken, Cell)
    assert next(w for w in taken.weights if w.name == "weight_ih").blocks == 2


@pytest.mark.parametrize("name", ["slstm", "slstm_exp"])
def test_gates_of_states_that_stand_together_are_not_coupled(name):
    with pytest.raises(CellError, match=r"The gate i of .* has a part in c, n, which mean something only together"):
        couple(CELLS[name])
    assert couple(CELLS[name], "o", "z").gates.keys() >= {"z"}


def test_a_gate_is_a_name():
    with pytest.raises(CellError, match="lstm has no gate \\['g'\\]"):
        candidate_dropout(CELLS["lstm"], 0.2, ["g"])
