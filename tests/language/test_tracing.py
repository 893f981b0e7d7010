"""What a traced function becomes: its gates, states, inputs and the arrays it learns."""

import linecache

import numpy as np
import pytest

from celda.cells import CELLS
from celda.language import (
    Cell,
    CellError,
    cell,
    diagonal,
    gate,
    identity,
    linear,
    parameter,
    relu,
    sigmoid,
    tanh,
    time,
    where,
)


def arrays(traced: Cell) -> dict[str, tuple[int, str | None]]:
    return {w.name: (w.blocks, w.columns) for w in traced.weights}


def test_names_come_from_the_arguments():
    @cell
    def made(x, h, c, *, image, static):
        """A summary.

        More.
        """
        g = gate("g", tanh, linear(x, h, image, static))
        return g + c, c * g

    assert made.name == "made"
    assert made.doc == "A summary.\n\nMore."
    assert made.inputs == ("x", "image", "static")
    assert made.states == ("h", "c")
    assert list(made.gates) == ["g"]
    assert list(made.outputs) == ["h", "c"]
    assert set(made.named) == {"g", "h", "c"}
    assert repr(made) == "<cell made(x, h, c)>"


def test_a_single_state_needs_no_tuple():
    @cell
    def made(x, h):
        return gate("h", tanh, linear(x, h))

    assert made.outputs["h"] is made.gates["h"]


def test_a_gate_owns_the_maps_it_is_made_of():
    @cell
    def made(x, h, c):
        a = gate("a", sigmoid, linear(x, h) + diagonal(c) + diagonal(h))
        b = gate("b", tanh, linear(x) + a * linear(c, bias=False))
        return gate("h", identity, a * b), c + parameter("scale", init=1.0)

    assert arrays(made) == {
        "weight_ih": (2, "x"),
        "weight_hh": (2, "hidden"),
        "bias_ih": (2, None),
        "bias_hh": (1, None),
        "diagonal_a": (1, None),
        "diagonal_a2": (1, None),
        "scale": (1, None),
    }
    assert sorted(m.gate for m in made.linear.values()) == ["a", "b", "b"]
    assert next(w for w in made.weights if w.name == "scale").initial == (1.0,)


def test_a_map_used_by_two_gates_belongs_to_the_first():
    @cell
    def made(x, h):
        before = linear(x, h)
        return gate("a", sigmoid, before) * gate("b", tanh, before)

    assert [m.gate for m in made.linear.values()] == ["a"]


def test_operands_of_one_width_have_matrices_of_their_own():
    @cell
    def made(x, h, c):
        return gate("g", tanh, linear(x, h, c)), gate("k", tanh, linear(c, x))

    assert arrays(made) == {
        "weight_ih": (2, "x"),
        "weight_hh": (2, "hidden"),
        "weight_hh2": (1, "hidden"),
        "bias_ih": (2, None),
        "bias_hh": (2, None),
    }
    k = next(m for m in made.linear.values() if m.gate == "k")
    assert [(t.weight, t.block) for t in k.terms] == [("weight_hh", 1), ("weight_ih", 1)]


def test_a_further_input_has_arrays_called_after_it():
    @cell
    def made(x, h, *, image):
        return gate("g", tanh, linear(image) + linear(x, h))

    assert arrays(made)["weight_image"] == (1, "image")
    assert arrays(made)["bias_image"] == (1, None)


def test_an_initial_bias_is_shared_out_once():
    @cell
    def made(x, h):
        f = gate("f", sigmoid, linear(x, h), bias=1.0)
        return f * gate("g", tanh, linear(x) + linear(h), bias=2.0)

    initial = {w.name: w.initial for w in made.weights}
    assert initial["bias_ih"] == (1.0, 2.0)
    assert initial["bias_hh"] == (0.0, 0.0)
    assert initial["weight_ih"] == (None, None)


def test_numbers_of_numpy_are_numbers():
    @cell
    def made(x, h):
        g = gate("g", tanh, linear(x, h))
        return np.float64(0.5) * g + h * np.float32(0.25) - np.float64(1) / (2 + g * g)

    assert made.equations().splitlines()[-1] == "h_t = 0.5 · g_t + h_{t-1} · 0.25 - 1 / (2 + g_t ⊙ g_t)"


