"""What a kernel is given by row: inputs and point-wise expressions of one, to multiply; and what it reads unit by unit.

Rows are gathered first and computed with afterwards, so that nothing past a sequence's end has a part in anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.engines.call import Call
from celda.engines.cpu.kernel import Shape
from celda.engines.cpu.layout import Layout, plainly
from celda.engines.cpu.shield import shielded
from celda.engines.operations import TORCH
from celda.engines.program import ForwardProgram
from celda.language.expression import Node


def given(program: ForwardProgram, call: Call, layout: Layout) -> list[Tensor]:
    """All that the program is given: (rows, width) each, or (B, width) what a dense batch has constant over time."""
    return [_rows(node, call.inputs, call.start, layout) for node in program.given]


def multiplied(given: list[Tensor], shape: Shape) -> list[Tensor]:
    """What is given as the kernel multiplies it: as it is, or in pairs of bfloat16; see `Shape`."""
    if not shape.pairs:
        return given
    return [(F.pad(value, (0, 1)) if value.shape[1] % 2 else value).bfloat16() for value in given]


def by_unit(program: ForwardProgram, call: Call) -> list[Tensor]:
    """What is read unit by unit, masks and states of the layer below: (T, B, H) each, or (1, B, H) if it stays."""
    return [plainly(call.inputs[name]) for name in program.read]


def told(read: list[Tensor], layout: Layout) -> dict[str, int]:
    """What a kernel is told of it."""
    values = {f"read_{k}": value.data_ptr() for k, value in enumerate(read)}
    return values | {f"read_{k}_moves": int(value.shape[0] == layout.steps) for k, value in enumerate(read)}


def moving(node: Node, call: Call, layout: Layout) -> bool:
    """Whether it is nothing but an input that moves with the steps."""
    return node.op == "input" and call.inputs[node.name].shape[0] == layout.steps


def read(node: Node) -> frozenset[str]:
    """The inputs whose gradients go through an expression."""
    return frozenset() if node.op == "stop_gradient" else _inputs(node, read)


@shielded
def through(program: ForwardProgram, call: Call, layout: Layout, gradients: list[Tensor | None]) -> dict[str, Tensor]:
    """From the gradients of what the kernel was given to those of the inputs."""
    found: dict[str, Tensor] = {}
    rest: list[tuple[Node, Tensor]] = []
    for node, d in zip(program.given, gradients, strict=True):
        if d is None:
            continue
        if moving(node, call, layout):
            found[node.name] = layout.shown(d)
        else:
            rest.append((node, d))
    if rest:
        with torch.enable_grad():
            leaves = {name: call.inputs[name].detach().requires_grad_() for name in call.cell.inputs}
            values = [_rows(node, leaves, call.start, layout) for node, _ in rest]
        parts = torch.autograd.grad(values, list(leaves.values()), [d for _, d in rest], allow_unused=True)
        for name, part in zip(leaves, parts, strict=True):
            if part is not None:
                found[name] = found[name] + part if name in found else part
    return found


def _rows(node: Node, inputs: Mapping[str, Tensor], start: int, layout: Layout) -> Tensor:
    if node.op == "input":
        return layout.gather(inputs[node.name])
    timed = _reads_time(node)
    rows = {}
    for name in _names(node):
        value = inputs[name]
        rows[name] = layout.gather(value.expand(layout.steps, -1, -1) if timed else value)
    return _evaluate(node, rows, start + layout.step_of_rows() if timed else None)


def _names(node: Node) -> frozenset[str]:
    return _inputs(node, _names)


def _inputs(node: Node, of: Callable[[Node], frozenset[str]]) -> frozenset[str]:
    return frozenset([node.name]) if node.op == "input" else frozenset().union(*map(of, node.args))


def _reads_time(node: Node) -> bool:
    return node.op == "time" or any(map(_reads_time, node.args))


def _evaluate(node: Node, rows: Mapping[str, Tensor], steps: Tensor | None) -> Tensor:
    like = next(iter(rows.values()))
    match node.op:
        case "input":
            return rows[node.name]
        case "number":
            return torch.full((), node.value, dtype=like.dtype)
        case "time":
            assert steps is not None  # it was asked whether they are read
            return steps.to(like.dtype).unsqueeze(1)
    return TORCH[node.op](*(_evaluate(arg, rows, steps) for arg in node.args))
