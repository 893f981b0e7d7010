"""The kernels as a function that torch can differentiate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from celda.engines.cpu.kernels import Memory, backward_kernel, backward_program, forward_kernel, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.pack import backward_panel, forward_panel, padded_vector
from celda.engines.cpu.program import ForwardProgram
from celda.engines.cpu.sums import biases, hoisted, weight_gradients
from celda.language.expression import Node

HOIST = 4  # with fewer sequences than this, the products with the input are done for all steps at once


class Fused(torch.autograd.Function):
    """apply(program, layout, weight names, training, traced, *given, *states, *weights) -> output rows, final states, traced.

    `given` are the inputs as rows (see `Layout.gather`), outputs are rows (rows, H), states (B, H).
    """

    @staticmethod
    def forward(
        ctx: Any,
        program: ForwardProgram,
        layout: Layout,
        names: tuple[str, ...],
        training: bool,
        traced: tuple[Node, ...],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        cell, shape = program.cell, shape_of(tensors[0].dtype)
        given, states, weights = _parts(program, names, tensors)
        n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
        new, memory = tensors[0].new_empty, Memory(layout)
        back = backward_program(cell)
        # the adjoints of the linear maps can take the place of what they are made of, unless a later stage reads it again
        in_place = maps if training and len(back.stages) == 1 and len(program.record) == len(back.record) else 0
        hoist = b < HOIST and any(q.hoisted for stage in program.stages for q in stage.products)
        compiled = forward_kernel(cell, shape, program.record, in_place, hoist, layout.carry is not None)
        rest = max(len(program.record) - in_place, 0)
        output, record, kept = new(n, h), new(n, maps if in_place else 0, p), new(n, rest, p)
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
            memory.give(f"vector_{name}", padded_vector(weights[name], p))
        for s, stage in enumerate(program.stages):
            for k, q in enumerate(stage.products):
                blocks = weights[q.weight].split(h)
                units, skip = shape.units(len(stage.maps)), hoist and q.hoisted
                panel = None if skip else forward_panel([blocks[i] for i in q.blocks], shape.lanes, p, units)
                memory.give(f"panel_{s}_{k}", panel)
        memory.give("bias", biases(program, weights, layout))
        memory.give("hoisted", hoisted(program, given, weights, layout) if hoist else None)
        memory.give("scratch", new(b, len(program.crossing), p))
        for name, value in {"output": output, "record": record, "kept": kept}.items():
            memory.give(name, value)
        memory.values["operand_moves"] = int(training)
        compiled.launch(memory.values, layout, maps * h * (h + sum(g.shape[1] for g in given)))
        final = tuple(layout.final(buffers[state]).clone() for state in cell.states)
        if training:
            ctx.save_for_backward(*tensors, output)
            ctx.made = program, layout, names, in_place, record, kept, operands
        shown = tuple(_shown(program, node, in_place, record, kept)[:, :h].clone() for node in traced)
        ctx.mark_non_differentiable(*shown)
        return output, *final, *shown

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, *d_rest: Tensor | None) -> tuple[Tensor | None, ...]:
        program, layout, names, in_place, record, kept, operands = ctx.made
        *tensors, output = ctx.saved_tensors
        cell, shape, back = program.cell, shape_of(output.dtype), backward_program(program.cell)
        given, states, weights = _parts(program, names, tensors)
        n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
        new, memory = output.new_empty, Memory(layout)
        compiled = backward_kernel(cell, shape, program.record, in_place, layout.carry is not None)
        adjoint = record if in_place else new(n, maps, p)
        carried, threads = {}, torch.get_num_threads()
        for state, d, first in zip(cell.states, d_rest[: len(states)], states, strict=True):
            carried[state], initial = output.new_zeros(b, p), output.new_zeros(b, p)
            initial[:, :h] = first
            if d is not None:
                carried[state][:, :h] = d
            memory.give(f"carried_{state}", carried[state])
            memory.give(f"first_{state}", initial)
        vectors = {name: output.new_zeros(threads, p) for name in program.cell_vectors}
        for name, value in vectors.items():
            memory.give(f"vector_{name}", padded_vector(weights[name], p))
            memory.give(f"gradient_{name}", value)
        for k, products in enumerate(back.products):
            for q, product in enumerate(products):
                for i, term in enumerate(back.terms(product)):
                    block = weights[term.weight].split(h)[term.block]
                    units = shape.units(max(len(products), 1))
                    memory.give(f"panel_{k}_{q}_{i}", backward_panel(block, shape.lanes, p, units))
        upstream = output.new_zeros(n, h) if d_output is None else d_output.contiguous()
        scratch = new(b, len(back.crossing), p)
        buffers = {"output": output, "upstream": upstream, "scratch": scratch, "record": record, "kept": kept, "adjoint": adjoint}
        for name, value in buffers.items():
            memory.give(name, value)
        compiled.launch(memory.values, layout, maps * h * h)
        d_given, d_weights = weight_gradients(program, layout, weights, given, states, operands, output, adjoint)
        d_weights |= {name: value.sum(0)[:h] for name, value in vectors.items()}
        d_states = (carried[state][:, :h] for state in cell.states)
        return (None,) * 5 + (*d_given, *d_states, *(d_weights[name] for name in names))


def _parts(program: ForwardProgram, names: tuple[str, ...], tensors: Any) -> tuple[Any, Any, dict[str, Tensor]]:
    """The tensors of `apply` as given inputs, states, and weights by name."""
    g, s = len(program.given), len(program.given) + len(program.cell.states)
    return tensors[:g], tensors[g:s], dict(zip(names, tensors[s:], strict=True))


def _shown(program: ForwardProgram, node: Node, in_place: int, record: Tensor, kept: Tensor) -> Tensor:
    k = program.record.index(node)
    return record[:, k] if k < in_place else kept[:, k - in_place]
