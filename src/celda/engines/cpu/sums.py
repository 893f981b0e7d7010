"""What torch's large products do around the kernels: biases, hoisted products, the gradients of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from celda.engines.cpu.layout import Layout
from celda.engines.cpu.program import ForwardProgram
from celda.language.schedule import Product


def biases(program: ForwardProgram, weights: dict[str, Tensor], layout: Layout) -> Tensor:
    """The summed biases of each linear map, (maps, padded)."""
    h = layout.hidden
    total = next(iter(weights.values())).new_zeros(len(program.maps), layout.padded)
    for k, linear in enumerate(program.cell.linear.values()):
        for name, block in linear.biases:
            if name in weights:
                total[k, :h] += weights[name][block * h : (block + 1) * h]
    return total


def runs(program: ForwardProgram, product: Product) -> Iterator[tuple[int, int, int]]:
    """The blocks of a product as (first block, first map, how many) wherever both go on together."""
    pairs = [(block, program.maps.index(m)) for block, m in zip(product.blocks, product.maps, strict=True)]
    start = 0
    for k in range(1, len(pairs) + 1):
        if k == len(pairs) or (pairs[k][0] - pairs[k - 1][0], pairs[k][1] - pairs[k - 1][1]) != (1, 1):
            yield (*pairs[start], k - start)
            start = k


def hoisted(program: ForwardProgram, given: Sequence[Tensor], weights: dict[str, Tensor], layout: Layout) -> Tensor:
    """The products with what is given, for all steps at once: (rows, maps, padded)."""
    n, h = layout.rows, layout.hidden
    total = given[0].new_zeros(n, len(program.maps), layout.padded)
    for product in (q for stage in program.stages for q in stage.products if q.hoisted):
        operand, matrix = given[program.given.index(product.operand)], weights[product.weight]
        for block, m, count in runs(program, product):
            part = (operand @ matrix[block * h : (block + count) * h].t()).view(operand.shape[0], count, h)
            if operand.shape[0] != n:
                part = part.repeat(layout.steps, 1, 1)
            total[:, m : m + count, :h] += part
    return total


def weight_gradients(
    program: ForwardProgram,
    layout: Layout,
    weights: dict[str, Tensor],
    given: Sequence[Tensor],
    operands: Sequence[Tensor],
    before: Callable[[str], Tensor],
    adjoint: Tensor,
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The gradients of what is given and of matrices and biases, from the adjoints of the linear maps (rows, maps, padded).

    `before(state)` gives the old values of a state for all rows.
    """
    h, n, p, cell = layout.hidden, layout.rows, layout.padded, program.cell
    d_given = [torch.zeros_like(g) for g in given]
    d_weights = {name: torch.zeros_like(weights[name]) for name in weights}
    flat = adjoint.view(n, -1)
    if any(name.startswith("bias_") for name in weights):
        total = flat.sum(0).view(-1, p)[:, :h]
        for k, linear in enumerate(cell.linear.values()):
            for name, block in linear.biases:
                d_weights[name][block * h : (block + 1) * h] += total[k]
    for product in (q for stage in program.stages for q in stage.products):
        operand = _operand(program, product, layout, given, operands, before)
        for block, m, count in runs(program, product):
            g = flat[:, m * p : (m + count) * p]
            if operand.shape[0] != n:  # constant over time
                g = g.reshape(layout.steps, layout.batch, -1).sum(0)
            rows = slice(block * h, (block + count) * h)
            matrix = (g.t() @ operand).view(count, p, -1)[:, :h]
            d_weights[product.weight][rows] += matrix.reshape(count * h, -1)
            if product.operand in program.given:
                if p != h:
                    g = g.unflatten(1, (count, p))[:, :, :h].flatten(1)
                d_given[program.given.index(product.operand)] += g @ weights[product.weight][rows]
    return d_given, d_weights


def _operand(
    program: ForwardProgram,
    product: Product,
    layout: Layout,
    given: Sequence[Tensor],
    operands: Sequence[Tensor],
    before: Callable[[str], Tensor],
) -> Tensor:
    """What a product multiplied, for all rows."""
    node = product.operand
    if node in program.given:
        return given[program.given.index(node)]
    if node in program.operands:
        return operands[program.operands.index(node)][:, : layout.hidden]
    return before(node.name)
