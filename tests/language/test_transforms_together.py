"""Options together: in any order, twice, and what their cells are called."""

import itertools
import subprocess
import sys

import pytest
import torch

from celda.cells import CELLS
from celda.language import (
    candidate_dropout,
    clip_state,
    couple,
    recurrent_dropout,
    weight_drop,
    zoneout,
)
from celda.language.calculus import gradient
from celda.language.schedule import schedule
from tests.language.steps import NAMES, H, I, by_hand, new_states, same, step_of

OPTIONS = {
    "zoneout": lambda c: zoneout(c, 0.3),
    "recurrent_dropout": lambda c: recurrent_dropout(c, 0.25),
    "candidate_dropout": lambda c: candidate_dropout(c, 0.4),
    "clip_state": lambda c: clip_state(c, 0.5),
    "weight_drop": lambda c: weight_drop(c, 0.5),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_an_option_learns_what_the_cell_learns(name, option):
    plain, taken = CELLS[name], OPTIONS[option](CELLS[name])
    assert taken.weights == plain.weights
    assert (taken.inputs, taken.states) == (plain.inputs, plain.states)
    assert taken.count(I, H) == plain.count(I, H)
    assert [n.removesuffix("_new") for n in taken.gates] == list(plain.gates)
    assert set(taken.evaluation.named) == set(taken.named)


@pytest.mark.parametrize("first", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_options_are_taken_together_in_any_order(name, first):
    for second in OPTIONS:
        taken = OPTIONS[second](OPTIONS[first](CELLS[name]))
        assert taken.weights == CELLS[name].weights
        step, weights = step_of(taken)
        found = new_states(taken, step, weights)
        assert all(value.isfinite().all() for value in found.values())
        if first != second:
            turned = OPTIONS[first](OPTIONS[second](CELLS[name]))
            assert taken.masks == turned.masks
            # clipped before or after a mixture with the old value is not the same
            if {first, second} != {"zoneout", "clip_state"} and (name != "rnn" or "clip_state" not in (first, second)):
                same(new_states(turned, step, weights), found)
        schedule(taken)
        gradient(taken)
        assert taken.equations()


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_all_options_in_every_order_are_one_network(name):
    options = ("recurrent_dropout", "candidate_dropout", "zoneout")
    cells = []
    for order in itertools.permutations(("couple", *options)):
        taken = CELLS[name]
        for option in order:
            taken = couple(taken) if option == "couple" else OPTIONS[option](taken)
        cells.append(taken)
    step, weights = step_of(cells[0])
    plain = by_hand(
        name,
        step,
        weights,
        heard=step["recurrent_dropout"] / 0.75,
        candidate=step["candidate_dropout"] / 0.6,
        coupled=True,
    )
    wanted = {s: torch.where(step[f"zoneout_{s}"] == 1, step[s], plain[s]) for s in plain}
    for taken in cells:
        assert taken.weights == cells[0].weights
        same(new_states(taken, step, weights), wanted)


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "candidate_dropout"])
def test_an_option_taken_twice_draws_twice(option):
    taken = OPTIONS[option](OPTIONS[option](CELLS["lstm"]))
    assert len(taken.masks) == 2 * len(OPTIONS[option](CELLS["lstm"]).masks)
    step, weights = step_of(taken)
    assert new_states(taken, step, weights)["h"].isfinite().all()


def test_weights_dropped_twice_are_dropped_by_both():
    assert weight_drop(weight_drop(CELLS["lstm"], 0.5), 0.2).weight_drop == pytest.approx(0.6)
    assert zoneout(weight_drop(CELLS["lstm"], 0.5), 0.1).weight_drop == 0.5


def test_names_docs_and_fingerprints():
    taken = {name: option(CELLS["lstm"]) for name, option in OPTIONS.items()} | {"couple": couple(CELLS["lstm"])}
    assert [c.name for c in taken.values()] == [
        "zoneout(lstm, 0.3)", "recurrent_dropout(lstm, 0.25)", "candidate_dropout(lstm, 0.4)", "clip_state(lstm, 0.5)",
        "weight_drop(lstm, 0.5)", "couple(lstm)",
    ]  # fmt: skip
    assert taken["zoneout"].doc.startswith("Long short-term memory with forget gates (Gers")
    assert taken["zoneout"].doc.endswith(", with zoneout.")
    every = [*taken.values(), zoneout(CELLS["lstm"], 0.31), clip_state(CELLS["lstm"], 0.5, "h")]
    prints = {each.fingerprint for each in (CELLS["lstm"], *every)}
    prints |= {each.evaluation.fingerprint for each in every if each.masks}
    assert len(prints) == 1 + len(every) + sum(bool(each.masks) for each in every)
    assert zoneout(CELLS["lstm"], 0.3).fingerprint == taken["zoneout"].fingerprint


def test_a_cell_without_masks_is_its_own_evaluation():
    for each in (CELLS["lstm"], couple(CELLS["lstm"]), clip_state(CELLS["lstm"], 1.0)):
        assert each.evaluation is each
    assert not zoneout(CELLS["lstm"], 0.5).evaluation.masks
    plain, taken = (schedule(c) for c in (CELLS["lstm"], recurrent_dropout(CELLS["lstm"], 0.5).evaluation))
    assert len(taken) == len(plain)
    assert len(recurrent_dropout(CELLS["lstm"], 0.5).evaluation.nodes) == len(CELLS["lstm"].nodes)  # no trace is left


def test_options_need_no_torch():
    program = (
        "import sys\n"
        "from celda.cells import CELLS\n"
        "from celda.language import *\n"
        "c = CELLS['peephole_lstm']\n"
        "c = weight_drop(clip_state(candidate_dropout(recurrent_dropout(zoneout(couple(c), .1), .2), .3), 5), .1)\n"
        "c.evaluation.fingerprint, c.equations(), c.latex(), c.diagram()\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
