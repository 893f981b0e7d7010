"""Options of cells: what each makes of the equations, in training and in evaluation, and of the weights."""

import itertools
import subprocess
import sys

import pytest
import torch

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
    mask,
    recurrent_dropout,
    sigmoid,
    tanh,
    weight_drop,
    zoneout,
)
from celda.language.calculus import gradient
from celda.language.expression import HIDDEN
from celda.language.schedule import schedule
from tests.language.graphs import block, forward

H, I, B = 4, 3, 5  # noqa: E741
F64 = torch.float64
LSTM = CELLS["lstm"]
NAMES = ("lstm", "gru", "rnn", "peephole_lstm")
GATES = {"lstm": "ifgo", "peephole_lstm": "ifgo", "gru": "rzn", "rnn": "h"}


def step_of(taken, seed=0):
    """Random numbers for a step: the inputs, the states and the masks, and the weights."""
    g = torch.Generator().manual_seed(seed)
    normal = lambda *size: torch.randn(size, generator=g, dtype=F64)  # noqa: E731
    step = {name: normal(B, I) for name in taken.inputs} | {name: normal(B, H) for name in taken.states}
    columns = {HIDDEN: H, "x": I}
    weights = {w.name: normal(w.blocks * H, *([columns[w.columns]] if w.columns else [])) for w in taken.weights}
    for name, drawn in taken.masks.items():
        step[name] = torch.empty(B, H, dtype=F64).bernoulli_(drawn.probability, generator=g)
    return step, weights


def by_hand(name, step, weights, *, heard=1.0, candidate=1.0, coupled=False):
    """The new states of a step, as the papers have them.

    `heard` is what recurrent products are multiplied with, `candidate` what the candidate is.
    """
    x, h, c = step["x"], step["h"] * heard, step.get("c")
    letters = GATES[name]
    if coupled:
        letters = letters.replace("i", "")

    def part(letter, both=True):
        k = letters.index(letter)
        inner = x @ block(weights, "weight_ih", k, H).T + block(weights, "bias_ih", k, H)
        outer = h @ block(weights, "weight_hh", k, H).T + block(weights, "bias_hh", k, H)
        return inner + outer if both else (inner, outer)

    if name == "rnn":
        return {"h": torch.tanh(part("h")) * candidate}
    if name == "gru":
        r, z = torch.sigmoid(part("r")), torch.sigmoid(part("z"))
        inner, outer = part("n", both=False)
        return {"h": (1 - z) * torch.tanh(inner + r * outer) * candidate + z * step["h"]}
    see = lambda letter, memory: weights.get(f"diagonal_{letter}", torch.zeros(H, dtype=F64)) * memory  # noqa: E731
    f = torch.sigmoid(part("f") + see("f", c))
    i = 1 - f if coupled else torch.sigmoid(part("i") + see("i", c))
    memory = f * c + i * torch.tanh(part("g")) * candidate
    return {"h": torch.sigmoid(part("o") + see("o", memory)) * torch.tanh(memory), "c": memory}


def new_states(taken, step, weights):
    values = forward(taken, step, weights, H)
    return {name: values[node] for name, node in taken.outputs.items()}


def same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_zoneout_keeps_old_values_in_training_and_mixes_in_evaluation(name):
    taken = zoneout(CELLS[name], 0.3)
    assert {n: (m.probability, m.every_step) for n, m in taken.masks.items()} == {
        f"zoneout_{state}": (0.3, True) for state in taken.states
    }
    step, weights = step_of(taken)
    plain = by_hand(name, step, weights)
    kept = {state: step[f"zoneout_{state}"] for state in plain}
    same(new_states(taken, step, weights), {s: kept[s] * step[s] + (1 - kept[s]) * plain[s] for s in plain})
    same(new_states(taken.evaluation, step, weights), {s: 0.3 * step[s] + 0.7 * plain[s] for s in plain})


@pytest.mark.parametrize("name", NAMES)
def test_recurrent_dropout_drops_what_recurrent_matrices_multiply_and_nothing_else(name):
    taken = recurrent_dropout(CELLS[name], 0.25)
    assert [(m.probability, m.every_step) for m in taken.masks.values()] == [(0.75, False)]
    step, weights = step_of(taken)
    same(new_states(taken, step, weights), by_hand(name, step, weights, heard=step["recurrent_dropout"] / 0.75))
    same(new_states(taken.evaluation, step, weights), by_hand(name, step, weights))


def test_recurrent_dropout_of_the_gru_of_2014_drops_the_state_that_was_reset_too():
    taken = recurrent_dropout(CELLS["gru_2014"], 0.25)
    step, weights = step_of(taken)
    factor = step["recurrent_dropout"] / 0.75

    def part(k, h):
        return torch.nn.functional.linear(
            step["x"], block(weights, "weight_ih", k, H), block(weights, "bias_ih", k, H)
        ) + torch.nn.functional.linear(h, block(weights, "weight_hh", k, H), block(weights, "bias_hh", k, H))

    h = step["h"]
    r, z = torch.sigmoid(part(0, h * factor)), torch.sigmoid(part(1, h * factor))
    n = torch.tanh(part(2, r * h * factor))
    same(new_states(taken, step, weights), {"h": z * h + (1 - z) * n})


