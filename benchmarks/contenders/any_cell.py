"""Any cell: Celda's layer, and the loop over its steps that one would write in PyTorch.

Masks are drawn by both as a layer draws them, from the same place of torch's generator.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import celda
from benchmarks.contenders.contender import Ready, seeded, training
from benchmarks.shapes import Shape
from celda.engines import Plan
from celda.engines.operations import TORCH
from celda.language import Cell
from celda.language.expression import Node
from celda.language.schedule import Product, schedule
from celda.layers import structure
from celda.layers.masks import draw, drop_weights

PLAN = Plan("cpu", "as the layer's masks are drawn")
Rows = tuple[Tensor, Tensor | None]  # of a matrix, and of its bias


def _bound(function: Callable, clamp: str, python: Callable) -> Callable:
    def bound(a: Any, b: Any) -> Any:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return function(a, b)
        tensor, number = (a, b) if isinstance(a, Tensor) else (b, a)
        return tensor.clamp(**{clamp: number}) if isinstance(tensor, Tensor) else python(a, b)

    return bound


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Tensor):
        return torch.where(condition, a, b)
    return a if condition else b


# With Python's operators, which take numbers as they are.
_PYTHON: dict[str, Callable] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "remainder": operator.mod, "negate": operator.neg, "abs": abs, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq, "not_equal": operator.ne,
    "maximum": _bound(torch.maximum, "min", max), "minimum": _bound(torch.minimum, "max", min), "where": _where,
    "identity": lambda a: a,
}  # fmt: skip


class Step(nn.Module):
    """One step of a cell: a product for each matrix and operand, its gates side by side, then operations unit by unit.

    The weights are those of a layer, under their names without `_l0`.
    """

    def __init__(self, layer: celda.Recurrent) -> None:
        super().__init__()
        self.cell, self.hidden = layer.cell, layer.hidden_size
        for name, value in layer.named_parameters():
            self.register_parameter(name.removesuffix("_l0"), nn.Parameter(value.detach().clone()))
        self.stages = []
        for stage in schedule(self.cell):
            together: dict[tuple[Node, ...], list[Product]] = {}
            for product in stage.products:  # what goes into the same gates is added before they are parted
                together.setdefault(product.maps, []).append(product)
            self.stages.append((together, stage.pointwise))

    def rows(self, product: Product, weights: Mapping[str, Tensor]) -> Rows:
        """What a product multiplies with, and the bias that goes with it."""
        name, bias = product.weight, product.weight.replace("weight_", "bias_")
        homes = [dict(self.cell.linear[node].biases).get(bias) for node in product.maps]
        zeros = weights[name].new_zeros(self.hidden)  # for a gate without a bias among others that have one
        parts = [zeros if home is None else self._block(weights, bias, home) for home in homes]
        added = None if all(home is None for home in homes) else torch.cat(parts)
        if len(product.blocks) * self.hidden == len(weights[name]):
            return weights[name], added
        return torch.cat([self._block(weights, name, block) for block in product.blocks]), added

    def _block(self, weights: Mapping[str, Tensor], name: str, number: int) -> Tensor:
        return weights[name][number * self.hidden : (number + 1) * self.hidden]

    def forward(self, values: dict[Node, Any], rows: Mapping[Product, Rows], weights: Mapping[str, Tensor]) -> None:
        """Add the value of every node of a step to `values`, which has the leaves."""
        for together, pointwise in self.stages:
            for maps, products in together.items():
                total: Any = sum_of([F.linear(values[p.operand], *rows[p]) for p in products])
                for node, part in zip(maps, total.chunk(len(maps), -1), strict=True):
                    values[node] = values[node] + part if node in values else part
            for node in pointwise:
                if node.op == "diagonal":
                    values[node] = weights[self.cell.vectors[node]] * values[node.args[0]]
                elif node.op != "linear":
                    values[node] = (_PYTHON.get(node.op) or TORCH[node.op])(*(values[arg] for arg in node.args))


def sum_of(parts: list[Tensor]) -> Tensor:
    """The sum, without a zero to begin with."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def over(step: Step, inputs: Mapping[str, Tensor]) -> Tensor:
    """The outputs (T, B, H) of a step over inputs (T, B, width), from zero states."""
    cell, x = step.cell, inputs[step.cell.inputs[0]]
    drawn = {name: mask.to(x.dtype) for name, mask in draw(PLAN, cell, x, step.hidden).items()}
    drawn |= structure.below(cell, (), x, step.hidden)
    weights = drop_weights(cell, structure.whole(cell, dict(step.named_parameters()), step.hidden))
    rows = {p: step.rows(p, weights) for together, _ in step.stages for ps in together.values() for p in ps}
    unbound = {name: value.unbind(0) for name, value in (inputs | drawn).items()}
    leaves = [node for node in cell.nodes if not node.args]
    states = {name: x.new_zeros(x.shape[1], step.hidden) for name in cell.states}
    outputs = []
    for t in range(x.shape[0]):
        values: dict[Node, Any] = {}
        for node in leaves:
            match node.op:
                case "state":
                    values[node] = states[node.name]
                case "number":
                    values[node] = node.value
                case "parameter":
                    values[node] = weights[node.name]
                case "time":
                    values[node] = t
                case _:
                    steps = unbound[node.name]
                    values[node] = steps[t if len(steps) > 1 else 0]
        step(values, rows, weights)
        states = {name: values[node] for name, node in cell.outputs.items()}
        outputs.append(states[cell.states[0]])
    return torch.stack(outputs)


def _ready(cell: Cell, shape: Shape, module: Callable[[celda.Recurrent], nn.Module], run: Callable) -> Ready:
    """Training of `run(module, inputs)`; further inputs are one a step and as wide as the first."""
    first, *further = cell.inputs
    sizes = dict.fromkeys(cell.inputs, shape.width) if further else shape.width
    layer = seeded(lambda _, hidden: celda.Recurrent(cell, sizes, hidden), shape)
    g = torch.Generator().manual_seed(2)
    given = {name: torch.randn(shape.steps, shape.batch, shape.width, generator=g) for name in further}
    trained = module(layer)

    def seeded_run(x: Tensor) -> Tensor:
        if cell.masks or cell.weight_drop:
            torch.default_generator.manual_seed(0)
        return run(trained, {first: x} | given)  # type: ignore[no-any-return]

    return training(trained, seeded_run, shape)


def train(cell: Cell) -> Callable[[Shape], Ready]:
    """Training of Celda's layer."""

    def run(layer: celda.Recurrent, inputs: Mapping[str, Tensor]) -> Tensor:
        first, *further = inputs
        return layer(inputs[first], **{name: inputs[name] for name in further})[0]  # type: ignore[no-any-return]

    return lambda shape: _ready(cell, shape, lambda layer: layer, run)


def train_loop(cell: Cell) -> Callable[[Shape], Ready]:
    """Training of the loop."""
    return lambda shape: _ready(cell, shape, Step, over)
