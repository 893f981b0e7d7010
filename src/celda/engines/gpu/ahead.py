"""What torch does ahead of the kernels, for all steps at once: the biases, and the products with what is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from celda.engines.call import Call
from celda.engines.gpu.plan import ForwardPlan
from celda.engines.operations import TORCH
from celda.engines.padding import without_padding
from celda.language.expression import Node


@dataclass(frozen=True)
class Ahead:
    """`told` (T, B, maps, H): of the linear maps with an input; `rest` (maps, H): the biases of the others. With
    `leaves`, by name, torch can differentiate them."""

    leaves: Mapping[str, Tensor]
    told: Tensor
    rest: Tensor

    def gradients(self, d_told: Tensor, d_rest: Tensor) -> dict[str, Tensor]:
        """The gradients of inputs, matrices and biases, as far as they are wanted."""
        pairs = [(v, d) for v, d in ((self.told, d_told), (self.rest, d_rest)) if v.requires_grad]
        wanted = {name: leaf for name, leaf in self.leaves.items() if leaf.requires_grad}
        if not pairs or not wanted:
            return {}
        values, adjoints = zip(*pairs, strict=True)
        found = torch.autograd.grad(values, list(wanted.values()), adjoints, allow_unused=True)
        return {name: d for name, d in zip(wanted, found, strict=True) if d is not None}


def ahead(plan: ForwardPlan, call: Call, wanted: frozenset[str]) -> Ahead:
    """All that is known before the first step; `wanted` names what gradients will be asked for."""
    cell, program, like = plan.cell, plan.program, call.states[0]
    names = {*cell.inputs, *(q.weight for q, *_ in program.products if program.is_given(q.operand))}
    names |= {weight.name for weight in cell.weights if weight.is_bias}
    both = {**call.inputs, **call.weights}
    leaves = {n: both[n].detach().requires_grad_(n in wanted) for n in both if n in names}
    x = call.inputs[cell.inputs[0]]
    steps, batch, h = x.shape[0], x.shape[1], like.shape[1]
    with torch.set_grad_enabled(bool(wanted)):
        inputs = without_padding(replace(call, inputs={name: leaves[name] for name in cell.inputs})).inputs
        bias = _biases(plan, leaves, like)
        rest = bias[[plan.maps.index(m) for m in plan.rest]] if plan.rest else bias[:0]
        runs = [run for run in program.products if program.is_given(run[0].operand)]
        values = [_evaluate(q.operand, inputs, call, x).to(x.dtype) for q, *_ in runs]
        matrices = [leaves[q.weight][block * h : (block + count) * h] for q, block, _, count in runs]
        if len(runs) == 1 and runs[0][3] == len(plan.told) and values[0].shape[0] == steps:
            _, _, m, count = runs[0]
            told = linear(values[0], matrices[0], bias[m : m + count].flatten()).view(steps, batch, count, h)
        else:
            parts = dict(zip(plan.maps, bias.unbind(), strict=True))
            for (_, _, m, count), value, matrix in zip(runs, values, matrices, strict=True):
                products = linear(value, matrix).unflatten(-1, (count, h)).unbind(2)
                for node, part in zip(plan.maps[m : m + count], products, strict=True):
                    parts[node] = parts[node] + part
            found = [parts[node].expand(steps, batch, h) for node in plan.told]
            told = torch.stack(found, 2) if found else like.new_empty(0)
    return Ahead(leaves, told, rest)


def _biases(plan: ForwardPlan, weights: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """The sum of each linear map's biases, (maps, H)."""
    h, maps = like.shape[1], len(plan.maps)
    total = None
    for name, block, m, count in plan.program.bias_runs:
        if name in weights:
            part = weights[name][block * h : (block + count) * h]
            part = part if count == maps else pad(part, (m * h, (maps - m - count) * h))
            total = part if total is None else total + part
    return like.new_zeros(maps, h) if total is None else total.view(maps, h)


def _evaluate(node: Node, inputs: Mapping[str, Tensor], call: Call, x: Tensor) -> Tensor:
    """A point-wise expression of inputs, (T, B, width) or constant over time."""
    match node.op:
        case "input":
            return inputs[node.name]
        case "number":
            return torch.full((), node.value, dtype=x.dtype, device=x.device)
        case "time":
            exact = torch.promote_types(x.dtype, torch.float32)  # bfloat16 counts to 256 only
            return torch.arange(call.start, call.start + x.shape[0], dtype=exact, device=x.device).view(-1, 1, 1)
    return TORCH[node.op](*(_evaluate(arg, inputs, call, x) for arg in node.args))