@pytest.mark.parametrize("name", NAMES)
def test_candidate_dropout_drops_what_is_written(name):
    taken = candidate_dropout(CELLS[name], 0.4)
    assert [(m.probability, m.every_step) for m in taken.masks.values()] == [(0.6, True)]
    step, weights = step_of(taken)
    same(new_states(taken, step, weights), by_hand(name, step, weights, candidate=step["candidate_dropout"] / 0.6))
    same(new_states(taken.evaluation, step, weights), by_hand(name, step, weights))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_clipped_for_all_that_reads_it(name):
    taken = clip_state(CELLS[name], 0.3)
    step, weights = step_of(taken)
    wanted = by_hand(name, step, weights)
    if "c" in wanted:
        assert (wanted["c"].abs() > 0.3).any()
        c = wanted["c"].clamp(-0.3, 0.3)
        k = 3
        before = torch.nn.functional.linear(
            step["x"], block(weights, "weight_ih", k, H), block(weights, "bias_ih", k, H)
        ) + torch.nn.functional.linear(step["h"], block(weights, "weight_hh", k, H), block(weights, "bias_hh", k, H))
        o = torch.sigmoid(before + (weights["diagonal_o"] * c if name == "peephole_lstm" else 0))
        wanted = {"h": o * torch.tanh(c), "c": c}
    else:
        wanted = {"h": wanted["h"].clamp(-0.3, 0.3)}
    for each in (taken, taken.evaluation):
        same(new_states(each, step, weights), wanted)


def test_states_are_clipped_by_name():
    taken = clip_state(CELLS["lstm"], 0.3, "h", "c")
    step, weights = step_of(taken)
    c = by_hand("lstm", step, weights)["c"].clamp(-0.3, 0.3)
    found = new_states(taken, step, weights)
    same(found["c"], c)
    assert found["h"].abs().max() <= 0.3
    only = new_states(clip_state(CELLS["lstm"], 0.01, "h"), step, weights)
    same(only["c"], by_hand("lstm", step, weights)["c"])


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_coupled_gates_learn_one_gate_less(name):
    taken = couple(CELLS[name])
    assert [(w.name, w.blocks) for w in taken.weights if not w.name.startswith("diagonal")] == [
        ("weight_ih", 3), ("weight_hh", 3), ("bias_ih", 3), ("bias_hh", 3),
    ]  # fmt: skip
    assert [w.name for w in taken.weights if w.name.startswith("diagonal")] == (
        ["diagonal_f", "diagonal_o"] if name == "peephole_lstm" else []
    )
    assert list(taken.gates) == ["i", "f", "g", "o"]
    step, weights = step_of(taken)
    same(new_states(taken, step, weights), by_hand(name, step, weights, coupled=True))


def test_coupled_gates_are_the_cell_of_the_paper():
    for name, paper in (("peephole_lstm", "lstm_cifg"), ("lstm", "coupled_lstm")):
        taken = couple(CELLS[name], "f", "i")
        step, weights = step_of(taken)
        assert taken.weights == CELLS[paper].weights
        same(new_states(taken, step, weights), new_states(CELLS[paper], step, weights))


@cell
def biased(x, h, c):
    i = gate("i", sigmoid, linear(x, h) + diagonal(c), bias=-1.0)
    f = gate("f", sigmoid, linear(x, h), bias=2.0)
    g = gate("g", tanh, linear(x, h))
    c = f * c + i * g
    return tanh(c), c


def test_initial_biases_stay_with_their_gates():
    taken = couple(biased)
    initial = {w.name: w.initial for w in taken.weights}
    assert initial == {
        "weight_ih": (None, None), "weight_hh": (None, None), "bias_ih": (2.0, None), "bias_hh": (0.0, None),
    }  # fmt: skip
    other = couple(biased, "f", "i")
    assert next(w for w in other.weights if w.name == "bias_ih").initial == (-1.0, None)
    assert "diagonal_i" in [w.name for w in other.weights]


def test_any_gate_may_be_coupled_to_a_later_one_or_an_earlier_one():
    for pair in (("f", "i"), ("o", "f"), ("i", "o")):
        taken = couple(CELLS["lstm"], *pair)
        step, weights = step_of(taken)
        values = forward(taken, step, weights, H)
        same(values[taken.gates[pair[0]]], 1 - values[taken.gates[pair[1]]])
    assert len({couple(CELLS["lstm"], *pair).name for pair in (("i", "f"), ("f", "i"), ("o", "f"))}) == 3


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


@pytest.mark.parametrize("name", NAMES)
def test_zoneout_at_its_ends(name):
    for probability in (0, 1):
        taken = zoneout(CELLS[name], probability)
        step, weights = step_of(taken)
        old = {state: step[state] for state in taken.states}
        wanted = old if probability else by_hand(name, step, weights)
        for each in (taken, taken.evaluation):
            same(new_states(each, step, weights), wanted)


