"""A call on the CPU engine: the kernels around which torch packs, and sums the gradients of the weights."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from celda.engines.call import Call, Result
from celda.engines.cpu import jit, machine
from celda.engines.cpu.backward import BackwardKernel
from celda.engines.cpu.forward import ForwardKernel
from celda.engines.cpu.kernel import Shape
from celda.engines.cpu.pack import backward_panel, forward_panel, padded_vector
from celda.engines.cpu.program import BackwardProgram, ForwardProgram
from celda.engines.reference.operations import TORCH
from celda.language import Cell
from celda.language.expression import Node

_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def shape_for(dtype: torch.dtype) -> Shape:
    name = "float64" if dtype == torch.float64 else "float32"
    host = machine.host()
    return Shape(name, host.vector_bytes // (8 if name == "float64" else 4), host.registers)


@lru_cache(maxsize=None)
def backward_program(cell: Cell) -> BackwardProgram:
    return BackwardProgram(cell)


@lru_cache(maxsize=None)
def forward_program(cell: Cell, record: tuple[Node, ...]) -> ForwardProgram:
    return ForwardProgram(cell, record)


@dataclass
class Compiled:
    arguments: Any
    function: Any
    code: Any


@lru_cache(maxsize=None)
def forward_kernel(cell: Cell, shape: Shape, record: tuple[Node, ...], in_place: int, hoist: bool, resets: bool) -> Compiled:
    kernel = ForwardKernel(forward_program(cell, record), shape, hoist=hoist, resets=resets, in_place=in_place)
    code = jit.compile(kernel.module(), ["kernel"])
    return Compiled(kernel.arguments, _KERNEL(code.address("kernel")), code)


@lru_cache(maxsize=None)
def backward_kernel(cell: Cell, shape: Shape, in_place: int, resets: bool) -> Compiled:
    kernel = BackwardKernel(backward_program(cell), shape, resets=resets, in_place=in_place)
    code = jit.compile(kernel.module(), ["kernel"])
    return Compiled(kernel.arguments, _KERNEL(code.address("kernel")), code)


@dataclass
class Layout:
    """Rows of all steps end to end, the longest sequences first."""

    steps: int
    batch: int
    hidden: int
    padded: int
    rows: int
    offset: Tensor  # (T + 1,) int64
    active: Tensor  # (T,) int64
    reverse: bool
    time: int
    carry: Tensor | None  # (T + 1, B)
    ragged: bool

    @property
    def first(self) -> int:
        return self.steps - 1 if self.reverse else 0

    @property
    def direction(self) -> int:
        return -1 if self.reverse else 1

    def numbers(self) -> dict[str, int]:
        return {
            "steps": self.steps, "batch": self.batch, "hidden": self.hidden, "padded": self.padded, "first": self.first,
            "direction": self.direction, "time": self.time, "offset": self.offset.data_ptr(),
            "active": self.active.data_ptr(), "carry": 0 if self.carry is None else self.carry.data_ptr(),
        }  # fmt: skip


def launch(compiled: Compiled, values: dict[str, int], layout: Layout) -> None:
    """Run a kernel (one thread for now)."""
    bounds = torch.tensor([0, layout.batch])
    counter = torch.zeros(1, dtype=torch.int64)
    values |= {"by_rows": 1, "bounds": bounds.data_ptr(), "counter": counter.data_ptr()}
    block = compiled.arguments.pack(values)
    compiled.function(0, 1, ctypes.addressof(block))


class Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, cell, layout, names, keep, hoist, training, *tensors):
        shape = shape_for(tensors[0].dtype)
        back = backward_program(cell)
        record = back.record if training else tuple(cell.named[k] for k in keep)
        program = forward_program(cell, record)
        in_place = len(program.maps) if training and len(back.stages) == 1 else 0
        given = tensors[: len(program.given)]
        states = tensors[len(given) : len(given) + len(cell.states)]
        weights = dict(zip(names, tensors[len(given) + len(states) :], strict=True))
        n, b, h, p, m = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
        new = tensors[0].new_empty
        compiled = forward_kernel(cell, shape, record, in_place, hoist, layout.carry is not None)
        hold = []

        def address(t):
            hold.append(t)
            return t.data_ptr()

        values = layout.numbers()
        output = new(n, h)
        scratch = new(b, max(len(program.crossing), 1), p)
        a = new(n, m, p) if in_place else new(0)
        rest = len(record) - in_place
        e = new(n, rest, p) if rest > 0 else new(0)
        values |= {"output": address(output), "scratch": address(scratch), "record": address(a), "kept": address(e)}
        values["bias"] = address(_biases(cell, weights, h, p, tensors[0]))
        buffers = {}
        for s, value in zip(cell.states, states, strict=True):
            buffer = new(2, b, p).zero_() if p != h else new(2, b, p)
            buffer[:, :, :h] = value
            buffers[s] = buffer
            values[f"state_{s}"] = address(buffer)
        for name in program.cell_vectors:
            values[f"vector_{name}"] = address(padded_vector(weights[name], p))
        for k, g in enumerate(given):
            values |= {f"given_{k}": address(g), f"given_{k}_stride": g.shape[-1], f"given_{k}_moves": int(g.shape[0] == n)}
        operands = [new(n if training else b, p) for _ in program.operands]
        for k, o in enumerate(operands):
            values[f"operand_{k}"] = address(o)
        values["operand_moves"] = int(training)
        for s, stage in enumerate(program.stages):
            units = shape.units(len(stage.maps))
            for k, product in enumerate(stage.products):
                if hoist and product.hoisted:
                    values[f"panel_{s}_{k}"] = 0
                    continue
                blocks = weights[product.weight].split(h)
                panel = forward_panel([blocks[i] for i in product.blocks], shape.lanes, p, units)
                values[f"panel_{s}_{k}"] = address(panel)
        values["hoisted"] = address(_hoist(program, given, weights, layout)) if hoist else 0
        launch(compiled, values, layout)
        final = []
        for s in cell.states:
            buffer = buffers[s]
            if layout.ragged and not layout.reverse:
                length = (layout.active.unsqueeze(1) > torch.arange(b)).sum(0) % 2
                value = buffer[length, torch.arange(b), :h]
            else:
                value = buffer[layout.steps % 2, :, :h]
            final.append(value.clone())
        if training:
            ctx.save_for_backward(*tensors, output)
            ctx.rest = (cell, layout, names, shape, in_place, a, e, operands)
            ctx.given = len(given)
            return output, *final
        kept = e.view(n, rest, p) if rest > 0 else None
        return output, *final, *(kept[:, k, :h].contiguous() for k in range(rest))

    @staticmethod
    def backward(ctx, d_output, *d_final):
        cell, layout, names, shape, in_place, a, e, operands = ctx.rest
        *tensors, output = ctx.saved_tensors
        back = backward_program(cell)
        program = forward_program(cell, back.record)
        given, states = tensors[: ctx.given], tensors[ctx.given : ctx.given + len(cell.states)]
        weights = dict(zip(names, tensors[ctx.given + len(cell.states) :], strict=True))
        n, b, h, p, m = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
        new = output.new_empty
        compiled = backward_kernel(cell, shape, in_place, layout.carry is not None)
        kernel_targets = tuple(s for s in cell.states if back.carry[s])
        hold = []

        def address(t):
            hold.append(t)
            return t.data_ptr()

        values = layout.numbers()
        upstream = output.new_zeros(n, h) if d_output is None else d_output.contiguous()
        adjoint = a if in_place else new(n, m, p)
        scratch = new(b, max(len(back.crossing), 1), p)
        values |= {"output": address(output), "upstream": address(upstream), "scratch": address(scratch)}
        values |= {"record": address(a), "kept": address(e), "adjoint": address(adjoint)}
        carried = {}
        for s, d, first in zip(cell.states, d_final, states, strict=True):
            buffer = output.new_zeros(b, p)
            if d is not None:
                buffer[:, :h] = d
            carried[s] = buffer
            start = output.new_zeros(b, p)
            start[:, :h] = first
            values |= {f"carried_{s}": address(buffer), f"first_{s}": address(start)}
        d_vectors = {}
        for name in program.cell_vectors:
            d_vectors[name] = output.new_zeros(8, p)
            values[f"vector_{name}"] = address(padded_vector(weights[name], p))
            values[f"gradient_{name}"] = address(d_vectors[name])
        put_off = tuple(t for s in kernel_targets for t in back.carry[s])
        for k, products in enumerate([put_off, *(stage.products for stage in back.stages[1:])]):
            units = shape.units(max(len(products), 1))
            for q, product in enumerate(products):
                for i, term in enumerate(back.terms(product)):
                    block = weights[term.weight].split(h)[term.block]
                    values[f"panel_{k}_{q}_{i}"] = address(backward_panel(block, shape.lanes, p, units))
        launch(compiled, values, layout)
        d_given, d_weights = _gradients(program, weights, given, states, operands, output, adjoint, layout)
        for name, value in d_vectors.items():
            d_weights[name] = value.sum(0)[:h]
        d_states = [carried[s][:, :h] for s in cell.states]
        return (None,) * 6 + (*d_given, *d_states, *(d_weights.get(name) for name in names))


def _biases(cell: Cell, weights: dict[str, Tensor], h: int, p: int, like: Tensor) -> Tensor:
    """The summed bias of each linear map, (maps, padded)."""
    total = like.new_zeros(len(cell.linear), p)
    for k, linear in enumerate(cell.linear.values()):
        for name, block in linear.biases:
            if name in weights:
                total[k, :h] += weights[name][block * h : (block + 1) * h]
    return total


def _hoist(program: ForwardProgram, given, weights: dict[str, Tensor], layout: Layout) -> Tensor:
    """The products with what is given, for all steps at once: (rows, maps, padded)."""
    h, p = layout.hidden, layout.padded
    total = given[0].new_zeros(layout.rows, len(program.maps), p)
    for stage in program.stages:
        for product in (q for q in stage.products if q.hoisted):
            operand = given[program.given.index(product.operand)]
            for block, m in zip(product.blocks, product.maps, strict=True):
                part = operand @ weights[product.weight][block * h : (block + 1) * h].t()
                part = part if part.shape[0] == layout.rows else part.repeat(layout.rows // part.shape[0], 1)
                total[:, program.maps.index(m), :h] += part
    return total


def _gradients(program, weights, given, states, operands, output, adjoint, layout):
    """Of the weights and of what is given, from the adjoints of the linear maps (rows, maps, padded)."""
    cell, h, b = program.cell, layout.hidden, layout.batch
    d_given = [torch.zeros_like(g) for g in given]
    d_weights = {name: torch.zeros_like(w) for name, w in weights.items()}
    for k, linear in enumerate(cell.linear.values()):
        if any(name in weights for name, _ in linear.biases):
            total = adjoint[:, k, :h].sum(0)
            for name, block in linear.biases:
                d_weights[name][block * h : (block + 1) * h] += total
    for stage in program.stages:
        for product in stage.products:
            for block, m in zip(product.blocks, product.maps, strict=True):
                g = adjoint[:, program.maps.index(m), :h]
                d = d_weights[product.weight][block * h : (block + 1) * h]
                if product.operand in program.given:
                    i = program.given.index(product.operand)
                    w = weights[product.weight][block * h : (block + 1) * h]
                    if given[i].shape[0] == layout.rows:
                        d += g.t() @ given[i]
                        d_given[i] += g @ w
                    else:
                        g = g.reshape(layout.steps, b, h).sum(0)
                        d += g.t() @ given[i]
                        d_given[i] += g @ w
                elif product.operand.op == "state":
                    d += g.t() @ _before(product.operand.name, cell, states, output, layout)
                else:
                    d += g.t() @ operands[program.operands.index(product.operand)][:, :h]
    return d_given, d_weights


def _before(name: str, cell: Cell, states, output: Tensor, layout: Layout) -> Tensor:
    first = states[cell.states.index(name)]
    assert name == cell.states[0]
    b = layout.batch
    if not layout.ragged and layout.carry is None:
        return torch.cat([output[b:], first] if layout.reverse else [first, output[:-b]])
    table = torch.cat([output, first])
    index, factor = [], []
    for s in range(layout.steps):
        t = layout.first + s * layout.direction
        n = int(layout.active[t])
        rows = torch.arange(n)
        before = 0 if s == 0 else int(layout.active[t - layout.direction])
        at = torch.where(rows < before, (int(layout.offset[t - layout.direction]) if s else 0) + rows, layout.rows + rows)
        index.append((t, at))
        if layout.carry is not None:
            factor.append((t, torch.where(rows < before, layout.carry[s, :n], torch.ones(n, dtype=output.dtype))))
    rows = table[torch.cat([i for _, i in sorted(index, key=lambda x: x[0])])]
    if factor:
        rows = rows * torch.cat([f for _, f in sorted(factor, key=lambda x: x[0])]).unsqueeze(1)
    return rows


def run(call: Call) -> Result:
    """The outputs and states of `call`."""
    cell, x = call.cell, call.inputs[call.cell.inputs[0]]
    steps, batch = x.shape[:2]
    hidden = call.states[0].shape[-1]
    shape = shape_for(x.dtype)
    padded = -(-hidden // shape.lanes) * shape.lanes
    states, lengths, resets = call.states, call.lengths, call.resets
    order = None
    if lengths is not None:
        lengths, order = torch.sort(lengths, descending=True, stable=True)
        active = (lengths.unsqueeze(0) > torch.arange(steps).unsqueeze(1)).sum(1)
        states = tuple(s[order] for s in states)
        resets = None if resets is None else resets[:, order]
    else:
        active = torch.full((steps,), batch)
    offset = torch.cat([torch.zeros(1, dtype=torch.int64), active.cumsum(0)])
    carry = None
    if resets is not None:
        first = resets[0] if not call.reverse else torch.zeros_like(resets[0])
        states = tuple(torch.where(first.unsqueeze(1), torch.zeros_like(s), s) for s in states)
        carry = torch.ones(steps + 1, batch, dtype=x.dtype)
        inner = resets[1:].to(x.dtype)
        carry[1:steps] = 1 - (inner.flip(0) if call.reverse else inner)
    layout = Layout(steps, batch, hidden, padded, int(offset[-1]), offset, active, call.reverse, call.start, carry, order is not None)
    rows = None
    if order is not None:
        rows = torch.cat([t * batch + order[: int(n)] for t, n in enumerate(active)])
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (*call.inputs.values(), *states, *call.weights.values()))
    back = backward_program(cell)
    program = forward_program(cell, back.record if training else tuple(cell.named[k] for k in call.keep))
    given = []
    for node in program.given:
        value = _evaluate(node, call)
        if value.shape[0] == steps and (steps > 1 or call.inputs[cell.inputs[0]].shape[0] == value.shape[0]):
            value = value.reshape(steps * batch, -1)
            value = value if rows is None else value[rows]
        else:
            value = value[0] if order is None else value[0][torch.cat([order[: int(n)] for n in active])]
        given.append(value.contiguous())
    hoist = batch < 4
    names = tuple(call.weights)
    result = Fused.apply(cell, layout, names, call.keep, hoist, training, *given, *states, *call.weights.values())
    output, *rest = result
    final, kept = rest[: len(states)], rest[len(states) :]

    def spread(value: Tensor) -> Tensor:
        if rows is None:
            return value.view(steps, batch, -1)
        return value.new_zeros(steps * batch, value.shape[-1]).index_copy(0, rows, value).view(steps, batch, -1)

    if order is not None:
        back_order = torch.argsort(order)
        final = [f[back_order] for f in final]
    return Result(spread(output), tuple(final), {k: spread(v) for k, v in zip(call.keep, kept, strict=False)})


def _evaluate(node: Node, call: Call) -> Tensor:
    """An input, or a point-wise expression of one."""
    if node.op == "input":
        return call.inputs[node.name]
    if node.op == "number":
        return torch.full((), node.value, dtype=call.states[0].dtype)
    if node.op == "time":
        steps = call.inputs[call.cell.inputs[0]].shape[0]
        return torch.arange(call.start, call.start + steps).to(call.states[0].dtype).view(steps, 1, 1)
    return TORCH[node.op](*(_evaluate(a, call) for a in node.args))
