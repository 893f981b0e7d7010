"""What each option makes of the equations, in training and in evaluation, and of the weights."""

import pytest
import torch

from celda.cells import CELLS
from celda.language import (
    candidate_dropout,
    cell,
    clip_state,
    couple,
    diagonal,
    gate,
    heads,
    layer_norm,
    linear,
    projection,
    recurrent_dropout,
    sigmoid,
    tanh,
    zoneout,
)
from celda.language.expression import HIDDEN
from tests.language.graphs import block, forward
from tests.language.steps import F64, LSTM, NAMES, B, H, I, by_hand, new_states, same, step_of


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


def test_layer_norm_is_a_gain_and_a_bias_of_each_map_and_of_the_memory():
    taken = layer_norm(LSTM)
    step, weights = step_of(taken)
    normal = lambda value: torch.nn.functional.layer_norm(value, (H,))  # noqa: E731
    scaled = lambda name, value: weights[f"norm_weight_{name}"] * normal(value) + weights[f"norm_bias_{name}"]  # noqa: E731
    maps = step["x"] @ weights["weight_ih"].T + step["h"] @ weights["weight_hh"].T
    i, f, g, o = (scaled(gate, part) for gate, part in zip("ifgo", maps.chunk(4, -1), strict=True))
    c = torch.sigmoid(f) * step["c"] + torch.sigmoid(i) * torch.tanh(g)
    same(new_states(taken, step, weights), {"h": torch.sigmoid(o) * torch.tanh(scaled("c", c)), "c": c})
    assert not any(w.is_bias for w in taken.weights)
    assert {w.name: w.initial for w in layer_norm(biased).weights}["norm_bias_f"] == (2.0,)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_heads_are_the_same_equations_with_fewer_weights(name):
    plain, taken = CELLS[name], heads(CELLS[name], 2)
    assert taken.equations() == plain.equations()
    blocks = next(w for w in plain.weights if w.name == "weight_hh").blocks
    assert plain.count(I, H) - taken.count(I, H) == blocks * H * H // 2
    assert heads(plain, 1) is plain


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "rnn"])
def test_a_projection_is_a_map_of_the_output_that_matrices_alone_read(name):
    size, taken = 2, projection(CELLS[name], 2)
    assert (taken.narrow, taken.units("h", H), taken.states) == ({"h": size}, size, CELLS[name].states)
    step, weights = step_of(taken)
    step["h"][:, size:] = 0  # as a narrow state is
    weights["weight_hr"] = torch.cat([weights["weight_hr"][:size], torch.zeros(H - size, H, dtype=F64)])
    wanted = by_hand(name, step, weights)
    wanted["h"] = wanted["h"] @ weights["weight_hr"].T
    found = new_states(taken, step, weights)
    same(found, wanted)
    assert not found["h"][:, size:].any()
    saved = CELLS[name].weights[1].blocks * H * (H - size)
    assert taken.count(I, H) == CELLS[name].count(I, H) - saved + size * H
    assert taken.equations().splitlines()[-1].startswith("h_t = P_h ")


def test_an_array_that_multiplies_other_values_too_is_parted_by_a_projection():
    taken = projection(CELLS["jordan"], 2)
    patterns = {w.name: w.pattern for w in taken.weights if w.columns == HIDDEN}
    assert {name: pattern and pattern.block(H) for name, pattern in patterns.items()} == {
        "weight_hh": (H, 2), "weight_hh2": None, "weight_hr": (2, H),
    }  # fmt: skip


def test_what_is_dropped_from_a_projected_cell_is_not_its_map():
    taken = recurrent_dropout(projection(LSTM, 2), 0.25)
    assert taken.equations().splitlines()[-1] == "h_t = P_h (o_t ⊙ tanh(c_t))"
    assert projection(recurrent_dropout(LSTM, 0.25), 2).equations() == taken.equations()
    assert "norm_weight_h" not in {w.name for w in layer_norm(projection(LSTM, 2)).weights}