def test_states_are_zoned_out_by_name_each_with_a_probability_of_its_own():
    taken = zoneout(zoneout(LSTM, 0.5, "c"), 0.05, "h")
    assert taken.name == "zoneout(zoneout(lstm, 0.5, c), 0.05, h)"
    assert {n: m.probability for n, m in taken.masks.items()} == {"zoneout_c": 0.5, "zoneout_h": 0.05}
    step, weights = step_of(taken)
    plain = by_hand("lstm", step, weights)
    same(
        new_states(taken, step, weights), {s: torch.where(step[f"zoneout_{s}"] == 1, step[s], plain[s]) for s in plain}
    )
    step["zoneout_c"] = torch.ones(B, H, dtype=F64)
    same(new_states(zoneout(LSTM, 1, "c"), step, weights), {"h": plain["h"], "c": step["c"]})


def test_zoneout_of_a_state_that_nothing_reads():
    @cell
    def forgetful(x, h, c):
        g = gate("g", tanh, linear(x, h))
        return g, g * g

    taken = zoneout(forgetful, 0.5)
    step, weights = step_of(taken)
    kept, values = step["zoneout_c"], forward(taken, step, weights, H)
    g = values[taken.gates["g"]]
    same(values[taken.outputs["c"]], kept * step["c"] + (1 - kept) * g * g)


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


@cell
def noisy(x, h, c):
    """A cell with masks of its own: one anew at every step, and one a sequence."""
    heard = mask("heard", 0.9, every="sequence")
    g = gate("g", tanh, linear(x, h * heard, mask("pattern", 0.5)))
    c = c + mask("written", 0.25) * g
    return tanh(c), c


def test_masks_of_a_cell_of_ones_own():
    assert {n: (m.probability, m.every_step) for n, m in noisy.masks.items()} == {
        "heard": (0.9, False), "pattern": (0.5, True), "written": (0.25, True),
    }  # fmt: skip
    step, weights = step_of(noisy)
    x, bias = step["x"], weights["bias_ih"] + weights["bias_hh"]
    for each, given in ((noisy, step), (noisy.evaluation, {"heard": 0.9, "pattern": 0.5, "written": 0.25})):
        pattern = given["pattern"] * torch.ones(B, H, dtype=F64)
        inside = x @ weights["weight_ih"].T + (step["h"] * given["heard"]) @ weights["weight_hh"].T
        g = torch.tanh(inside + pattern @ weights["weight_hh2"].T + bias)
        wanted = step["c"] + given["written"] * g
        found = forward(each, step, weights, H)
        same(found[each.outputs["c"]], wanted)


def test_a_mask_of_an_option_keeps_clear_of_what_the_cell_has():
    @cell
    def taken(x, h, zoneout_h):
        kept = mask("zoneout_zoneout_h", 0.5)
        g = gate("g", tanh, linear(x, h))
        return g, zoneout_h * kept + g

    assert set(zoneout(taken, 0.2).masks) == {"zoneout_zoneout_h", "zoneout_h2", "zoneout_zoneout_h2"}


def bad_mask(*args, **named):
    def traced(x, h):
        return gate("g", tanh, linear(x, h)) * mask(*args, **named)

    return cell(traced)


MASKS = {
    "no probability": (lambda: bad_mask("kept", 1.5), 'mask("kept", 0.9)'),
    "a word": (lambda: bad_mask("kept", "often"), 'mask("kept", 0.9)'),
    "yes": (lambda: bad_mask("kept", True), 'mask("kept", 0.9)'),
    "not a number": (lambda: bad_mask("kept", float("nan")), 'mask("kept", 0.9)'),
    "no name": (lambda: bad_mask(0.9, 0.9), 'mask("kept", 0.9)'),
    "two words": (lambda: bad_mask("is kept", 0.9), 'mask("kept", 0.9)'),
    "forgotten": (lambda: bad_mask("kept"), 'mask("kept", 0.9)'),
    "another time": (lambda: bad_mask("kept", 0.9, every="epoch"), 'every="sequence"'),
    "an input's name": (lambda: bad_mask("x", 0.9), 'mask("x_mask", 0.9)'),
    "a state's name": (lambda: bad_mask("h", 0.9), 'mask("h_mask", 0.9)'),
    "outside": (lambda: mask("kept", 0.9), "@cell above the function"),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_bad_mask_is_answered(name):
    make, right = MASKS[name]
    with pytest.raises(CellError) as caught:
        make()
    assert right in str(caught.value)


def test_two_masks_of_one_name_and_one_without_effect():
    with pytest.raises(CellError, match='There are two masks "kept"'):

        @cell
        def twice(x, h):
            return gate("g", tanh, linear(x, h)) * mask("kept", 0.9) * mask("kept", 0.9)

    with pytest.raises(CellError, match="This mask has no effect"):

        @cell
        def idle(x, h):
            mask("kept", 0.9)
            return gate("g", tanh, linear(x, h))


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
