"""Random cells, for properties that hold for every cell and on every engine."""

import inspect
from collections.abc import Callable

from hypothesis import note
from hypothesis import strategies as st

from celda import language as L
from celda.language import Cell, cell
from celda.language.expression import Value

# Every operation, on values of any size: arguments are kept where a function is defined and smooth enough to compare.
EXPRESSIONS: tuple[Callable, ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (1.5 + L.abs(b)),
    lambda a, b: a % (1.5 + L.abs(b)),
    lambda a, b: -a,
    lambda a, b: 1 - a,
    lambda a, b: 0.5 * a + 0.25,
    lambda a, b: L.sigmoid(a),
    lambda a, b: L.tanh(a - b),
    lambda a, b: L.relu(a),
    lambda a, b: L.identity(a),
    lambda a, b: a * L.stop_gradient(b),
    lambda a, b: L.stop_gradient(a),
    lambda a, b: L.exp(L.tanh(a)),
    lambda a, b: L.log(1.5 + L.abs(a)),
    lambda a, b: L.softplus(a),
    lambda a, b: L.sqrt(1 + a * a),
    lambda a, b: L.mean(a),
    lambda a, b: L.deviation(a),
    lambda a, b: L.normalize(a + b),
    lambda a, b: L.maximum(a, b),
    lambda a, b: L.minimum(a, 0.1),
    lambda a, b: L.where(a < b, a, 2 * b),
    lambda a, b: L.where(a <= 0.2, 0.5, a),
    lambda a, b: L.where(a > b, b, -1.0),
    lambda a, b: L.where(a >= b, a * b, b),
    lambda a, b: L.where(a == b, a, b),
    lambda a, b: L.where(a != b, a, b),
    lambda a, b: L.where(L.time() % 3 < 1, a, b),
    lambda a, b: a + 0.1 * L.time(),
)
ACTIVATIONS = (L.sigmoid, L.tanh, L.relu, L.softplus, L.identity, lambda a: a, lambda a: a * L.sigmoid(a))
STATES, GATES, FURTHER = ("h", "c", "n"), ("i", "f", "g", "o"), ("image", "static")


def _signature(states: int, further: int) -> inspect.Signature:
    plain, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    names = [inspect.Parameter(n, plain) for n in ("x", *STATES[:states])]
    return inspect.Signature(names + [inspect.Parameter(n, keyword) for n in FURTHER[:further]])


@st.composite
def random_cells(draw: st.DrawFn, max_states: int = 3, max_gates: int = 4, max_further: int = 2) -> Cell:
    """A cell of 1-3 states, 1-4 gates and 0-2 further inputs, of one stage or more, with any operation of the language.

    Its new states stay within a few units of 0 whatever its weights are.
    """

    def body(*positional: Value, **further: Value) -> tuple:
        x, *states = positional
        values, loose = list(states), []  # `loose`: what nothing has read yet

        def some() -> Value:
            value = draw(st.sampled_from(values))
            for _ in range(draw(st.integers(0, 2))):
                value = draw(st.sampled_from(EXPRESSIONS))(value, draw(st.sampled_from(values)))
            return value

        if draw(st.booleans()):
            loose.append(L.parameter("scale", init=draw(st.sampled_from([None, 1.0]))))
            values.append(loose[-1])
        for name in GATES[: draw(st.integers(1, max_gates))]:
            inputs = [x, *further.values(), L.tanh(x)]
            operands = draw(st.lists(st.sampled_from(inputs), max_size=2))
            operands += [some() for _ in range(draw(st.integers(0 if operands else 1, 2)))]
            before = L.linear(*operands, bias=draw(st.booleans()))
            if draw(st.booleans()):
                before = before + L.diagonal(some())
            if draw(st.booleans()):
                before = before + some() * L.linear(draw(st.sampled_from(values)))
            loose.append(L.gate(name, draw(st.sampled_from(ACTIVATIONS)), before))
            values.append(loose[-1])
        new = [L.tanh(some()) + 0.5 * draw(st.sampled_from(states)) for _ in states]
        for value in loose:
            new[0] = new[0] + 0.1 * L.tanh(value)
        if len(states) > 1 and draw(st.booleans()):  # the output is an old state
            new = [draw(st.sampled_from(states)), *new[:-1]]
        if draw(st.booleans()):
            new[-1] = L.gate(STATES[len(states) - 1], L.tanh, new[-1] + L.linear(x, states[0]))
        return tuple(new)

    body.__signature__ = _signature(draw(st.integers(1, max_states)), draw(st.integers(0, max_further)))  # type: ignore
    body.__name__ = "random_cell"
    drawn = cell(body)
    note(drawn.equations())
    return drawn
