"""The definition of a cell: a function is traced once, and what it says is checked."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import overload

from celda.errors import meant
from celda.language.cell import Cell, in_order
from celda.language.errors import CellError, Line, first_line, last_line, line_of, mistake
from celda.language.expression import HIDDEN, Node, Value, topological
from celda.language.operations import CALL, OPERATIONS
from celda.language.tracing import Trace, into

Function = Callable[..., Value | tuple[Value, ...]]


@overload
def cell(function: Function) -> Cell: ...
@overload
def cell(*, together: Sequence[str]) -> Callable[[Function], Cell]: ...
def cell(function: Function | None = None, *, together: Sequence[str] = ()) -> Cell | Callable[[Function], Cell]:
    """Trace a function once; the cell it defines.

    The first argument is the input, the other positional ones are the states of the step before, keyword-only ones are
    further inputs; one that is called after a state, `c_below`, is that state of the layer below in a stack, at the
    same step (zeros for the first layer). The function returns the new states in the order of its arguments; the first
    is the output.

    `@cell(together=("c", "n", "m"))` says that these states mean something only beside one another, as a number and
    what it is divided by: `zoneout` and `clip_state` leave them alone, and `couple` refuses the gates they share.
    """
    if function is None and together:
        return partial(_traced, together=tuple(together))
    return _traced(function, tuple(together))


def _traced(function: Function | None, together: tuple[str, ...]) -> Cell:
    if not inspect.isfunction(function):
        raise mistake(
            f"A cell is traced from a function, and this is a {type(function).__name__}.", "@cell above a `def`"
        )
    name, here = function.__name__, first_line(function)
    x, states, further = _arguments(function, here)
    trace = Trace(x, *states, *further)
    below = tuple(n for n in further if n.removesuffix("_below") in states)
    further = tuple(n for n in further if n not in below)
    leaves = {n: Value(Node("input", width=n, name=n)) for n in (x, *further)}
    leaves |= {n: Value(Node("below", name=n)) for n in below}
    leaves |= {n: Value(Node("state", name=n)) for n in states}
    try:
        with into(trace):
            returned = function(leaves[x], *(leaves[s] for s in states), **{n: leaves[n] for n in (*further, *below)})
    except NameError as error:
        raise _unknown(error, name, (x, *states)) from None
    except TypeError as error:
        right = next((form for start, form in _FORMS.items() if str(error).startswith(start)), _ELSE)
        raise mistake(f"{error}.", right, line_of(error.__traceback__)) from error
    outputs = _outputs(returned, states, name, function)
    _check_names(trace, outputs, (x, *further))
    _check_use(trace, outputs, (x, *further), here)
    if strange := [state for state in together if state not in states]:
        raise mistake(f"{name} has no state `{strange[0]}` to stand together.", f"together={states!r}", here)
    return Cell(
        name=name,
        doc=inspect.cleandoc(function.__doc__ or ""),
        inputs=(x, *further),
        states=states,
        gates=trace.gates,
        outputs=outputs,
        linear=trace.linear,
        vectors=trace.vectors,
        weights=trace.arrays(),
        masks=in_order(trace.masks, [*trace.gates.values(), *outputs.values()]),
        constants=trace.constants,
        below=below,
        together=together,
    )


_FORMS = {  # what Python says of a wrong call begins with the function's name
    "gate()": 'gate("i", sigmoid, linear(x, h))  (a name, an activation, what it acts on)',
    "linear()": "linear(x, h)",
    "diagonal()": "diagonal(c)",
    "parameter()": 'parameter("scale", init=1.0)',
    "mask()": 'mask("kept", 0.9)',
    "group()": "group(8)",
    "time()": "time()",
    "where()": "where(a > b, c, d)",
}
_ELSE = "+ - * / %, comparisons, and the functions of celda.language"


_FUNCTIONS = (
    *(name for name, operation in OPERATIONS.items() if operation.binding == CALL),
    "gate",
    "linear",
    "diagonal",
    "parameter",
    "mask",
    "group",
    "time",
)


def _unknown(error: NameError, cell: str, arguments: tuple[str, ...]) -> CellError:
    """A name that means nothing: a function that was not imported, or a state that is no argument."""
    name = error.name or next(iter(re.findall("'(.+?)'", str(error))), "...")  # UnboundLocalError has no name
    line = line_of(error.__traceback__)
    if name in _FUNCTIONS:
        return mistake(f"`{name}` is not imported.", f"from celda.language import {name}", line)
    if re.search(rf"\b{name}\s*\(", line.text):
        near = meant(name, _FUNCTIONS)
        right = f"{near}(...)" if near else ", ".join(_FUNCTIONS)
        return mistake(f"`{name}` is no function of the language.", right, line)
    near = meant(name, _FUNCTIONS, 0.75)
    if near and not isinstance(error, UnboundLocalError):  # of this, the cell gives a value to it below
        return mistake(f"`{name}` is no function of the language, and has no value.", near, line)
    what = f"`{name}` has no value yet: give it one above; a state of the step before is an argument."
    return mistake(what, f"def {cell}({', '.join((*arguments, name))}):", line)


def _arguments(function: Callable, here: Line) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    positional: list[str] = []
    further: list[str] = []
    for p in inspect.signature(function).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            what = f"The argument `{p}` of {function.__name__} is not a plain name."
            raise mistake(what, "def cell(x, h, c, *, image):", here)
        if p.default is not p.empty:
            what = f"The argument `{p}` of {function.__name__} has a value, but inputs and states come from the layer."
            right = "def cell(x, h, c, *, image):, and a number that stays the same in the equations"
            raise mistake(what, right, here)
        (further if p.kind is p.KEYWORD_ONLY else positional).append(p.name)
    reserved = {"hidden", "ih", "hh", "state", "lengths", "resets", "start", "self"}
    for taken in (reserved & {*positional[:1], *further}) | ({"x"} & {*further}):  # a layer's first argument is its x
        raise mistake(f"An input cannot be called `{taken}`: a layer has that name already.", f"{taken}_input", here)
    if len(positional) < 2:
        raise mistake(f"{function.__name__} has no state, so it remembers nothing.", "def cell(x, h):", here)
    return positional[0], tuple(positional[1:]), tuple(further)


def _outputs(
    returned: Value | tuple[Value, ...], states: tuple[str, ...], name: str, function: FunctionType
) -> dict[str, Node]:
    values = tuple(returned) if isinstance(returned, tuple | list) else (returned,)
    right = f"return {', '.join(states)}"
    if returned is None:
        raise mistake(f"{name} returns nothing, but each step makes new states.", right, last_line(function))
    if len(values) != len(states):
        missing = states[len(values) :]
        told = f"; the state `{', '.join(missing)}` is not returned" if missing else ""
        raise mistake(
            f"{name} has {len(states)} state(s) and returns {len(values)} value(s){told}.", right, last_line(function)
        )
    outputs = {}
    for state, value in zip(states, values, strict=True):
        if not isinstance(value, Value) or value.node.width != HIDDEN or value.node.boolean:
            raise mistake(
                f"What {name} returns for the state `{state}` is not one number a hidden unit.",
                right,
                last_line(function),
            )
        outputs[state] = value.node
    return outputs


def _check_names(trace: Trace, outputs: dict[str, Node], inputs: tuple[str, ...]) -> None:
    for node in trace.learned:
        if node not in trace.linear and node not in trace.vectors:
            what = f"This {node.op} map is in no gate, so its weights have no name."
            raise mistake(what, f'gate("g", tanh, {node.op}(...))', node.line)
    for name, node in trace.gates.items():
        if name in inputs:
            raise mistake(f'The gate "{name}" is called like an input.', f'gate("{name}_gate", ...)', node.line)
        if name in trace.weights:
            raise mistake(f'The gate "{name}" is called like a parameter.', f'gate("{name}_gate", ...)', node.line)
        if name in outputs and outputs[name] is not node:
            what = f'The gate "{name}" is called like a state but is not its new value.'
            raise mistake(what, f'gate("{name}_gate", ...), or return it as the new {name}', node.line)


def _check_use(trace: Trace, outputs: dict[str, Node], inputs: tuple[str, ...], here: Line) -> None:
    used = set(topological(outputs.values()))
    read = {node.name for node in used if node.op == "input"}
    for name, node in trace.gates.items():
        if node not in used:
            what = f'The gate "{name}" has no effect on any state.'
            raise mistake(what, f"use {name} in what is returned, or delete it", node.line)
    for node in (*trace.learned, *trace.drawn):
        if node not in used:
            what = f"This {node.op} has no effect on any state."
            raise mistake(what, "use it in what is returned, or delete it", node.line)
    if not trace.learned:
        raise mistake("The cell learns nothing.", 'gate("h", tanh, linear(x, h))', here)
    for name in inputs:
        if name not in read:  # a generator that is started by its state alone is rare, but it can be meant
            told = mistake(f"The input `{name}` has no effect on any state.", f"linear({name}, h)", here)
            warnings.warn_explicit(str(told), UserWarning, here.file, here.number)
