"""Tracing: what is learned while a cell's function runs, and the functions of the language that say it."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from celda.language.cell import LinearMap, Mask, Term, Weight
from celda.language.errors import mistake
from celda.language.expression import HIDDEN, SCALAR, Node, Value, is_probability, number_of, topological, value_of
from celda.language.patterns import Groups

_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


class Trace:
    """What is learned while a function is traced: its gates, and the weights each gate owns."""

    def __init__(self, first_input: str, *others: str) -> None:
        self.first_input = first_input
        self.arguments = (first_input, *others)
        self.gates: dict[str, Node] = {}
        self.linear: dict[Node, LinearMap] = {}
        self.vectors: dict[Node, str] = {}
        self.weights: dict[str, list[float | None]] = {}  # name -> initial value of each block
        self.columns: dict[str, str | None] = {}
        self.learned: list[Node] = []
        self.masks: dict[str, Mask] = {}
        self.constants: dict[str, int] = {}
        self.groups: dict[str, Groups | None] = {}
        self.drawn: list[Node] = []  # the masks' nodes

    def block(self, name: str, columns: str | None, initial: float | None = None) -> int:
        """One more block of the array `name`; its number."""
        if self.columns.setdefault(name, columns) != columns:
            raise mistake(f"Two different inputs would share the array {name}.", "another name for the input")
        blocks = self.weights.setdefault(name, [])
        blocks.append(initial)
        return len(blocks) - 1

    def vector(self, node: Node, name: str, initial: float | None = None) -> None:
        """A learned vector of its own for `node`; a second of one name gets a number."""
        unique, count = name, 1
        while unique in self.weights:
            count += 1
            unique = f"{name}{count}"
        self.block(unique, None, initial)
        self.vectors[node] = unique

    def name(self, gate: str, pre: Node, bias: float | None) -> None:
        """Give the learned maps under `pre` that have no owner yet to `gate`."""
        mine = [n for n in topological([pre]) if n.op in ("linear", "diagonal")]
        mine = [n for n in mine if n not in self.linear and n not in self.vectors]
        _check_number(bias, "initial bias", f'gate("{gate}", ..., bias=1.0)')
        for node in sorted(mine, key=self.learned.index):
            if node.op == "diagonal":
                self.vector(node, f"diagonal_{gate}")
            else:
                bias = self._name_linear(gate, node, bias)
        if bias:
            raise mistake(
                f'The gate "{gate}" has bias={bias:g} but no linear map with a bias.',
                f'gate("{gate}", sigmoid, linear(x, h), bias={bias:g})',
            )

    def _name_linear(self, gate: str, node: Node, bias: float | None) -> float | None:
        """Returns the initial bias that is left for the gate's next map: all of it goes to the first that has one."""
        terms: list[Term] = []
        suffixes: list[str] = []
        for operand in node.args:
            suffix = "hh" if operand.width == HIDDEN else "ih" if operand.width == self.first_input else operand.width
            suffixes.append(suffix)
            name = f"weight_{suffix}" + (str(n) if (n := suffixes.count(suffix)) > 1 else "")
            terms.append(Term(operand, name, self.block(name, operand.width)))
            groups = Groups(int(node.value), later=True) if node.value and operand.width == HIDDEN else None
            if self.groups.setdefault(name, groups) != groups:
                raise mistake(f"{name} would be whole in one gate and cut into groups in another.", "the same groups=")
        biases: list[tuple[str, int]] = []
        if node.bias:
            # Two biases where there are two products, as torch.nn.LSTM has them: seeds and state_dicts then agree.
            homes = [s for s in ("ih", "hh") if s in suffixes] or suffixes[:1]
            for home in homes:
                biases.append((f"bias_{home}", self.block(f"bias_{home}", None, bias)))
                bias = None if bias is None else 0.0
        self.linear[node] = LinearMap(gate, tuple(terms), tuple(biases))
        return bias

    def arrays(self) -> tuple[Weight, ...]:
        """Every array, in the order torch.nn keeps them: matrices, biases, then the rest as they were written."""
        order = ("weight_ih", "weight_hh", "weight_", "bias_ih", "bias_hh", "bias_", "")
        names = sorted(self.weights, key=lambda n: next(k for k, start in enumerate(order) if n.startswith(start)))
        return tuple(
            Weight(n, len(self.weights[n]), self.columns[n], tuple(self.weights[n]), self.groups.get(n)) for n in names
        )


