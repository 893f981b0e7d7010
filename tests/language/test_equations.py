"""Equations as text and LaTeX."""

import re
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from celda import language as L
from celda.cells import CELLS
from celda.language import Cell, cell, diagonal, gate, identity, linear, parameter, relu, sigmoid, softplus, tanh, where
from celda.language.expression import Node, Value, pointwise
from celda.language.operations import OPERATIONS
from tests.strategies import random_cells


def last(traced: Cell) -> str:
    return traced.equations().splitlines()[-1]


def test_maps_of_one_gate_have_biases_of_their_own():
    @cell
    def made(x, h, c):
        g = gate("g", tanh, linear(x) + linear(h) + linear(c))
        return g, c * gate("f", sigmoid, linear(h, bias=False) + linear(x))

    assert made.equations().splitlines() == [
        "g_t = tanh(W_g x_t + b_Wg + R1_g h_{t-1} + b_R1g + R2_g c_{t-1} + b_R2g)",
        "h_t = g_t",
        "f_t = σ(R_f h_{t-1} + W_f x_t + b_f)",
        "c_t = c_{t-1} ⊙ f_t",
    ]


def test_matrices_of_one_letter_in_one_gate_are_told_apart():
    @cell
    def made(x, h):
        return gate("n", tanh, linear(x, linear(x, h)) + linear(h, bias=False))

    assert made.equations().splitlines()[0] == (
        "n_t = tanh(W2_n x_t + R2_n (W1_n x_t + R1_n h_{t-1} + b_W1n) + b_W2n + R3_n h_{t-1})"
    )
    assert r"R^{(3)}_{n} h_{t-1}" in made.latex()


def test_further_inputs_second_matrices_and_long_names():
    @cell
    def made(x, h, *, static_info, image):
        p = parameter("my_scale")
        forget_gate = gate("forget_gate", sigmoid, linear(x, h, h, static_info, image) + diagonal(h))
        return p * forget_gate

    assert made.equations() == (
        "forget_gate_t = σ(W_{forget_gate} x_t + R_{forget_gate} h_{t-1} + R'_{forget_gate} h_{t-1}"
        " + V_{forget_gate} static_info + U_{forget_gate} image + b_{forget_gate} + p_{forget_gate} ⊙ h_{t-1})\n"
        "h_t = my_scale ⊙ forget_gate_t"
    )
    assert r"\mathrm{my\_scale} \odot \mathrm{forget\_gate}_{t}" in made.latex()
    assert r"V_{\mathrm{forget\_gate}} \mathrm{static\_info}" in made.latex()


@pytest.mark.parametrize(
    ("write", "text", "latex"),
    [
        (lambda g, h: g - (h - g), "g_t - (h_{t-1} - g_t)", r"g_{t} - \left(h_{t-1} - g_{t}\right)"),
        (lambda g, h: g - h - g, "g_t - h_{t-1} - g_t", r"g_{t} - h_{t-1} - g_{t}"),
        (lambda g, h: g / (h / g), "g_t / (h_{t-1} / g_t)", r"g_{t} / \left(h_{t-1} / g_{t}\right)"),
        (lambda g, h: (g + h) * g, "(g_t + h_{t-1}) ⊙ g_t", r"\left(g_{t} + h_{t-1}\right) \odot g_{t}"),
        (lambda g, h: -(g * h), "-(g_t ⊙ h_{t-1})", r"-\left(g_{t} \odot h_{t-1}\right)"),
        (lambda g, h: -g * h, "-g_t ⊙ h_{t-1}", r"-g_{t} \odot h_{t-1}"),
        (lambda g, h: g - -h, "g_t - (-h_{t-1})", r"g_{t} - \left(-h_{t-1}\right)"),
        (lambda g, h: g * -2, "g_t · (-2)", r"g_{t} \cdot \left(-2\right)"),
        (lambda g, h: -identity(-g), "-(-g_t)", r"-\left(-g_{t}\right)"),
        (lambda g, h: g * (h % 3), "g_t ⊙ (h_{t-1} mod 3)", r"g_{t} \odot \left(h_{t-1} \bmod 3\right)"),
        (lambda g, h: (g * h) % 3, "(g_t ⊙ h_{t-1}) mod 3", r"\left(g_{t} \odot h_{t-1}\right) \bmod 3"),
        (lambda g, h: 1e-7 * g, "1e-07 · g_t", r"1 \cdot 10^{-7} \cdot g_{t}"),
        (lambda g, h: relu(g), "relu(g_t)", r"\operatorname{relu}\left(g_{t}\right)"),
        (lambda g, h: softplus(g), "softplus(g_t)", r"\operatorname{softplus}\left(g_{t}\right)"),
        (lambda g, h: L.maximum(g, 0), "max(g_t, 0)", r"\max\left(g_{t}, 0\right)"),
        (lambda g, h: L.abs(L.abs(g) - h), "abs(abs(g_t) - h_{t-1})", r"\left|\left|g_{t}\right| - h_{t-1}\right|"),
        (lambda g, h: identity(g) * h, "g_t ⊙ h_{t-1}", r"g_{t} \odot h_{t-1}"),
        (lambda g, h: identity(g + h) * h, "(g_t + h_{t-1}) ⊙ h_{t-1}", None),
        (
            lambda g, h: where(g <= h, g, 0.0),
            "(g_t if g_t ≤ h_{t-1} else 0)",
            r"\begin{cases} g_{t} & g_{t} \le h_{t-1} \\ 0 & \text{otherwise} \end{cases}",
        ),
    ],
)
def test_brackets_and_signs(write, text, latex):
    @cell
    def made(x, h):
        return write(gate("g", tanh, linear(x, h)), h)

    assert last(made) == f"h_t = {text}"
    if latex:
        assert made.latex().splitlines()[-2] == f"  h_{{t}} &= {latex}"


