"""Each mistake in a cell's definition: the error shows the wrong line and says what to write instead."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from celda.language import CellError, cell, diagonal, gate, linear, parameter, tanh, time

PROLOGUE = """\
import math
import numpy as np
import torch
from celda.language import cell, diagonal, gate, linear, maximum, parameter, sigmoid, tanh, time, where
"""


@dataclass
class Mistake:
    name: str
    source: str  # of a function; the line that ends in `# wrong` is the wrong one
    told: str  # what the message says is wrong
    right: str  # what it says to write instead


def lines(*body: str, signature: str = "x, h, c") -> str:
    """A cell; where no line of its body is the wrong one, the `def` is."""
    mark = "" if any(line.endswith("# wrong") for line in body) else "  # wrong"
    return "\n".join(["@cell", f"def bad({signature}):{mark}", *(f"    {line}" for line in body)])


def on_value(expression: str) -> str:
    """A cell in which `expression` is computed with its states."""
    return lines(f"v = {expression}  # wrong", 'g = gate("g", tanh, linear(x, h))', "return g, c")


MISTAKES = [
    Mistake(
        "an undefined state",
        lines('f = gate("f", sigmoid, linear(x, h))', "c = f * c  # wrong", "return c", signature="x, h"),
        "`c` has no value",
        "def bad(x, h, c):",
    ),
    Mistake(
        "a name that is nowhere",
        lines("return h, c * memory  # wrong"),
        "`memory` has no value",
        "def bad(x, h, c, memory):",
    ),
    Mistake(
        "a function that was not imported",
        lines('return gate("h", softplus, linear(x, h)), c  # wrong'),
        "`softplus` is not imported",
        "from celda.language import softplus",
    ),
    Mistake(
        "a function that there is not",
        lines('return gate("h", sigmod, linear(x, h)), c + sin(x)  # wrong'),
        "`sigmod` is no function of the language, and has no value",
        "sigmoid",
    ),
    Mistake(
        "a gate that comes later, with nearly a function's name",
        lines("times = times * h  # wrong", 'return gate("h", tanh, linear(x, h)) * times, c'),
        "`times` has no value yet: give it one above",
        "def bad(x, h, c, times):",
    ),
    Mistake("a call of such a one", lines("return sin(h), c  # wrong"), "`sin` is no function", "sigmoid, tanh, relu"),
    Mistake(
        "a call that is misspelt", lines("return sigmod(h), c  # wrong"), "`sigmod` is no function", "sigmoid(...)"
    ),
    Mistake("if", lines("if h > 0:  # wrong", "    c = h", "return h, c"), "traced once", "where(condition, a, b)"),
    Mistake("while", lines("while h > 0:  # wrong", "    h = h - 1", "return h, c"), "traced once", "where("),
    Mistake("and", on_value("h > 0 and c > 0"), "`and`", "where(condition, a, b)"),
    Mistake("not", on_value("not h > 0"), "`not`", "where(condition, a, b)"),
    Mistake("a chained comparison", on_value("0 < h < 1"), "chained comparisons", "where(condition, a, b)"),
    Mistake("Python's max", on_value("max(h, c)"), "traced once", "maximum(a, b)"),
    Mistake(
        "a gate without a name",
        lines("i = gate(sigmoid, linear(x, h))  # wrong", "return i, c"),
        "gate() missing 1 required positional argument",
        'gate("i", sigmoid, linear(x, h))',
    ),
    Mistake(
        "a gate without an activation",
        lines('i = gate("i", linear(x, h))  # wrong', "return i, c"),
        "gate() missing 1 required positional argument",
        'gate("i", sigmoid, linear(x, h))',
    ),
    Mistake(
        "a gate's name in the wrong place",
        lines('i = gate(sigmoid, "i", linear(x, h))  # wrong', "return i, c"),
        "needs a name before its activation",
        'gate("i", sigmoid, linear(x, h))',
    ),
    Mistake(
        "a gate's arguments in the wrong order",
        lines('i = gate("i", linear(x, h), sigmoid)  # wrong', "return i, c"),
        "second argument of gate is the activation",
        'gate("i", sigmoid, linear(x, h))',
    ),
    Mistake(
        "a gate's name that is none",
        lines('i = gate("input gate", sigmoid, linear(x, h))  # wrong', "return i, c"),
        '"input gate" is no name for a gate',
        'gate("i", sigmoid, ...)',
    ),
    Mistake(
        "a map outside a gate",
        lines("g = tanh(linear(x, h))  # wrong", "return g, c"),
        "is in no gate",
        'gate("g", tanh, linear(...))',
    ),
    Mistake(
        "a map in an activation",
        lines('g = gate("g", linear, h)  # wrong', "return g, c"),
        "is in no gate",
        'gate("g", tanh, linear(...))',
    ),
    Mistake(
        "a state not returned",
        lines('g = gate("g", tanh, linear(x, h))', "return g  # wrong"),
        "the state `c` is not returned",
        "return h, c",
    ),
    Mistake(
        "nothing returned",
        lines('g = gate("g", tanh, linear(x, h))  # wrong'),
        "bad returns nothing, but each step makes new states.",
        "return h, c",
    ),
    Mistake(
        "too many returned",
        lines('g = gate("g", tanh, linear(x, h))', "return g, c, g  # wrong"),
        "2 state(s) and returns 3 value(s)",
        "return h, c",
    ),
    Mistake(
        "a number returned",
        lines('g = gate("g", tanh, linear(x, h))', "return g, 0.0  # wrong"),
        "for the state `c` is not one number a hidden unit",
        "return h, c",
    ),
    Mistake(
        "the input returned",
        lines('g = gate("g", tanh, linear(x, h))', "return x, g  # wrong"),
        "for the state `h` is not one number a hidden unit",
        "return h, c",
    ),
    Mistake(
        "two gates of one name",
        lines('a = gate("i", tanh, linear(x))', 'b = gate("i", tanh, linear(h))  # wrong', "return a, b"),
        'two gates "i"',
        'gate("i2", ...)',
    ),
    Mistake(
        "a gate called like a state",
        lines('g = gate("c", tanh, linear(x, h))  # wrong', "return g, c * g"),
        'gate "c" is called like a state but is not its new value',
        'gate("c_gate", ...), or return it as the new c',
    ),
    Mistake(
        "a gate called like the input",
        lines('g = gate("x", tanh, linear(x, h))  # wrong', "return g, c"),
        'gate "x" is called like an input',
        'gate("x_gate", ...)',
    ),
    Mistake(
        "a gate without effect",
        lines('i = gate("i", tanh, linear(x, h))  # wrong', 'g = gate("g", tanh, linear(x, h))', "return g, c"),
        'gate "i" has no effect on any state',
        "use i in what is returned",
    ),
    Mistake(
        "a parameter without effect",
        lines('p = parameter("p")  # wrong', 'g = gate("g", tanh, linear(x, h))', "return g, c"),
        "This parameter has no effect on any state",
        "delete it",
    ),
    Mistake("nothing learned", lines("return c, h"), "learns nothing", "gate("),
    Mistake("math", on_value("math.tanh(h)"), "Python's `math`", "from celda.language import"),
    Mistake("numpy", on_value("np.tanh(h)"), "numpy.tanh works on arrays", "from celda.language import"),
    Mistake("a function of numpy", on_value("np.clip(h, 0, 1)"), "numpy.clip works on arrays", "maximum, minimum"),
    Mistake("torch", on_value("torch.tanh(h)"), "torch.tanh works on arrays", "from celda.language import"),
    Mistake("torch's functions", on_value("torch.nn.functional.relu(h)"), "torch.relu works on arrays", "relu"),
    Mistake("a method of arrays", on_value("h.tanh()"), "A value has no `.tanh`", "tanh(a)"),
    Mistake("a transpose", on_value("h.T"), "A value has no `.T`", "tanh(a)"),
    Mistake("a power", on_value("h ** 2"), "no powers", "a * a for a square"),
    Mistake("a power of a number", on_value("2 ** h"), "no powers", "exp(p * log(a))"),
    Mistake("a product", on_value("h @ c"), "no free matrix product", 'gate("g", tanh, linear(x, h))'),
    Mistake("a product with an array", on_value("np.ones((2, 2)) @ h"), "no free matrix product", "linear(x, h)"),
    Mistake("a product with a tensor", on_value("torch.ones(2, 2) @ h"), "no free matrix product", "linear(x, h)"),
    Mistake("indexing", on_value("h[0]"), "no parts to index", "one gate a value"),
    Mistake("a slice", on_value("h[:, :3]"), "no parts to index", "one gate a value"),
    Mistake("unpacking", on_value("tuple(h)"), "no parts to index or to unpack", "one gate a value"),
    Mistake("float", on_value("float(h)"), "not a number yet", "from celda.language import"),
    Mistake("range", on_value("range(h)"), "not a number yet", "from celda.language import"),
    Mistake("whole division", on_value("h // 2"), "no `//`", "(a - a % b) / b"),
    Mistake("two conditions", on_value("where((h > 0) & (c > 0), h, c)"), "no `&`", "minimum(a, b) > 0"),
    Mistake("no condition", on_value("where(~(h > 0), h, c)"), "`~`", "minimum(a, b) > 0"),
    Mistake("len", on_value("len(h)"), "has no len()", "+ - * / %, comparisons"),
    Mistake("an array", on_value("h * np.ones(3)"), "is a ndarray", 'parameter("name", init=0.0)'),
    Mistake("an array before", on_value("np.ones(3) * h"), "numpy.multiply works on arrays", "from celda.language"),
    Mistake("a tensor", on_value("h * torch.ones(3)"), "is a Tensor", 'parameter("name", init=0.0)'),
    Mistake("a tensor before", on_value("torch.ones(3) * h"), "works on arrays", "from celda.language import"),
    Mistake("a text", on_value('h + "1"'), "is a str", "def cell(x, h, *, name)"),
    Mistake("None", on_value("None * h"), "is a NoneType", "def cell(x, h, *, name)"),
    Mistake(
        "the input with a state", on_value("x * h"), "the hidden width and the width of the input `x`", "linear(x)"
    ),
    Mistake(
        "two inputs",
        lines("v = x * image  # wrong", 'return gate("g", tanh, linear(v, h)), c', signature="x, h, c, *, image"),
        "the width of the input `image` and the width of the input `x`",
        "linear(image) first",
    ),
    Mistake("a comparison as a number", on_value("(h > 0) * c"), "yes or no, not a number", "where(a > b, 1.0, 0.0)"),
    Mistake("where without a comparison", on_value("where(h, h, c)"), "is not a comparison", "where(a > b, c, d)"),
    Mistake("where with too little", on_value("where(h > c)"), "where() missing 2 required", "where(a > b, c, d)"),
    Mistake("no state", lines("return x", signature="x"), "has no state", "def cell(x, h):"),
    Mistake("no argument", lines("return 0", signature=""), "has no state", "def cell(x, h):"),
    Mistake("any number of states", lines("return h", signature="x, *h"), "`*h` of bad", "def cell(x, h, c"),
    Mistake("any names", lines("return h", signature="x, h, **k"), "`**k` of bad", "*, image"),
    Mistake("a default", lines("return h", signature="x, h=0"), "`h=0` of bad", "def cell(x, h, c"),
    Mistake("an input called hidden", lines("return h", signature="hidden, h"), "`hidden`", "hidden_input"),
    Mistake("an input called lengths", lines("return h", signature="x, h, *, lengths"), "`lengths`", "_input"),
    Mistake(
        "inputs that share an array",
        lines('g = gate("g", tanh, linear(x, h, v, v, v2))  # wrong', "return g, c", signature="x, h, c, *, v, v2"),
        "share the array weight_v2",
        "another name for the input",
    ),
    Mistake(
        "an initial bias without a map",
        lines('g = gate("g", tanh, linear(x, h))', 'f = gate("f", sigmoid, g * h, bias=1.0)  # wrong', "return g, f"),
        'gate "f" has bias=1 but no linear map',
        'gate("f", sigmoid, linear(x, h), bias=1)',
    ),
    Mistake(
        "an initial bias without biases",
        lines('g = gate("g", tanh, linear(x, h, bias=False), bias=1.0)  # wrong', "return g, c"),
        "no linear map with a bias",
        "linear(x, h), bias=1)",
    ),
    Mistake(
        "an initial bias that is no number",
        lines('g = gate("g", tanh, linear(x, h), bias="one")  # wrong', "return g, c"),
        "initial bias is a str",
        "bias=1.0",
    ),
    Mistake("a parameter's name", on_value('parameter("my scale")'), "'my scale' is no name", 'parameter("scale"'),
    Mistake("a parameter called a weight", on_value('parameter("weight_ih")'), "is no name", 'parameter("scale"'),
    Mistake("a parameter without a name", on_value("parameter()"), "parameter() missing", 'parameter("scale", init'),
    Mistake(
        "two parameters of one name",
        on_value('parameter("p") * parameter("p")'),
        'two parameters "p"',
        'parameter("p2", init=...)',
    ),
    Mistake(
        "a gate called like a parameter",
        lines('g = gate("g", tanh, linear(x, h) + parameter("g"))  # wrong', "return g, c"),
        'The gate "g" is called like a parameter',
        'gate("g_gate", ...)',
    ),
    Mistake("a parameter's value", on_value('parameter("p", init="one")'), "initial value is a str", "init=1.0"),
    Mistake("an empty map", on_value("linear()"), "maps nothing", "linear(x, h)"),
    Mistake("a map of a number", on_value("linear(1.0)"), "one number for all units", "linear(x, h)"),
    Mistake("a map of the time", on_value("linear(x, time())"), "one number for all units", "linear(x, h)"),
    Mistake("a map of a comparison", on_value("linear(h > 0)"), "yes or no", "where(a > b, 1.0, 0.0)"),
    Mistake("a diagonal of the input", on_value("diagonal(x)"), "needs a value of the hidden width", "linear(x)"),
    Mistake("a diagonal of two", on_value("diagonal(h, c)"), "diagonal() takes 1 positional", "diagonal(c)"),
    Mistake(
        "a gate of one number",
        lines('g = gate("g", sigmoid, time())  # wrong', "return g * h, c"),
        'gate "g" is not one number a hidden unit',
        'gate("g", sigmoid, linear(x, h))',
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[m.name for m in MISTAKES])
def test_a_mistake_is_met_with_the_wrong_line_and_the_right_one(mistake: Mistake, tmp_path: Path):
    source = PROLOGUE + mistake.source
    file = tmp_path / "cells.py"
    file.write_text(source)
    with pytest.raises(CellError) as raised:
        exec(compile(source, str(file), "exec"), {})
    message = str(raised.value)
    number, wrong = next((n, text) for n, text in enumerate(source.splitlines(), 1) if text.endswith("# wrong"))
    assert mistake.told in message
    assert f"cells.py, line {number}:  {wrong.strip()}" in message
    assert mistake.right in message.split("write instead:  ")[1]


@pytest.mark.parametrize(
    ("outside", "told"),
    [
        (lambda: linear(1.0), "linear has a meaning only while a cell is traced"),
        (lambda: diagonal(1.0), "diagonal has a meaning only"),
        (lambda: parameter("p"), "parameter has a meaning only"),
        (lambda: gate("g", abs, 1.0), "gate has a meaning only"),
        (lambda: time(), "time() has a meaning only"),
    ],
)
def test_outside_a_cell_the_language_says_so(outside, told):
    with pytest.raises(CellError) as raised:
        outside()
    assert told in str(raised.value)
    assert "@cell above the function" in str(raised.value)


@pytest.mark.parametrize("given", ["lstm", 3, None, int])
def test_only_a_function_is_a_cell(given):
    with pytest.raises(CellError, match="traced from a function"):
        cell(given)


def test_a_decorator_above_does_not_hide_the_definition(tmp_path: Path):
    source = PROLOGUE + "same = lambda f: f\n@cell\n@same\n@same\ndef bad(x):  # wrong\n    return x\n"
    file = tmp_path / "cells.py"
    file.write_text(source)
    with pytest.raises(CellError, match=r"line 9:  def bad\(x\):  # wrong"):
        exec(compile(source, str(file), "exec"), {})


def test_an_input_without_effect_is_told():
    with pytest.warns(UserWarning, match="The input `image` has no effect on any state") as warned:

        @cell
        def blind(x, h, *, image):
            return gate("h", tanh, linear(x, h))

    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert "def blind(x, h, *, image):" in str(warned[0].message)
    with pytest.warns(UserWarning, match="The input `x` has no effect"):

        @cell
        def generator(x, h):
            return gate("h", tanh, linear(h))