@contextmanager
def into(trace: Trace) -> Iterator[None]:
    """What the functions of the language say inside goes into this trace."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


def _trace(what: str, write: str) -> Trace:
    trace = _current.get()
    if trace is None:
        raise mistake(f"{what} has a meaning only while a cell is traced.", write)
    return trace


def linear(*operands: Value, bias: bool = True, groups: int | None = None) -> Value:
    """A learned affine map of all operands together to the hidden width: W a + R b + ... + bias.

    It belongs to the gate it is used in, which names its weights. An operand may be an expression, as in
    `linear(x, r * h)`: then the step has a second stage. With `groups` the hidden units are cut into so many, and what
    multiplies a state is block-triangular: a unit sees its own group and the later ones (the clockwork network).
    """
    trace = _trace("linear", "@cell above the function")
    if not operands:
        raise mistake("linear() maps nothing.", "linear(x, h)")
    nodes = tuple(number_of(o, "An operand of linear") for o in operands)
    for node in nodes:
        if node.width == SCALAR:
            raise mistake("linear maps inputs and states; this operand is one number for all units.", "linear(x, h)")
    if groups is not None and (not isinstance(groups, int) or isinstance(groups, bool) or groups < 1):
        raise mistake(f"The units cannot be cut into {groups!r} groups.", "linear(x, h, groups=8)")
    trace.learned.append(node := Node("linear", nodes, value=float(groups or 0), bias=bias))
    return Value(node)


def diagonal(operand: Value) -> Value:
    """A learned vector times `operand`, unit by unit (a peephole); it belongs to the gate it is used in."""
    trace = _trace("diagonal", "@cell above the function")
    node = number_of(operand, "The operand of diagonal")
    if node.width != HIDDEN:
        raise mistake("diagonal needs a value of the hidden width.", "diagonal(c), or linear(x) for an input")
    trace.learned.append(node := Node("diagonal", (node,)))
    return Value(node)


def parameter(name: str, *, init: float | None = None) -> Value:
    """A learned vector, one number a hidden unit; `init` fills it (default: as the layer initialises its weights)."""
    trace = _trace("parameter", "@cell above the function")
    if not isinstance(name, str) or not name.isidentifier() or name.startswith(("weight_", "bias_", "diagonal_")):
        raise mistake(f"{name!r} is no name for a parameter.", 'parameter("scale", init=1.0)')
    if name in trace.weights:
        raise mistake(f'There are two parameters "{name}".', f'parameter("{name}2", init=...)')
    _check_number(init, "initial value", f'parameter("{name}", init=1.0)')
    node = Node("parameter", name=name)
    trace.vector(node, name, init)
    trace.learned.append(node)
    return Value(node)


def mask(name: str, probability: float, *, every: str = "step") -> Value:
    """1 with this probability and 0 else, for each unit and sequence: drawn in training by torch's generator.

    `every`: "step", to draw anew at every step, or "sequence". In evaluation it is the probability itself, its mean.
    """
    trace = _trace("mask", "@cell above the function")
    if not isinstance(name, str) or not name.isidentifier():
        raise mistake(f"{name!r} is no name for a mask.", 'mask("kept", 0.9)')
    if name in trace.masks:
        raise mistake(f'There are two masks "{name}".', f'mask("{name}2", {probability!r})')
    if name in trace.arguments:
        raise mistake(f'The mask "{name}" is called like an argument.', f'mask("{name}_mask", {probability!r})')
    if not is_probability(probability):
        raise mistake(f"{probability!r} is no probability.", f'mask("{name}", 0.9)')
    if every not in ("step", "sequence"):
        raise mistake(f"A mask is not drawn every {every!r}.", f'mask("{name}", 0.9, every="sequence")')
    trace.masks[name] = Mask(float(probability), every == "step")
    trace.drawn.append(node := Node("mask", name=name))
    return Value(node)


def group(count: int) -> Value:
    """The number of a unit's group, from 0 to count - 1, where the hidden units are cut into `count` groups."""
    trace = _trace("group", "@cell above the function")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise mistake(f"The units cannot be cut into {count!r} groups.", "group(8)")
    trace.constants[f"group_{count}"] = count
    return Value(Node("parameter", name=f"group_{count}"))


def time() -> Value:
    """The step's place in the sequence as it was given, counted from 0: one number for all units and the whole batch.

    A reset does not set it back.
    """
    _trace("time()", "@cell above the function")
    return Value(Node("time", width=SCALAR))


def gate(name: str, activation: Callable[[Value], Value], pre: Value, *, bias: float | None = None) -> Value:
    """`activation(pre)` under a name: its weights are called after it, and it can be traced.

    `bias` sets the initial bias of the gate (1.0 for a forget gate, say); where a layer keeps two biases, their sum.
    """
    trace = _trace("gate", "@cell above the function")
    if not isinstance(name, str):
        raise mistake("A gate needs a name before its activation.", 'gate("i", sigmoid, linear(x, h))')
    if not name.isidentifier():
        raise mistake(f'"{name}" is no name for a gate: its weights are called after it.', 'gate("i", sigmoid, ...)')
    if name in trace.gates:
        raise mistake(f'There are two gates "{name}".', f'gate("{name}2", ...)')
    if not callable(activation):
        raise mistake("The second argument of gate is the activation.", f'gate("{name}", sigmoid, linear(x, h))')
    before = value_of(pre, "What a gate acts on")
    trace.name(name, before.node, bias)
    result = value_of(activation(before), "The activation's result")
    if result.node.width != HIDDEN or result.node.boolean:
        raise mistake(f'The gate "{name}" is not one number a hidden unit.', f'gate("{name}", sigmoid, linear(x, h))')
    trace.gates[name] = result.node
    return result


def _check_number(given: object, role: str, right: str) -> None:
    if given is not None and not isinstance(given, numbers.Real):
        raise mistake(f"The {role} is a {type(given).__name__}, not a number.", right)
