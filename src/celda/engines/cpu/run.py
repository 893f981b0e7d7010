"""A call on the CPU engine."""

from __future__ import annotations

import torch
from torch import Tensor

from celda.engines.call import Call, Result
from celda.engines.cpu.function import Fused
from celda.engines.cpu.kernels import backward_program, forward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.reference.operations import TORCH
from celda.language.expression import Node


def run(call: Call) -> Result:
    """The outputs and states of `call`, by the fused kernels; float32 or float64 tensors on the CPU."""
    cell, x = call.cell, call.inputs[call.cell.inputs[0]]
    layout = Layout.of(call, shape_of(x.dtype).lanes)
    states = call.states if layout.order is None else tuple(s[layout.order] for s in call.states)
    if layout.carry is not None:
        states = tuple(s * layout.carry[0].unsqueeze(1) for s in states)
    learned = (*call.inputs.values(), *states, *call.weights.values())
    training = torch.is_grad_enabled() and any(t.requires_grad for t in learned)
    traced = tuple(cell.named[name] for name in call.keep)
    record = tuple(dict.fromkeys((*backward_program(cell).record, *traced))) if training else traced
    program = forward_program(cell, record)
    given = [layout.gather(_evaluate(node, call)) for node in program.given]
    output, *rest = Fused.apply(program, layout, tuple(call.weights), training, traced, *given, *states, *call.weights.values())
    final, kept = rest[: len(states)], rest[len(states) :]
    if layout.order is not None:
        back = torch.argsort(layout.order)
        final = [value[back] for value in final]
    values = {name: layout.spread(value) for name, value in zip(call.keep, kept, strict=True)}
    return Result(layout.spread(output), tuple(final), values)


def _evaluate(node: Node, call: Call) -> Tensor:
    """An input, or a point-wise expression of one, over the whole sequence."""
    steps, like = call.inputs[call.cell.inputs[0]].shape[0], call.states[0]
    match node.op:
        case "input":
            return call.inputs[node.name]
        case "number":
            return torch.full((), node.value, dtype=like.dtype)
        case "time":
            return torch.arange(call.start, call.start + steps).to(like.dtype).view(steps, 1, 1)
    return TORCH[node.op](*(_evaluate(arg, call) for arg in node.args))
