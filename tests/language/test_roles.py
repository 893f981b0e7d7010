"""Which gate forgets, and which lets in, whatever they are called."""

import pytest
from hypothesis import given, settings

from celda.cells import CELLS
from celda.language import (
    cell,
    diagonal,
    exp,
    gate,
    identity,
    linear,
    mask,
    maximum,
    minimum,
    parameter,
    sigmoid,
    tanh,
    time,
    where,
)
from celda.language.roles import memories, shift
from tests.contract.options import OPTIONS
from tests.strategies import random_cells


def roles(traced):
    """(state, forget, sign, inputs with signs, coupled) of each memory, gates by name."""
    name = {node: name for name, node in traced.gates.items()}
    return [
        (m.state, name.get(m.forget.node), m.forget.sign, [(name.get(g.node), g.sign) for g in m.inputs], m.coupled)
        for m in memories(traced)
    ]


WANTED = {
    "rnn": [],
    "rnn_relu": [],
    "image_rnn": [],
    "lstm": [("c", "f", 1, [("i", 1)], False)],
    "peephole_lstm": [("c", "f", 1, [("i", 1)], False)],
    "gru": [("h", "z", 1, [], True)],
    "gru_2014": [("h", "z", 1, [], True)],
}


@pytest.mark.parametrize("name", WANTED)
def test_of_the_shipped_cells(name):
    assert roles(CELLS[name]) == WANTED[name]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", WANTED)
def test_of_cells_with_options(name, option):
    assert roles(OPTIONS[option](CELLS[name])) == WANTED[name]


def of(body):
    """The roles in a cell of two states whose memory is what `body` makes of two gates, a candidate and the state."""

    def traced(x, h, c):
        a, b = gate("a", sigmoid, linear(x, h)), gate("b", sigmoid, linear(x, h))
        g = gate("g", tanh, linear(x, h))
        c = body(a, b, g, c)
        return tanh(c) + 0.1 * (a + b + g), c

    return [found[1:] for found in roles(cell(traced)) if found[0] == "c"]


FORMS = {
    "as the LSTM": (lambda a, b, g, c: b * c + a * g, [("b", 1, [("a", 1)], False)]),
    "the other way round": (lambda a, b, g, c: g * b + c * a, [("a", 1, [("b", 1)], False)]),
    "coupled": (lambda a, b, g, c: a * c + (1 - a) * g, [("a", 1, [], True)]),
    "an update gate": (lambda a, b, g, c: (1 - a) * c + a * g, [("a", -1, [], True)]),
    "a step towards the candidate": (lambda a, b, g, c: c + a * (g - c), [("a", -1, [], True)]),
    "the same, subtracted": (lambda a, b, g, c: c - a * (c - g), [("a", -1, [], True)]),
    "lets in by closing": (lambda a, b, g, c: a * c + (1 - b) * g, [("a", 1, [("b", -1)], False)]),
    "forgets by opening, apart": (lambda a, b, g, c: (1 - a) * c + b * g, [("a", -1, [("b", 1)], False)]),
    "halved": (lambda a, b, g, c: (a * c + b * g) / 2, [("a", 1, [("b", 1)], False)]),
    "every second step": (
        lambda a, b, g, c: where(time() % 2 == 0, a * c + b * g, c),
        [("a", 1, [("b", 1)], False)],
    ),
    "a gate an alternative": (
        lambda a, b, g, c: where(c > 0, a * c + g, b * c + g),
        [("a", 1, [], False), ("b", 1, [], False)],
    ),
    "bounded": (lambda a, b, g, c: maximum(minimum(b * c + a * g, 3.0), -3.0), [("b", 1, [("a", 1)], False)]),
    "a mask keeps the old value": (
        lambda a, b, g, c: b * c + a * g + mask("kept", 0.5) * (c - b * c - a * g),
        [("b", 1, [("a", 1)], False)],
    ),
    "a mask lets the new value through": (
        lambda a, b, g, c: where(mask("new", 0.5) > 0.5, a * c + (1 - a) * g, c),
        [("a", 1, [], True)],
    ),
    "a mask on what is written": (
        lambda a, b, g, c: b * c + mask("written", 0.5) / 0.5 * a * g,
        [("b", 1, [("a", 1)], False)],
    ),
    "what is bounded is turned": (lambda a, b, g, c: -minimum(a * c + b * g, 3.0), []),
    "a candidate made of a sigmoid": (
        lambda a, b, g, c: a * c + b * (4 * sigmoid(g) - 2),
        [("a", 1, [("b", 1)], False)],
    ),
    "a bare sigmoid added": (lambda a, b, g, c: a * c + b, [("a", 1, [], False)]),
    "nothing forgets": (lambda a, b, g, c: c + a * g, []),
    "a constant forgets": (lambda a, b, g, c: 0.9 * c + a * g, []),
    "it forgets a tenth at most": (lambda a, b, g, c: c + 0.1 * a * (g - c), []),
    "two gates multiply it": (lambda a, b, g, c: a * b * c + g, []),
    "no sigmoid": (lambda a, b, g, c: g * c + a, []),
    "a sigmoid of what is not learned": (lambda a, b, g, c: sigmoid(x_free(c)) * c + a * g, []),
    "its square": (lambda a, b, g, c: a * c * c, []),
    "out of reach": (lambda a, b, g, c: tanh(a * c), []),
}


def x_free(c):
    return exp(-abs(c))


@pytest.mark.parametrize("name", FORMS)
def test_of_any_way_to_write_it(name):
    body, wanted = FORMS[name]
    assert of(body) == wanted


def test_a_gate_may_be_a_sigmoid_of_a_named_value():
    @cell
    def late(x, h):
        f = sigmoid(gate("before", identity, linear(x, h)))
        return f * h + gate("g", tanh, linear(x))

    (memory,) = memories(late)
    assert memory.forget.node.op == "sigmoid"
    assert [(h.name, h.block, h.factor) for h in shift(late, memory.forget.node).homes] == [
        ("bias_ih", 0, 1.0),
        ("bias_hh", 0, 1.0),
    ]


def test_a_bias_may_be_turned_moved_and_a_parameter_of_its_own():
    @cell
    def own(x, h, c):
        f = gate("f", sigmoid, 2.0 - 0.5 * linear(x, h) + diagonal(c))
        i = gate("i", sigmoid, linear(x, h, bias=False) + parameter("start"))
        return tanh(c), f * c + i * gate("g", tanh, linear(x, h))

    (memory,) = memories(own)
    forget, enter = shift(own, memory.forget.node), shift(own, memory.inputs[0].node)
    assert forget.constant == 2.0
    assert [(h.name, h.factor) for h in forget.homes] == [("bias_ih", -0.5), ("bias_hh", -0.5)]
    assert [(h.name, h.block, h.factor) for h in enter.homes] == [("start", 0, 1.0)]


@settings(max_examples=60)
@given(random_cells())
def test_any_cell_can_be_asked(traced):
    for memory in memories(traced):
        shift(traced, memory.forget.node)


def test_a_long_product_of_sums_is_left_as_it_is():
    @cell
    def wide(x, h):
        g = gate("g", tanh, linear(x, h))
        for _ in range(40):
            g = (g + h) * (g + 1)
        return tanh(g)

    assert memories(wide) == ()
