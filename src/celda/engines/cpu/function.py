"""The kernels as a function that torch can differentiate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from celda.engines.call import Call, Engine
from celda.engines.cpu.kernels import Memory, backward_kernel, backward_program, forward_kernel, forward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.pack import backward_panel, forward_panel, padded_vector
from celda.engines.cpu.program import ForwardProgram
from celda.engines.cpu.sums import biases, hoisted, weight_gradients
from celda.engines.operations import TORCH
from celda.language.expression import Node

HOIST = 4  # with fewer sequences than this, the products with the input are done for all steps at once


@dataclass
class Passed:
    """What a forward pass leaves for the sweep: buffers by row, and how they are laid out."""

    program: ForwardProgram
    layout: Layout
    given: list[Tensor]
    states: tuple[Tensor, ...]  # initial ones, in the order of the layout
    output: Tensor  # (rows, H)
    final: tuple[Tensor, ...]
    in_place: int  # how many of the program's `record` the sweep may write over: they are in `record`, the rest in `kept`
    record: Tensor
    kept: Tensor
    operands: list[Tensor]

    def shown(self, node: Node) -> Tensor:
        """A recorded value, (T, B, H)."""
        k, h = self.program.record.index(node), self.layout.hidden
        rows = self.record[:, k, :h] if k < self.in_place else self.kept[:, k - self.in_place, :h]
        return self.layout.spread(rows)

    def before(self, state: str) -> Tensor:
        """The old values of a state, for all rows."""
        place, h = self.program.cell.states.index(state), self.layout.hidden
        node = self.program.cell.outputs[state]
        rows = self.output if place == 0 else self.kept[:, self.program.record.index(node) - self.in_place, :h]
        return self.layout.before(rows, self.states[place])


def forward(call: Call, training: bool) -> Passed:
    """Run the forward kernel; when training, keep what the sweep will read."""
    cell, shape = call.cell, shape_of(call.states[0].dtype)
    layout, back = Layout.of(call, shape.lanes), backward_program(cell)
    traced = tuple(cell.named[name] for name in call.keep)
    program = forward_program(cell, tuple(dict.fromkeys((*back.record, *traced))) if training else traced)
    states = call.states if layout.order is None else tuple(s[layout.order] for s in call.states)
    if layout.carry is not None:
        states = tuple(s * layout.carry[0].unsqueeze(1) for s in states)
    given = [layout.gather(evaluate(node, call)) for node in program.given]
    n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
    new, memory = call.states[0].new_empty, Memory(layout)
    # adjoints of linear maps may take the place of what they are made of, unless somebody reads that again
    alone = len(back.stages) == 1 and len(program.record) == len(back.record) and not back.multiplied
    in_place = maps if training and alone else 0
    hoist = b < HOIST and any(q.hoisted for stage in program.stages for q in stage.products)
    compiled = forward_kernel(cell, shape, program.record, in_place, hoist, layout.carry is not None)
    output, record = new(n, h), new(n, maps if in_place else 0, p)
    kept = new(n, max(len(program.record) - in_place, 0), p)
    buffers = {}
    for state, value in zip(cell.states, states, strict=True):
        buffers[state] = new(2, b, p) if p == h else value.new_zeros(2, b, p)
        buffers[state][:, :, :h] = value
        memory.give(f"state_{state}", buffers[state])
    operands = [new(n if training else b, p) for _ in program.operands]
    for k, operand in enumerate(operands):
        memory.give(f"operand_{k}", operand)
    for k, value in enumerate(given):
        memory.give(f"given_{k}", value)
        memory.values |= {f"given_{k}_stride": value.shape[1], f"given_{k}_moves": int(value.shape[0] == n)}
    for name in program.cell_vectors:
        memory.give(f"vector_{name}", padded_vector(call.weights[name], p))
    for s, stage in enumerate(program.stages):
        for k, q in enumerate(stage.products):
            blocks, units = call.weights[q.weight].split(h), shape.units(len(stage.maps))
            skip = hoist and q.hoisted
            panel = None if skip else forward_panel([blocks[i] for i in q.blocks], shape.lanes, p, units)
            memory.give(f"panel_{s}_{k}", panel)
    memory.give("bias", biases(program, call.weights, layout))
    memory.give("hoisted", hoisted(program, given, call.weights, layout) if hoist else None)
    memory.give("scratch", new(b, len(program.crossing), p))
    for name, value in {"output": output, "record": record, "kept": kept}.items():
        memory.give(name, value)
    memory.values["operand_moves"] = int(training)
    compiled.launch(memory.values, layout, maps * h * (h + sum(g.shape[1] for g in given)))
    final = tuple(layout.back(layout.final(buffers[state])) for state in cell.states)
    return Passed(program, layout, given, states, output, final, in_place, record, kept, operands)


def sweep(
    passed: Passed, call: Call, d_output: Tensor | None, d_final: tuple[Tensor | None, ...]
) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
    """Run the backward kernel: the gradients of what was given (rows), of the initial states, and of the weights."""
    program, layout, cell = passed.program, passed.layout, call.cell
    shape, back = shape_of(passed.output.dtype), backward_program(call.cell)
    n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
    new, zeros, memory = passed.output.new_empty, passed.output.new_zeros, Memory(layout)
    compiled = backward_kernel(cell, shape, program.record, passed.in_place, layout.carry is not None)
    carried = {}
    for state, d, first in zip(cell.states, d_final, passed.states, strict=True):
        carried[state], initial = zeros(b, p), zeros(b, p)
        initial[:, :h] = first
        if d is not None:
            carried[state][:, :h] = d if layout.order is None else d[layout.order]
        memory.give(f"carried_{state}", carried[state])
        memory.give(f"first_{state}", initial)
    vectors = {name: zeros(torch.get_num_threads(), p) for name in program.cell_vectors}
    for name, value in vectors.items():
        memory.give(f"vector_{name}", padded_vector(call.weights[name], p))
        memory.give(f"gradient_{name}", value)
    for k, products in enumerate(back.products):
        for q, product in enumerate(products):
            for i, term in enumerate(back.terms(product)):
                block = call.weights[term.weight].split(h)[term.block]
                panel = backward_panel(block, shape.lanes, p, shape.units(len(products)))
                memory.give(f"panel_{k}_{q}_{i}", panel)
    adjoint = passed.record if passed.in_place else new(n, maps, p)
    memory.give("adjoint", adjoint)
    memory.give("upstream", zeros(n, h) if d_output is None else layout.gather(d_output))
    memory.give("scratch", new(b, len(back.crossing), p))
    for name in ("output", "record", "kept"):
        memory.give(name, getattr(passed, name))
    compiled.launch(memory.values, layout, maps * h * h)
    d_given, d_weights = weight_gradients(
        program, layout, call.weights, passed.given, passed.operands, passed.before, adjoint
    )
    d_weights |= {name: value.sum(0)[:h] for name, value in vectors.items()}
    d_states = [carried[state][:, :h] for state in cell.states]
    if layout.carry is not None:
        d_states = [d * layout.carry[0].unsqueeze(1) for d in d_states]
    return d_given, [layout.back(d) for d in d_states], d_weights


class Fused(torch.autograd.Function):
    """apply(call, reference, *inputs, *states, *weights) -> output, final states, traced values; see `Call` for shapes.

    `call` holds the same tensors. A gradient that shall itself be differentiated is taken through `reference`.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, reference: Engine, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the kernel, keeping what a gradient needs."""
        passed = forward(call, any(ctx.needs_input_grad))
        ctx.save_for_backward(*tensors)
        ctx.call, ctx.reference, ctx.passed = call, reference, passed
        shown = tuple(passed.shown(call.cell.named[name]).clone() for name in call.keep)
        ctx.mark_non_differentiable(*shown)
        return passed.layout.spread(passed.output), *passed.final, *shown

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, *d_rest: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of every tensor that wants one."""
        call = _with(ctx.call, ctx.saved_tensors)
        d_final = d_rest[: len(call.states)]
        if torch.is_grad_enabled():
            return (None, None, *_again(call, ctx.reference, ctx.needs_input_grad[2:], d_output, d_final))
        passed, ctx.passed = ctx.passed or forward(replace(call, keep=()), True), None
        d_given, d_states, d_weights = sweep(passed, call, d_output, d_final)
        d_inputs = _through(call, passed, d_given)
        return (None, None, *d_inputs, *d_states, *(d_weights[name] for name in call.weights))


