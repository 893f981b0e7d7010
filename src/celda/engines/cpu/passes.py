"""The two passes over a sequence: what is around a launch of the forward kernel, and around those of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import pool
from celda.engines.cpu.kernel import Shape
from celda.engines.cpu.kernels import backward_kernel, backward_program, forward_kernel, forward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.prepare import Jobs
from celda.engines.cpu.program import BackwardProgram, ForwardProgram
from celda.engines.cpu.shield import shielded
from celda.engines.cpu.sums import WeightGradients, bias_gradients, hoisted
from celda.engines.operations import TORCH
from celda.language.expression import Node

HOIST = 4, 24  # with fewer sequences than this, the products with the input are done for all steps at once: the first
LARGE = (
    2**19
)  # where they have at most so many weights, in bytes, and the second where they have more than a cache holds
FEWEST = (
    1024  # rows a launch of the sweep takes: with fewer, the gradients of the weights are read and written too often
)
CHUNK = 2**22  # bytes of adjoints a launch of the sweep makes: they are still in the cache when they are multiplied


@dataclass
class Passed:
    """What a forward pass leaves for the sweep: buffers by row, and how they are laid out."""

    program: ForwardProgram
    layout: Layout
    shape: Shape
    given: list[Tensor]
    states: tuple[Tensor, ...]  # initial ones, in the order of the layout
    output: Tensor  # (rows, H)
    final: tuple[Tensor, ...]
    around: Tensor | None  # the output and the initial state together, when training
    record: pool.Lease  # (rows, recorded values, padded)
    operands: list[pool.Lease]

    def shown(self, node: Node) -> Tensor:
        """A recorded value, (T, B, H)."""
        return self.layout.spread(self._recorded(node)).clone()

    def _recorded(self, node: Node) -> Tensor:
        return self.record.tensor[:, self.program.record.index(node), : self.layout.hidden]

    def before(self, state: str) -> Tensor:
        """The old values of a state, for all rows."""
        place = self.program.cell.states.index(state)
        if place == 0 and self.around is not None:
            return self.layout.before(self.around)
        around, rows = self.layout.around(self.states[place])
        rows.copy_(self._recorded(self.program.cell.outputs[state]))
        return self.layout.before(around)


@lru_cache(maxsize=1024)
def _offsets(sizes: tuple[tuple[str, int], ...]) -> tuple[dict[str, int], int]:
    """Where each buffer begins, and how much all of them take; in elements.

    They lie end to end, so that several may be viewed as one; as each holds whole vectors, each begins on one.
    """
    begin, total = {}, 0
    for name, size in sizes:
        begin[name] = total
        total += size
    return begin, total


class Workspace:
    """The buffers of one launch side by side in one piece of memory, and the jobs that fill them."""

    def __init__(self, layout: Layout, shape: Shape, dtype: torch.dtype, sizes: dict[str, int]) -> None:
        self._begin, total = _offsets(tuple(sizes.items()))
        self._lease = pool.lease((total,), dtype)
        base = self._lease.tensor.data_ptr()
        self.address = {name: base + begin * dtype.itemsize for name, begin in self._begin.items()}
        self.jobs = Jobs(shape, layout.hidden, layout.padded)
        self._layout, self._dtype = layout, dtype

    def take(self, program: ForwardProgram, plan: LaunchPlan, weights: Mapping[str, Tensor]) -> None:
        """Jobs that lay out the weights of a forward kernel."""
        bias = self.address["bias"]
        for name in program.cell_vectors:
            self.jobs.rows(self.address[f"vector_{name}"], weights[name], 1)
        for name, weight, blocks, units in plan.panels:
            self.jobs.forward_panel(self.address[name], weights[weight], blocks, units)
        self.jobs.rows(bias, None, len(program.maps))
        for name, block, m, count in program.bias_runs:
            if name in weights:
                array, place = weights[name], m * self._layout.padded * self._dtype.itemsize
                self.jobs.rows(bias + place, array, count, block * self._layout.hidden, add=True)

    def view(self, name: str, *shape: int) -> Tensor:
        """What begins at a buffer as a tensor, which may be looked at for as long as this object lives."""
        begin = self._begin[name]
        return self._lease.tensor[begin : begin + prod(shape)].view(shape)


@dataclass(frozen=True, eq=False)
class LaunchPlan:
    """What of a launch is the same for all calls of the same sizes."""

    sizes: dict[str, int]  # of the workspace
    panels: tuple[tuple[str, str, tuple[int, ...], int], ...]  # name, array, its blocks, unit blocks a tile takes


@lru_cache(maxsize=1024)
def forward_plan(
    program: ForwardProgram, shape: Shape, b: int, h: int, p: int, widths: tuple[int, ...], hoist: bool
) -> LaunchPlan:
    """The buffers of a forward kernel; `widths` are those of what the program is given."""
    sizes = {f"state_{state}": 2 * b * p for state in program.cell.states}
    sizes |= {"bias": len(program.maps) * p, "scratch": b * len(program.crossing) * p}
    sizes |= {f"vector_{name}": p for name in program.cell_vectors}
    panels = []
    for s, stage in enumerate(program.stages):
        for k, q in enumerate(stage.products):
            if not (hoist and program.is_hoisted(q)):
                depth = widths[program.given.index(q.operand)] if q.operand in program.given else h
                panels.append((f"panel_{s}_{k}", q.weight, q.blocks, shape.units(len(stage.maps))))
                sizes[panels[-1][0]] = p * len(q.blocks) * depth
    return LaunchPlan(sizes, tuple(panels))


@lru_cache(maxsize=1024)
def _sweep_plan(back: BackwardProgram, shape: Shape, b: int, h: int, p: int, slots: int) -> LaunchPlan:
    sizes = {f"{what}_{state}": b * p for what in ("carried", "first") for state in back.cell.states}
    sizes |= {"sums": slots * (len(back.maps) + len(back.vectors)) * p, "scratch": b * len(back.crossing) * p}
    sizes |= {f"vector_{name}": p for name in back.vectors}
    panels = []
    for k, products in enumerate(back.products):
        for q, product in enumerate(products):
            terms = back.terms(product)
            blocks = tuple(term.block for term in terms)
            panels.append((f"panel_{k}_{q}", terms[0].weight, blocks, shape.units(len(products))))
            sizes[panels[-1][0]] = len(blocks) * h * p
    return LaunchPlan(sizes, tuple(panels))


@shielded
def forward(call: Call, training: bool, lease: Callable[..., pool.Lease] | None = None) -> Passed:
    """Run the forward kernel; when training, keep what the sweep will read.

    With a `lease` of the caller's own, that is in the buffers it gives, and the output lies alone.
    """
    cell, shape, dtype = call.cell, shape_of(call.states[0].dtype, call.states[0].shape[1]), call.states[0].dtype
    layout = Layout.of(call, shape.lanes)
    program = forward_program(cell, tuple(cell.named[name] for name in call.keep), training)
    states = layout.initial(call.states)
    given = [layout.gather(evaluate(node, call)) for node in program.given]
    n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
    large = program.ahead * h * max((g.shape[1] for g in given), default=0) * dtype.itemsize > LARGE
    new, hoist = call.states[0].new_empty, program.ahead > 0 and b < HOIST[large]
    compiled = forward_kernel(cell, shape, program.record, hoist, layout.carry is not None)
    plan = forward_plan(program, shape, b, h, p, tuple(g.shape[1] for g in given), hoist)
    space = Workspace(layout, shape, dtype, plan.sizes)
    jobs, values = space.jobs, dict.fromkeys(compiled.arguments.panels, 0)  # hoisted products need none
    values |= layout.numbers() | space.address
    for state, first in zip(cell.states, states, strict=True):
        address = space.address[f"state_{state}"]
        for turn in range(1 if layout.order is None else 2):
            jobs.rows(address + turn * b * p * dtype.itemsize, first, b)
    space.take(program, plan, call.weights)
    around, output = layout.around(states[0]) if training and lease is None else (None, new(n, h))
    lease = lease or pool.lease
    record = lease((n, len(program.record), p), dtype)
    operands = [lease((n if training else b, p), dtype) for _ in program.operands]
    ahead = hoisted(program, given, call.weights, layout) if hoist else None
    values |= {f"operand_{k}": operand.tensor.data_ptr() for k, operand in enumerate(operands)}
    for k, value in enumerate(given):
        moves = int(value.shape[0] == n)
        values |= {f"given_{k}": value.data_ptr(), f"given_{k}_stride": value.shape[1], f"given_{k}_moves": moves}
    values |= {"operand_moves": int(training), "output": output.data_ptr(), "record": record.tensor.data_ptr()}
    values["hoisted"] = 0 if ahead is None else ahead.data_ptr()
    values |= jobs.arguments()
    compiled.launch(values, layout, maps * h * (h + sum(g.shape[1] for g in given)), 0, layout.steps)
    final = layout.final(space.view(f"state_{cell.states[0]}", len(cell.states), 2, b, p))
    return Passed(program, layout, shape, given, states, output, final, around, record, operands)


@dataclass(frozen=True)
class Wanted:
    """Of what a gradient is asked for: inputs and weights by name."""

    inputs: frozenset[str]
    weights: frozenset[str]


@shielded
def sweep(
    passed: Passed, call: Call, d_output: Tensor | None, d_final: tuple[Tensor | None, ...], wanted: Wanted
) -> tuple[list[Tensor | None], tuple[Tensor, ...], dict[str, Tensor]]:
    """Run the backward kernel: the gradients of what was given (rows), of the initial states, and of the weights."""
    program, layout, shape, cell = passed.program, passed.layout, passed.shape, call.cell
    back, dtype = backward_program(cell), passed.output.dtype
    n, b, h, p, maps = layout.rows, layout.batch, layout.hidden, layout.padded, len(program.maps)
    compiled = backward_kernel(cell, shape, program.record, layout.carry is not None)
    slots, lines = torch.get_num_threads(), maps + len(back.vectors)
    plan = _sweep_plan(back, shape, b, h, p, slots)
    space = Workspace(layout, shape, dtype, plan.sizes)
    jobs = space.jobs
    for state, d, first in zip(cell.states, layout.sorted(d_final), passed.states, strict=True):
        jobs.rows(space.address[f"carried_{state}"], d, b)
        jobs.rows(space.address[f"first_{state}"], first, b)
    jobs.rows(space.address["sums"], None, slots * lines)
    for name in program.cell_vectors:
        jobs.rows(space.address[f"vector_{name}"], call.weights[name], 1)
    for name, weight, blocks, units in plan.panels:
        jobs.backward_panel(space.address[name], call.weights[weight], blocks, units)
    upstream = passed.output.new_zeros(n, h) if d_output is None else layout.gather(d_output)
    values = layout.numbers() | space.address | jobs.arguments()
    values |= {"upstream": upstream.data_ptr(), "output": passed.output.data_ptr()}
    values["record"] = passed.record.tensor.data_ptr()
    into = frozenset(k for k, node in enumerate(program.given) if wanted.inputs & _read(node))
    operands = [lease.tensor for lease in passed.operands]
    gradients = WeightGradients(
        program, layout, call.weights, passed.given, operands, passed.before, wanted.weights, into
    )
    spans = layout.spans(max(CHUNK // (maps * h * dtype.itemsize), FEWEST))
    adjoint = pool.lease((max((e - s for _, _, s, e in spans), default=0) + b, maps * h), dtype)
    for span in _windows(spans, layout, adjoint.tensor):
        compiled.launch(values | span.numbers, layout, maps * h * h, *span.steps)
        values["job_count"] = 0
        gradients.add(span.adjoint, span.rows)
    d_given, d_weights = gradients.result()
    total = space.view("sums", slots, lines, p).sum(0)[:, :h]
    d_weights |= bias_gradients(program, call.weights, total)
    d_weights |= {name: total[maps + k] for k, name in enumerate(back.vectors)}
    d_states = layout.d_initial(space.view(f"carried_{cell.states[0]}", len(cell.states), b, p))
    return d_given, d_states, d_weights


@dataclass(frozen=True)
class _Span:
    """One launch of the sweep: its steps and rows, where their adjoints go, and what the kernel is told."""

    steps: tuple[int, int]
    rows: slice
    adjoint: Tensor  # (rows, maps * H)
    numbers: dict[str, int]


def _windows(spans: list[tuple[int, int, int, int]], layout: Layout, buffer: Tensor) -> Iterator[_Span]:
    """Place each span's adjoints in the buffer, beside those of the step that was swept before them.

    Rows are numbered through the whole sequence, and so the kernel is given the address where row 0 would be.
    """
    size, n_after = buffer.shape[1] * buffer.element_size(), 0
    edge = buffer[:0]  # the adjoints of the step after the span
    for last, count, begin, end in spans:
        rows = end - begin
        if layout.reverse:  # the step after lies before in memory
            place, after, base_after = n_after, buffer[:n_after], begin - n_after
        else:
            place, after, base_after = 0, buffer[rows : rows + n_after], end
        after.copy_(edge)
        window = buffer[place : place + rows]
        address = buffer.data_ptr() + (place - begin) * size  # a window without rows has no address of its own
        numbers = {"last": last, "count": count, "n_after": n_after, "base_after": base_after, "adjoint": address}
        yield _Span((last - count + 1, last + 1), slice(begin, end), window, numbers)
        step = layout.first + (last - count + 1) * layout.direction
        n_after = layout.begin(step + 1) - layout.begin(step)
        edge = window[rows - n_after :] if layout.reverse else window[:n_after]


def _read(node: Node) -> frozenset[str]:
    """The inputs an expression reads."""
    return frozenset([node.name]) if node.op == "input" else frozenset().union(*map(_read, node.args))


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


@shielded
def through(call: Call, passed: Passed, d_given: list[Tensor | None]) -> dict[str, Tensor]:
    """From the gradients of what the kernel was given (rows of expressions of inputs) to those of the inputs."""
    layout, found = passed.layout, {}
    rest: list[tuple[Node, Tensor]] = []
    for node, d in zip(passed.program.given, d_given, strict=True):
        if d is None:
            continue
        if node.op == "input" and d.shape[0] == layout.rows and call.inputs[node.name].shape[0] == layout.steps:
            found[node.name] = layout.spread(d)
        else:
            rest.append((node, d))
    if rest:
        with torch.enable_grad():
            leaves = {name: value.detach().requires_grad_() for name, value in call.inputs.items()}
            again = Call(call.cell, leaves, call.states, call.weights, start=call.start)
            values = [layout.gather(evaluate(node, again)) for node, _ in rest]
        parts = torch.autograd.grad(values, list(leaves.values()), [d for _, d in rest], allow_unused=True)
        for name, part in zip(leaves, parts, strict=True):
            if part is not None:
                found[name] = found[name] + part if name in found else part
    return found
