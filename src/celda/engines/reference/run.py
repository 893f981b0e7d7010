"""A cell over a sequence, as a loop of torch operations over its schedule.

Any dtype, any device, differentiable as often as torch is, and transparent to `torch.func`. It is written to be read,
not to be fast; only what does not depend on a state (the products with the input, above all) is done once for all
steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.engines.call import Call, Result
from celda.engines.operations import TORCH
from celda.engines.padding import without_padding
from celda.language.expression import SCALAR, Node
from celda.language.schedule import Product, recurrent, schedule

Values = dict[Node, Tensor]


def run(call: Call) -> Result:
    """The outputs and states of `call`, computed step by step."""
    call = without_padding(call)
    cell, x = call.cell, call.inputs[call.cell.inputs[0]]
    steps, batch = x.shape[0], x.shape[1]
    hidden = call.states[0].shape[-1]
    whole = _Sequence(call, steps)
    order = range(steps - 1, -1, -1) if call.reverse else range(steps)
    states = dict(zip(cell.states, call.states, strict=True))
    rows: dict[str, list[Tensor]] = {name: [] for name in (cell.states[0], *call.keep)}
    for t in order:
        states = _reset(states, call.resets, t, call.reverse)
        values = whole.step(t, states)
        new = {state: values[node].expand(batch, hidden) for state, node in cell.outputs.items()}
        named = {name: values[cell.named[name]].expand(batch, hidden) for name in rows}
        if call.lengths is not None:
            active = (t < call.lengths).unsqueeze(-1)
            new = {state: torch.where(active, value, states[state]) for state, value in new.items()}
            named = {name: torch.where(active, value, torch.zeros_like(value)) for name, value in named.items()}
        states = new
        for name, value in named.items():
            rows[name].append(value)
    kept = {name: torch.stack(values[::-1] if call.reverse else values) for name, values in rows.items()}
    output = kept[cell.states[0]]
    kept[cell.states[0]] = output.clone()  # so that a caller may change the output in place
    return Result(output, tuple(states.values()), {name: kept[name] for name in call.keep})


def _reset(states: dict[str, Tensor], resets: Tensor | None, t: int, reverse: bool) -> dict[str, Tensor]:
    """Zero states for the sequences that start anew between the step before (in the order of running) and `t`."""
    boundary = t + 1 if reverse else t
    if resets is None or boundary >= resets.shape[0]:
        return states
    fresh = resets[boundary].unsqueeze(-1)
    return {state: torch.where(fresh, torch.zeros_like(value), value) for state, value in states.items()}


class _Sequence:
    """The values of a whole sequence that depend on no state, and the step that computes the rest."""

    def __init__(self, call: Call, steps: int) -> None:
        self.cell, self.weights = call.cell, call.weights
        self.dtype = call.inputs[call.cell.inputs[0]].dtype
        self.hidden = call.states[0].shape[-1]
        self.stages = schedule(call.cell)
        self.moving = recurrent(call.cell.nodes)
        self.biases = {node: self._bias(node) for node in call.cell.linear}
        self.rows = {product: self._rows(product) for stage in self.stages for product in stage.products}
        still = self._leaves(call, steps)
        partial: Values = {}  # of linear maps: the products done so far, with the biases
        for stage in self.stages:
            self._multiply([p for p in stage.products if p.hoisted], still, partial)
            for node in stage.pointwise:
                if node not in self.moving:
                    still[node] = self._evaluate(node, still, partial)
        # unbind, not indexing: the gradient of one index is as long as the sequence, that of unbind is one stack
        steps_of = lambda value: value.unbind(0) if value.dim() == 3 else (value,)  # noqa: E731
        self.still = {node: steps_of(value) for node, value in still.items()}
        self.partial = {node: steps_of(value) for node, value in partial.items() if node in self.moving}

    def step(self, t: int, states: Mapping[str, Tensor]) -> Values:
        """Every value of step `t`."""
        at = lambda values: values[t if len(values) > 1 else 0]  # noqa: E731
        values = {node: at(steps) for node, steps in self.still.items()}
        values |= {node: states[node.name] for node in self.moving if node.op == "state"}
        partial = {node: at(steps) for node, steps in self.partial.items()}
        for stage in self.stages:
            self._multiply([p for p in stage.products if not p.hoisted], values, partial)
            for node in stage.pointwise:
                if node in self.moving:
                    values[node] = self._evaluate(node, values, partial)
        return values

    def _leaves(self, call: Call, steps: int) -> Values:
        x = call.inputs[call.cell.inputs[0]]
        exact = torch.promote_types(x.dtype, torch.float32)  # bfloat16 counts to 256 only
        leaves: Values = {}
        for node in call.cell.nodes:
            if node.op in ("input", "below"):
                leaves[node] = call.inputs[node.name]
            elif node.op == "mask":
                leaves[node] = call.inputs[node.name].to(x.dtype)
            elif node.op == "number":
                leaves[node] = torch.full((), node.value, dtype=exact, device=x.device)
            elif node.op == "parameter":
                leaves[node] = call.weights[node.name]
            elif node.op == "time":
                index = torch.arange(call.start, call.start + steps, dtype=exact, device=x.device)
                leaves[node] = index.view(steps, 1, 1)
        return leaves

    def _rows(self, product: Product) -> Tensor:
        """The blocks of the matrix that a product needs, as one matrix."""
        blocks = self.weights[product.weight].split(self.hidden)
        wanted = [blocks[b] for b in product.blocks]
        return self.weights[product.weight] if len(wanted) == len(blocks) else torch.cat(wanted)

    def _bias(self, node: Node) -> Tensor | None:
        blocks = [self.weights[n].split(self.hidden)[b] for n, b in self.cell.linear[node].biases if n in self.weights]
        return sum(blocks[1:], blocks[0]) if blocks else None

    def _multiply(self, products: list[Product], values: Values, partial: Values) -> None:
        """Add the products to the linear maps that want them; the first to arrive brings the bias."""
        for product in products:
            result = F.linear(values[product.operand], self.rows[product])
            for node, part in zip(product.maps, result.split(self.hidden, -1), strict=True):
                so_far = partial.get(node, self.biases[node])
                partial[node] = part if so_far is None else so_far + part

    def _evaluate(self, node: Node, values: Values, partial: Values) -> Tensor:
        if node.op == "linear":
            return partial[node]
        if node.op == "diagonal":
            return self.weights[self.cell.vectors[node]] * values[node.args[0]]
        operands = [values[arg] for arg in node.args]
        if node.width != SCALAR:  # the step's index meets values of the units: in their dtype
            operands = [o.to(self.dtype) if o.is_floating_point() else o for o in operands]
        return TORCH[node.op](*operands)
