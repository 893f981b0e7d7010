"""The table of operations: a torch counterpart, a derivative and a printed form for each."""

import inspect
import re

import pytest
import torch

from celda import language as L
from celda.engines.operations import TORCH
from celda.language.expression import COMPARISONS, HIDDEN, LEAVES, Node, Value, topological
from celda.language.operations import OPERATIONS

POSITIVE = {"log", "sqrt"}  # operations that need positive arguments


def arity(op: str) -> int:
    return len(set(re.findall(r"\{(\d)\}", OPERATIONS[op].text)))


def test_every_operation_has_a_torch_counterpart():
    assert set(TORCH) == set(OPERATIONS)


@pytest.mark.parametrize("op", OPERATIONS)
def test_the_printed_forms_take_every_argument(op):
    names = [f"<{k}>" for k in range(arity(op))]
    for form in (OPERATIONS[op].text, OPERATIONS[op].latex):
        assert all(form.format(*names).count(name) == 1 for name in names)


def check_rule(op: str, *tensors: torch.Tensor) -> None:
    """The derivative of `op` at these arguments, float64 or bool, is that of autograd."""
    leaves = [Node("state", name=f"a{k}", boolean=t.dtype == torch.bool) for k, t in enumerate(tensors)]
    for tensor in tensors:
        tensor.requires_grad_(tensor.is_floating_point())
    result, adjoint = Node(op, tuple(leaves)), Node("adjoint", name="d")
    y = TORCH[op](*tensors)
    d = torch.linspace(-1, 2, y.numel(), dtype=torch.float64)
    wanted = torch.autograd.grad(y, [t for t in tensors if t.requires_grad], d)
    values = {**dict(zip(leaves, tensors, strict=True)), result: y, adjoint: d}
    rule = OPERATIONS[op].rule
    assert rule is not None
    parts = rule(tuple(map(Value, leaves)), Value(result), Value(adjoint))
    assert [part is None for part in parts] == [not t.requires_grad for t in tensors]
    nodes = [part.node for part in parts if part is not None]
    for node in topological(nodes):
        if node.op == "number":
            values[node] = torch.tensor(node.value, dtype=torch.float64)
        elif node not in values:
            assert node.op not in LEAVES
            values[node] = TORCH[node.op](*(values[arg] for arg in node.args))
    for node, expected in zip(nodes, wanted, strict=True):
        torch.testing.assert_close(values[node], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op not in (*COMPARISONS, "stop_gradient")])
def test_the_rule_agrees_with_autograd(op):
    g = torch.Generator().manual_seed(sum(map(ord, op)))
    tensors = [2 * torch.randn(64, dtype=torch.float64, generator=g) for _ in range(arity(op))]
    if op in POSITIVE:
        tensors = [t.abs() + 0.1 for t in tensors]
    if op == "where":
        tensors[0] = tensors[0] > 0
    check_rule(op, *tensors)


@pytest.mark.parametrize("op", ["relu", "abs"])
def test_the_slope_at_a_kink_is_that_of_torch(op):
    check_rule(op, torch.tensor([-1.0, 0.0, -0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_a_tie_shares_the_gradient_as_in_torch(op):
    check_rule(op, *(torch.tensor(side, dtype=torch.float64) for side in ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])))


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_a_side_that_is_not_a_number_gets_its_gradient_as_in_torch(op):
    nan = torch.nan
    check_rule(op, *(torch.tensor(side, dtype=torch.float64) for side in ([1.0, nan, nan], [nan, 2.0, nan])))


@pytest.mark.parametrize("op", COMPARISONS)
def test_nothing_flows_through_a_comparison(op):
    assert OPERATIONS[op].rule is None


def test_nothing_flows_through_a_stopped_gradient():
    a, adjoint = Value(Node("state", name="h")), Value(Node("adjoint", name="d"))
    rule = OPERATIONS["stop_gradient"].rule
    assert rule is not None
    assert rule((a,), L.stop_gradient(a), adjoint) == (None,)
    tensor = torch.randn(5, requires_grad=True)
    there = TORCH["stop_gradient"](tensor)
    assert torch.equal(there, tensor)
    assert not there.requires_grad


@pytest.mark.parametrize("op", ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
def test_comparisons_are_what_python_says(op):
    python = {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
    pairs = [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)]
    a, b = (torch.tensor(side) for side in zip(*pairs, strict=True))
    assert TORCH[op](a, b).tolist() == [eval(f"{a} {python[op]} {b}") for a, b in pairs]


def test_the_remainder_has_the_sign_of_the_divisor_as_in_python():
    for a, b in [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-7.5, -2.0)]:
        assert TORCH["remainder"](torch.tensor(a), torch.tensor(b)).item() == a % b


@pytest.mark.parametrize(
    ("name", "given"),
    [("maximum", 2), ("minimum", 2), ("where", 3), *((n, 1) for n in ("sigmoid", "tanh", "exp", "log"))],
)
def test_the_functions_of_the_language_make_their_node(name, given):
    value = Value(Node("state", name="h"))
    arguments = [value < 0.5, value, 1.0] if name == "where" else [value, 0.5][:given]
    made = getattr(L, name)(*arguments).node
    assert (made.op, made.width, len(made.args)) == (name, HIDDEN, given)


def test_every_function_of_the_language_is_an_operation_or_part_of_tracing():
    options = {name for name in L.__all__ if getattr(L, name).__module__ == "celda.language.transforms"}
    tracing = {"cell", "diagonal", "gate", "group", "linear", "mask", "parameter", "time"} | options
    functions = {name for name in L.__all__ if inspect.isfunction(getattr(L, name))}
    assert functions - tracing <= set(OPERATIONS)
    operators = {"add", "subtract", "multiply", "divide", "remainder", "negate", *COMPARISONS}
    assert set(OPERATIONS) == (functions - tracing) | operators
