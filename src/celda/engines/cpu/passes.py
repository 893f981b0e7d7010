"""The two passes over a sequence: what is around a launch of the forward kernel, and around those of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import pool
from celda.engines.cpu.backward import SPAN
from celda.engines.cpu.given import by_unit, moving, multiplied, read, told
from celda.engines.cpu.given import given as of_call
from celda.engines.cpu.kernels import backward_program, forward_program, hoists, shape_for
from celda.engines.cpu.launches import BLOCK, Ready, forward_launches, sweep_launches
from celda.engines.cpu.layout import PLACES, Layout, plainly
from celda.engines.cpu.script import Tensors
from celda.engines.cpu.shield import shielded
from celda.engines.cpu.sums import Sums
from celda.engines.cpu.sweeps import sweep_script
from celda.engines.derivatives import Upstream
from celda.engines.program import ForwardProgram
from celda.errors import CeldaError
from celda.language.expression import Node


@dataclass
class Passed:
    """What a forward pass leaves for the sweep: buffers by row, or (T, B, H) as the caller has them; see `Layout`."""

    program: ForwardProgram
    layout: Layout
    given: list[Tensor]
    by_unit: list[Tensor]  # as the caller has them
    states: tuple[Tensor, ...]  # initial ones, in the order of the layout
    output: Tensor  # (T * B, H), as the caller has it
    final: tuple[Tensor, ...]
    around: Tensor | None  # the output and the caller's initial state together, when training
    record: pool.Lease  # (rows, recorded values, padded)
    operands: list[pool.Lease]

    def shown(self, node: Node) -> Tensor:
        """A recorded value, (T, B, H), in memory of its own."""
        return self.seen(node).clone()

    def seen(self, node: Node) -> Tensor:
        """A recorded value, (T, B, H), of a dense batch where it lies."""
        return self.layout.spread(self._recorded(node))

    def _recorded(self, node: Node) -> Tensor:
        return self.record.tensor[:, self.program.record.index(node), : self.layout.hidden]

    def before(self, state: Node) -> tuple[Tensor, str]:
        """The old values of a state, and the table of its rows; see `Layout.before`."""
        if state in self.program.record:
            return self._recorded(state), ""
        assert self.around is not None  # of the output they are kept there, when training
        return self.layout.before(self.around)


@shielded
def forward(call: Call, training: bool, lease: Callable[..., pool.Lease] | None = None) -> Passed:
    """Run the forward kernel; when training, keep what the sweep will read.

    With a `lease` of the caller's own, that is in the buffers it gives, and the output lies alone.
    """
    cell, like = call.cell, call.states[0]
    shape, dtype = shape_for(cell, like.dtype, like.shape[1], call.bfloat16), like.dtype
    layout = Layout.of(call, shape.lanes)
    program = forward_program(cell, tuple(cell.named[name] for name in call.keep), training)
    states = layout.initial(call.states)
    given, units = of_call(program, call, layout), by_unit(program, call)
    factors = multiplied(given, shape)
    n, b, h, p = layout.rows, layout.batch, layout.hidden, layout.padded
    widths, moves = tuple(g.shape[1] for g in given), tuple(g.shape[0] == n for g in given)
    hoist = hoists(program, b)
    ready = forward_launches(program, layout.kind, shape, widths, moves, hoist, tuple(call.weights), training)
    launch = ready.take()
    if training and lease is None:
        around, output = layout.around(call.states[0])
    else:
        around, output = None, pool.empty(like, layout.steps * b, h)
    lease = lease or pool.lease
    record = lease((n, len(program.record), p), dtype)
    operands = [lease((n if training else b, p), dtype) for _ in program.operands]
    ahead = pool.lease((n * len(program.maps) * p,), dtype) if hoist else None
    values = {f"operand_{k}": operand.tensor.data_ptr() for k, operand in enumerate(operands)}
    values |= {f"given_{k}": value.data_ptr() for k, value in enumerate(factors)} | told(units, layout)
    values |= {"output": output.data_ptr(), "record": record.tensor.data_ptr(), "time": call.start}
    values["hoisted"] = 0 if ahead is None else ahead.tensor.data_ptr()
    held = launch.tell(layout, values, {**call.weights, **_at_0(cell.states, states)})
    launch.run(layout)
    del held  # not before
    final = layout.final(launch.states, launch.final)
    ready.give_back(launch)
    return Passed(program, layout, given, units, states, output, final, around, record, operands)


def _at_0(names: tuple[str, ...], states: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The initial states as sources of jobs."""
    return {f"{name} at 0": state for name, state in zip(names, states, strict=True)}


@dataclass(frozen=True)
class Wanted:
    """Of what a gradient is asked for: inputs and weights by name, and whether of the initial states."""

    inputs: frozenset[str]
    weights: frozenset[str]
    states: bool