def _with(call: Call, tensors: tuple[Tensor, ...]) -> Call:
    """The call on other tensors."""
    i, s = len(call.inputs), len(call.inputs) + len(call.states)
    inputs, weights = dict(zip(call.inputs, tensors[:i], strict=True)), dict(zip(call.weights, tensors[s:], strict=True))
    return replace(call, inputs=inputs, states=tensors[i:s], weights=weights)


def _again(
    call: Call, reference: Engine, wanted: tuple[bool, ...], d_output: Tensor | None, d_final: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradients as a function that can be differentiated once more."""
    tensors = (*call.inputs.values(), *call.states, *call.weights.values())
    result = reference(replace(call, keep=()))
    pairs = [(v, d) for v, d in zip((result.output, *result.states), (d_output, *d_final), strict=True) if d is not None]
    leaves = [t for t, want in zip(tensors, wanted, strict=True) if want]
    outputs, adjoints = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, leaves, adjoints, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _through(call: Call, passed: Passed, d_given: list[Tensor]) -> list[Tensor | None]:
    """From the gradients of what the kernel was given, rows of inputs or of expressions of inputs, to those of the inputs."""
    layout = passed.layout
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in call.inputs.items()}
        values = [layout.gather(evaluate(node, replace(call, inputs=leaves))) for node in passed.program.given]
    found = torch.autograd.grad(values, list(leaves.values()), d_given, allow_unused=True)
    return list(found)


def evaluate(node: Node, call: Call) -> Tensor:
    """An input, or a point-wise expression of one, over the whole sequence: (T, B, width), or (1, B, width)."""
    steps, like = call.inputs[call.cell.inputs[0]].shape[0], call.states[0]
    match node.op:
        case "input":
            return call.inputs[node.name]
        case "number":
            return torch.full((), node.value, dtype=like.dtype)
        case "time":
            return torch.arange(call.start, call.start + steps).to(like.dtype).view(steps, 1, 1)
    return TORCH[node.op](*(evaluate(arg, call) for arg in node.args))