def test_python_loops_and_helpers_are_unrolled():
    def squash(value, times):
        for _ in range(times):
            value = tanh(value)
        return value

    @cell
    def made(x, h):
        return squash(gate("g", relu, linear(x, h)), 3)

    assert made.equations().splitlines()[-1] == "h_t = tanh(tanh(tanh(g_t)))"


def test_time_and_where_need_no_state():
    @cell
    def made(x, h):
        g = gate("g", tanh, linear(x, h))
        return where(time() % 4 < 1, g, h)

    assert made.equations().splitlines()[-1] == "h_t = (g_t if t mod 4 < 1 else h_{t-1})"


def test_a_state_may_pass_unchanged_and_two_may_be_one():
    @cell
    def made(x, h, c, n):
        g = gate("g", tanh, linear(x, h))
        return g, c, g

    first, *rest = made.equations().splitlines()
    assert first == "g_t = tanh(W_g x_t + R_g h_{t-1} + b_g)"
    assert rest == ["h_t = g_t", "n_t = g_t", "c_t = c_{t-1}"]


def test_tracing_ends_after_an_error():
    with pytest.raises(CellError):

        @cell
        def bad(x, h):
            return h[0]

    with pytest.raises(CellError, match="while a cell is traced"):
        linear(1.0)

    @cell
    def good(x, h):
        return gate("h", tanh, linear(x, h))

    assert good.states == ("h",)


def test_a_cell_is_not_a_layer():
    lstm = CELLS["lstm"]
    with pytest.raises(CellError, match=r"celda\.Recurrent\(lstm, input_size, hidden_size\)"):
        lstm(1, 2, 3)


def test_how_many_numbers_a_layer_learns():
    assert CELLS["lstm"].count(10, 20) == 4 * 20 * (10 + 20 + 2)
    assert CELLS["lstm"].count(10, 20, bias=False) == 4 * 20 * (10 + 20)
    assert CELLS["peephole_lstm"].count(10, 20) == 4 * 20 * (10 + 20 + 2) + 3 * 20
    assert CELLS["image_rnn"].count({"x": 10, "image": 7}, 20) == 20 * (10 + 20 + 7 + 2)
    with pytest.raises(CellError, match="image"):
        CELLS["image_rnn"].count(10, 20)


INTERACTIVE = """
@cell
def typed(x, h):
    f = gate("f", sigmoid, linear(x, h))
    return f * h
"""


def test_a_definition_without_source_works():
    names = {"cell": cell, "gate": gate, "sigmoid": sigmoid, "linear": linear}
    exec(compile(INTERACTIVE, "<stdin>", "exec"), names)
    assert names["typed"].equations().splitlines()[-1] == "h_t = f_t ⊙ h_{t-1}"


def test_an_error_without_source_still_teaches():
    assert not linecache.getline("<stdin>", 1)
    names = {"cell": cell, "gate": gate, "sigmoid": sigmoid, "linear": linear}
    with pytest.raises(CellError) as error:
        exec(compile(INTERACTIVE.replace("f * h", "f * c"), "<stdin>", "exec"), names)
    assert "`c` has no value" in str(error.value)
    assert "def typed(x, h, c):" in str(error.value)


def test_a_remainder_of_a_number_and_a_plus_sign_are_part_of_the_language():
    @cell
    def made(x, h):
        g = gate("g", sigmoid, linear(x, h))
        return +(2 % (g + 1))

    assert [node.op for node in made.nodes][-1] == "remainder"
    assert made.outputs["h"].args[0].op == "number"


@pytest.mark.parametrize("name", ["x", "self", "lengths"])
def test_a_further_input_cannot_be_called_like_an_argument_of_a_layer(name):
    space: dict = {"cell": cell, "gate": gate, "tanh": tanh, "linear": linear}
    source = f"@cell\ndef made(u, h, *, {name}):\n    return gate('g', tanh, linear(u, h, {name}))\n"
    with pytest.raises(CellError, match=f"An input cannot be called `{name}`"):
        exec(source, space)
