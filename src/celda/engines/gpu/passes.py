"""The two passes over a sequence: what is around the kernels that go over all steps, or around those of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.derivatives import Upstream
from celda.engines.gpu import kernels
from celda.engines.gpu.ahead import Ahead, ahead
from celda.engines.gpu.plan import BackwardPlan, ForwardPlan, backward_plan, forward_plan
from celda.engines.gpu.rows import Rows
from celda.language.expression import Node

Values = dict[str, Any]


@dataclass
class Passed:
    """What a forward pass leaves for the sweep. `values`: what the kernels of both directions are given, by name."""

    plan: ForwardPlan
    rows: Rows
    ahead: Ahead
    values: Values
    stored: tuple[Tensor, ...]  # (T, B, H) each
    output: Tensor
    final: tuple[Tensor, ...]

    def value(self, node: Node) -> Tensor:
        """A value at every step."""
        return self.output if node is self.plan.output else self.stored[self.plan.stored.index(node)]

    def shown(self, node: Node) -> Tensor:
        """A value at every step for the caller, in memory of its own."""
        return self.value(node).to(self.output.dtype, copy=True)


def forward(call: Call, wanted: frozenset[str], training: bool) -> Passed:
    """Run the forward kernels; when training, keep what the sweep will read. `wanted` names what has gradients."""
    cell, rows, like = call.cell, Rows.of(call), call.states[0]
    plan = forward_plan(cell, tuple(cell.named[name] for name in call.keep), training)
    given = ahead(plan, call, wanted)
    values = {**rows.told(), **_read(plan, call), **_vectors(call)}
    exact = {*cell.outputs.values(), *(n for n in cell.nodes if n.op == "state")} - {*plan.operands}
    state = like.new_empty(0, dtype=torch.float32)
    stored = tuple(rows.room(state if n in exact else like, rows.hidden) for n in plan.stored)
    output = rows.room(like, rows.hidden)
    values |= {f"stored_{k}": tensor for k, tensor in enumerate(stored)} | {"output": output}
    inner = values | {"ahead": given.told.detach().contiguous(), "bias": given.rest.detach().contiguous()}
    states = [rows.carried(s).contiguous() for s in call.states]
    found = kernels.forward_kernels(plan, *rows.kind)
    blocks = sum(len(q.blocks) for q in plan.products)
    if kernels.whole(blocks, like):
        last = [torch.empty_like(s) for s in states]
        inner |= {f"matrix_{k}": call.weights[name].contiguous() for k, name in enumerate(plan.matrices)}
        inner |= {f"state_{k}": s for k, s in enumerate(states)} | {f"last_{k}": s for k, s in enumerate(last)}
        kernels.launch(found["forward"], rows, inner, like, looped=True)
    else:
        last = _by_steps(plan, rows, found, inner, states, call)
    return Passed(plan, rows, given, values, stored, output, tuple(last))


def _read(plan: ForwardPlan, call: Call) -> Values:
    """What is read unit by unit, masks and states of the layer below."""
    found: Values = {}
    for k, name in enumerate(plan.read):
        value = call.inputs[name].to(call.states[0].dtype)  # masks are bool
        found |= {f"read_{k}": value.contiguous(), f"read_{k}_moves": int(value.shape[0] > 1)}
    return found


def _vectors(call: Call) -> Values:
    return {f"vector_{name}": value.contiguous() for name, value in call.weights.items() if value.dim() == 1}


def _by_steps(
    plan: ForwardPlan, rows: Rows, found: Values, values: Values, states: Sequence[Tensor], call: Call
) -> list[Tensor]:
    """The steps one by one: large products by torch, and what is between them by a kernel a segment."""
    like, size = call.states[0], (rows.batch, rows.hidden)
    before = [s.to(torch.float32, copy=True) for s in states]
    after = [torch.empty_like(s) for s in before]
    old = [states[call.cell.states.index(n.name)].clone() if n.op == "state" else None for n in plan.operands]
    operands = [like.new_empty(size) if o is None else o for o in old]
    following = [o if n.op != "state" else torch.empty_like(o) for n, o in zip(plan.operands, operands, strict=True)]
    matrices = [_blocks(call.weights[q.weight], q.blocks, rows.hidden).t() for q in plan.products]
    products = [like.new_empty(rows.batch, m.shape[1]) for m in matrices]
    values = values | {f"product_{k}": product for k, product in enumerate(products)}
    values |= {f"crossing_{k}": before[0].new_empty(size) for k in range(len(plan.crossing))}
    for s in range(rows.steps):
        values |= {"step": s} | {f"operand_{k}": o for k, o in enumerate(operands)}
        values |= {f"operand_{k}_next": o for k, o in enumerate(following)}
        values |= {f"state_{k}": x for k, x in enumerate(before)} | {f"next_{k}": x for k, x in enumerate(after)}
        for number, segment in enumerate(plan.segments):
            for q in segment:
                k = plan.products.index(q)
                torch.mm(operands[plan.operands.index(q.operand)], matrices[k], out=products[k])
            kernels.launch(found[f"forward_{number}"], rows, values, like, looped=False)
        before, after, operands, following = after, before, following, operands
    return [x.to(like.dtype) for x in before]


def _blocks(matrix: Tensor, blocks: Sequence[int], hidden: int) -> Tensor:
    """The rows of some blocks of a matrix."""
    if list(blocks) == list(range(matrix.shape[0] // hidden)):
        return matrix.detach()
    return torch.cat([matrix.detach()[b * hidden : (b + 1) * hidden] for b in blocks])


@dataclass
class Swept:
    """What a sweep finds: `adjoint` (T, B, maps, H) of the linear maps, of the initial states, and all else by name."""

    adjoint: Tensor
    states: tuple[Tensor, ...]
    found: dict[str, Tensor]


def sweep(passed: Passed, call: Call, upstream: Upstream) -> Swept:
    """Run the kernels of the reverse sweep."""
    plan, rows, like, output = backward_plan(call.cell), passed.rows, call.states[0], passed.output
    kept = tuple(upstream.kept)
    found = kernels.backward_kernels(plan, passed.plan, *rows.kind, kept)
    above = torch.zeros_like(output) if upstream.output is None else upstream.output.contiguous()
    adjoint = rows.room(like, len(plan.maps), rows.hidden, zero=not plan.whole)
    d_read = {name: rows.room(like, rows.hidden) for name in plan.program.below}
    looped = kernels.whole(sum(len(q.args) for q in plan.products), like)
    sums = like.new_zeros(kernels.tiles(rows, looped), len(plan.vectors), rows.hidden, dtype=torch.float32)
    values = passed.values | {"upstream": above, "adjoint": adjoint, "sums": sums}
    values |= {f"upstream_{name}": d.contiguous() for name, d in upstream.kept.items()}
    values |= {f"d_read_{plan.read.index(name)}": d for name, d in d_read.items()}
    last = [torch.zeros_like(like) if d is None else d.contiguous() for d in upstream.final]
    if looped:
        first = [torch.empty_like(like, dtype=torch.float32) for _ in last]
        values |= {f"matrix_{k}": call.weights[name].contiguous() for k, name in enumerate(plan.matrices)}
        values |= {f"d_last_{k}": d for k, d in enumerate(last)} | {f"d_first_{k}": d for k, d in enumerate(first)}
        kernels.launch(found["backward"], rows, values, like, looped=True)
    else:
        first = _back_by_steps(plan, rows, found, values, last, call)
    vectors = {name: sums[:, k].sum(0).to(like.dtype) for k, name in enumerate(plan.vectors)}
    return Swept(adjoint, tuple(rows.carried(d).to(like.dtype) for d in first), d_read | vectors)


def _back_by_steps(
    plan: BackwardPlan, rows: Rows, found: Values, values: Values, last: Sequence[Tensor], call: Call
) -> list[Tensor]:
    """The sweep step by step: transposed products by torch, and what is between them by a kernel a segment."""
    like, h = call.states[0], rows.hidden
    carry = [d.to(torch.float32, copy=True) for d in last]
    products = [torch.zeros_like(like) for _ in plan.products]  # those put off: there is no step after the last
    matrices = [_terms(plan, q, call, h) for q in plan.products]
    values = values | {f"product_{k}": product for k, product in enumerate(products)}
    values |= {f"carry_{k}": c for k, c in enumerate(carry)}
    values |= {f"crossing_{k}": torch.empty_like(carry[0]) for k in range(len(plan.crossing))}

    def multiply(segment: tuple[Node, ...], adjoint: Tensor) -> None:
        for q in segment:
            k, done = plan.products.index(q), 0
            for m, count in plan.program.runs(q):
                rows_of = matrices[k][done * h : (done + count) * h]
                part = adjoint[:, m * h : (m + count) * h]
                torch.addmm(products[k], part, rows_of, beta=1 if done else 0, out=products[k])
                done += count

    for s in range(rows.steps - 1, -1, -1):
        adjoint = values["adjoint"][rows.step(s)].flatten(1)
        for number, segment in enumerate(plan.segments):
            if number:
                multiply(segment, adjoint)
            kernels.launch(found[f"backward_{number}"], rows, values | {"step": s}, like, looped=False)
        multiply(plan.segments[0], adjoint)
    for c, state in zip(carry, call.cell.states, strict=True):
        for q in plan.program.carry[state]:
            c += products[plan.products.index(q)]
    return carry


def _terms(plan: BackwardPlan, product: Node, call: Call, hidden: int) -> Tensor:
    """The blocks of a transposed product, one below the other."""
    terms = plan.program.terms(product)
    return _blocks(call.weights[terms[0].weight], [term.block for term in terms], hidden)