# A stand-in for each operation that keeps fractions exact: what it computes does not matter, if both sides agree.
EXACT = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "remainder": lambda a, b: a % b,
    "negate": lambda a: -a,
    "sigmoid": lambda a: 3 * a + 1,
    "tanh": lambda a: 5 - a,
    "relu": lambda a: max(a, 0),
    "identity": lambda a: a,
    "stop_gradient": lambda a: 3 - a,
    "mean": lambda a: a / 13,
    "deviation": lambda a: 17 * a,
    "normalize": lambda a: a - 19,
    "exp": lambda a: a + 7,
    "log": lambda a: 2 * a,
    "softplus": lambda a: a * a,
    "sqrt": lambda a: a - 11,
    "abs": abs,
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c else b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
}
SIGNS = {" ⊙ ": " * ", " · ": " * ", " mod ": " % ", " = ": " == ", "≤": "<=", "≥": ">=", "≠": "!=", "σ(": "sigmoid("}
SIGNS |= {"stop(": "stop_gradient(", "dev(": "deviation("}


def compute(node: Node, leaves: dict[str, Fraction]) -> Fraction:
    if node.op == "number":
        return Fraction(str(node.value))
    if node.op in ("state", "time"):
        return leaves[node.name or "t"]
    return EXACT[node.op](*(compute(arg, leaves) for arg in node.args))


def read(text: str, leaves: dict[str, Fraction]) -> Fraction:
    """The value of printed text, read as Python reads it."""
    for sign, python in SIGNS.items():
        text = text.replace(sign, python)
    text = re.sub(r"(\w+)_\{t-1\}", r"\1", text)
    text = re.sub(r"\b\d+(\.\d+)?\b", lambda number: f"number('{number[0]}')", text)
    names = {"__builtins__": {}, "number": Fraction, "max": max, "min": min, **EXACT, **leaves}
    return eval(text, names)


@st.composite
def trees(draw: st.DrawFn, leaves: tuple[Value, ...], depth: int = 4) -> Value:
    """Any expression over `leaves`, numbers and the time."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from([*leaves, *leaves, 0.5, 2, -1.5, -3, L.time()]))
    op = draw(st.sampled_from([o for o in OPERATIONS if OPERATIONS[o].rule is not None]))
    some = lambda: draw(trees(leaves, depth - 1))  # noqa: E731
    if op == "where":
        compare = draw(st.sampled_from([o for o in OPERATIONS if OPERATIONS[o].rule is None]))
        return L.where(pointwise(compare, some(), some()), some(), some())
    count = 2 if op in ("add", "subtract", "multiply", "divide", "remainder", "maximum", "minimum") else 1
    return pointwise(op, *(some() for _ in range(count)))


@settings(max_examples=300)
@given(data=st.data())
def test_what_is_printed_reads_as_what_is_meant(data):
    drawn = {}

    @cell
    def made(x, h, c):
        drawn["tree"] = c + data.draw(trees((h, c)))
        return gate("g", tanh, linear(x, h)), drawn["tree"]

    leaves = {"h": Fraction(7, 3), "c": Fraction(-5, 4), "t": Fraction(6)}
    try:
        meant = compute(drawn["tree"].node, leaves)
    except ZeroDivisionError:
        assume(False)
    printed = next(line for line in made.equations().splitlines() if line.startswith("c_t = "))
    assert read(printed.removeprefix("c_t = "), leaves) == meant


def balanced(latex: str) -> bool:
    """Whether braces, \\left and \\right, \\begin and \\end nest."""
    stack = []
    for token in re.findall(r"\\(?:left|right)|\\(?:begin|end)\{\w+\}|(?<!\\)[{}]", latex):
        if token in ("{", r"\left") or token.startswith(r"\begin"):
            stack.append(token)
        elif not stack:
            return False
        else:
            opened = stack.pop()
            expected = {"{": "}", r"\left": r"\right"}.get(opened, opened.replace("begin", "end"))
            if token != expected:
                return False
    return not stack


def test_balance_is_told_from_imbalance():
    assert balanced(r"\begin{aligned} \left(a_{t}\right) \end{aligned}")
    assert not balanced(r"\left(a_{t}")
    assert not balanced(r"\left(a_{t\right)}")
    assert not balanced(r"\begin{aligned} a \end{cases}")


@settings(max_examples=60)
@given(random_cells())
def test_latex_of_any_cell_is_balanced(drawn):
    printed = drawn.latex()
    assert balanced(printed)
    assert printed.startswith("\\begin{aligned}\n  ")
    assert printed.count("&=") >= len(drawn.named)
    assert not re.search(r"\{\d\}(?!\})", printed.replace("_{", "").replace("^{", ""))  # no place of a template is left


@pytest.mark.parametrize("name", CELLS)
def test_latex_of_the_shipped_cells_is_balanced(name):
    assert balanced(CELLS[name].latex())