@shielded
def sweep(
    passed: Passed, call: Call, upstream: Upstream, wanted: Wanted
) -> tuple[list[Tensor | None], tuple[Tensor | None, ...], dict[str, Tensor]]:
    """Run the backward kernel: the gradients of what was given, as it was given if it is an input with the steps and
    otherwise by row, of the initial states, and of all else by name, weights and states (T, B, H) of the layer below.
    """
    _check_memory(passed.output)
    program, layout, cell, dtype = passed.program, passed.layout, call.cell, passed.output.dtype
    back, slots = backward_program(cell), torch.get_num_threads()
    shape = shape_for(cell, dtype, layout.hidden, call.bfloat16)
    maps = len(program.maps)
    pairs = maps * shape.terms(layout.padded) if shape.pairs else 0
    ready = sweep_launches(program, layout.kind, shape, slots, tuple(upstream.kept))
    launch = ready.take()
    d_rows = {f"upstream_{s}": plainly(d) for s, d in upstream.kept.items()}
    d_rows["upstream"] = torch.zeros_like(passed.output) if upstream.output is None else plainly(upstream.output)
    d_below = {name: layout.memory(passed.output, layout.hidden) for name in back.below}
    values = {"output": passed.output.data_ptr(), "time": call.start, **dict.fromkeys(SPAN, 0), "adjoint": 0}
    values |= {name: rows.data_ptr() for name, rows in d_rows.items()} | ({"pairs": 0} if shape.pairs else {})
    values |= {f"d_{name}": rows.data_ptr() for name, rows in d_below.items()}
    values |= {"record": passed.record.tensor.data_ptr(), **told(passed.by_unit, layout)}
    d_last = {f"d {state}": d for state, d in zip(cell.states, layout.sorted(upstream.final), strict=True)}
    held = launch.tell(layout, values, {**call.weights, **_at_0(cell.states, passed.states), **d_last})

    into = {k: "" for k, node in enumerate(program.given) if wanted.inputs & read(node)}
    if layout.ragged is not None:
        into |= {k: PLACES for k in into if moving(program.given[k], call, layout)}
    tensors = {f"given {k}": given for k, given in enumerate(passed.given)}
    tensors |= {f"operand {k}": lease.tensor for k, lease in enumerate(passed.operands)}
    sums = _sums(passed, call, ready, slots, tensors, wanted.weights, into, shape.pairs)
    swept = sweep_script(layout, launch, ready, sums, maps * layout.hidden, pairs, dtype)
    tensors |= {name: passed.before(node)[0] for name, node in sums.old.items()}
    tensors |= {f"weight {name}": plainly(call.weights[name]) for name in sums.matrices}
    tensors |= sums.memory(passed.output) | layout.tables
    d_given = [_like(g, layout, into[k]) if k in into else None for k, g in enumerate(passed.given)]
    tensors |= {f"d given {k}": d for k, d in enumerate(d_given) if d is not None}
    buffers = {"adjoint": pool.lease((swept.rows, maps * layout.hidden), dtype)}
    if pairs:
        buffers["pairs"] = pool.lease((swept.rows, pairs), dtype)
    tensors |= {name: buffer.tensor for name, buffer in buffers.items()} | {"lines": launch.sums}
    swept.script.run(tensors, {BLOCK: launch.address_of_block})
    del held  # not before

    d_weights = sums.found(tensors, call.weights)
    d_states = layout.d_initial(launch.states) if wanted.states else (None,) * len(cell.states)
    d_weights |= {name: layout.shown(d) for name, d in d_below.items()}
    ready.give_back(launch)
    return d_given, d_states, d_weights


def _check_memory(output: Tensor) -> None:
    """Its memory, which a caller may resize behind torch's back, is still there."""
    if output.untyped_storage().nbytes() < (output.storage_offset() + output.numel()) * output.itemsize:
        raise CeldaError("The storage of an output was resized, and the backward pass reads it: leave it until then.")


def _like(given: Tensor, layout: Layout, table: str) -> Tensor:
    """Memory for the gradient of what was given: as that is, or with a table of rows as the caller has it."""
    return layout.memory(given, given.shape[1]) if table else pool.empty(given, *given.shape)


def _sums(
    passed: Passed,
    call: Call,
    ready: Ready,
    slots: int,
    tensors: Tensors,
    wanted: frozenset[str],
    into: Mapping[int, str],
    pairs: bool,
) -> Sums:
    """How gradients are summed up; worked out once for layouts of a kind."""
    rows = passed.layout.rows
    key = wanted, tuple(into.items()), tuple((given.shape[1], given.shape[0] == rows) for given in passed.given)
    if (found := ready.sums.get(key)) is None:
        sizes = passed.program, passed.layout, passed.output.dtype, slots
        found = Sums(*sizes, call.weights, wanted, into, tensors, passed.before, pairs)
        ready.sums[key] = found
    return found
