"""A stack of layers one step at a time: the forward kernel with all bound that stays as it is.

Weights are packed once. Then a step costs a direct call a layer, to which only the addresses of the inputs and of the
output are new.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import threads
from celda.engines.cpu.kernels import FEW, forward_kernel, forward_program, shape_of
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.passes import Workspace, _forward_plan, evaluate
from celda.engines.cpu.shield import shielded

WORTH = 2**21  # multiply-adds a step and layer below which a second thread costs more than it brings


class Streaming:
    """The layers of a stack with their states; see `celda.engines.Stream`."""

    @shielded
    def __init__(self, calls: Sequence[Call]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # its buffers may be written to in any mode
            self._layers = [_Layer(call) for call in calls]
        self._below = [(layer, layer.output.data_ptr()) for layer in self._layers[:-1]]
        self._last, self._like = self._layers[-1], self._layers[-1].output
        self._size, self._turn = self._like.shape, 0

    def step(self, inputs: Sequence[Tensor], time: int) -> Tensor:
        """The output of the last layer, (B, H); the inputs of the cell are (B, width) and contiguous."""
        turn = self._turn
        for layer, output in self._below:
            layer.step(turn, inputs, time, output)
            inputs = [layer.output, *inputs[1:]]
        y = self._like.new_empty(self._size)
        self._last.step(turn, inputs, time, y.data_ptr())
        self._turn = 1 - turn
        return y

    @shielded
    def read(self) -> tuple[Tensor, ...]:
        """Copies of the states, one (layers, B, H) tensor each."""
        return tuple(torch.stack([layer.states[:, self._turn] for layer in self._layers], 1).unbind())

    @shielded
    @torch.no_grad()
    def write(self, states: Sequence[Tensor]) -> None:
        """Go on from these states."""
        for k, state in enumerate(states):
            for layer, value in zip(self._layers, state.unbind(), strict=True):
                layer.states[k, self._turn].copy_(value)


class _Layer:
    """One layer: its weights, packed, its states, and the arguments of its kernel in even steps and in odd ones.

    The kernel takes the two buffers of a state in turn, and begins with the first. An odd step is therefore run as the
    second of two, of which the first has no rows.
    """

    def __init__(self, call: Call) -> None:
        cell, like = call.cell, call.states[0]
        b, h = like.shape
        shape, self._program = shape_of(like.dtype, h), forward_program(cell, (), False)
        program, layout = self._program, Layout.of(call, shape.lanes)
        given = [layout.gather(evaluate(node, call)) for node in program.given]
        plan = _forward_plan(program, shape, b, h, layout.padded, tuple(g.shape[1] for g in given), False)
        compiled = forward_kernel(cell, shape, (), False, False)
        space = Workspace(layout, shape, like.dtype, plan.sizes)
        values = dict.fromkeys(compiled.arguments.names, 0) | layout.numbers() | space.address
        operands = like.new_zeros(len(program.operands), b, layout.padded)
        values |= {f"operand_{k}": operand.data_ptr() for k, operand in enumerate(operands)}
        values |= {f"given_{k}_stride": value.shape[1] for k, value in enumerate(given)}
        self._pack(call, layout, space, plan)
        compiled.launch(values | {"steps": 0} | space.jobs.arguments(), layout, 0, 0, 1)
        products = len(program.maps) * h * b * (h + sum(g.shape[1] for g in given))
        parts = torch.get_num_threads() if products > WORTH else 1
        chunks = parts if b >= FEW * parts else 1
        bounds = layout.bounds(chunks)
        values |= {"by_rows": int(chunks == parts), "chunks": chunks, "bounds": bounds.data_ptr()}
        offset, active = torch.zeros(3, dtype=torch.int64), torch.tensor([0, b])
        odd = {"steps": 2, "offset": offset.data_ptr(), "active": active.data_ptr()}
        self._blocks = [compiled.arguments.pack(values), compiled.arguments.pack(values | odd)]
        kernel = compiled.code.address("kernel")
        self._run = [partial(threads.run, kernel, ctypes.addressof(block), parts) for block in self._blocks]
        place = compiled.arguments.place
        self._output, self._time = place["output"], place["time"]
        self._given = [place[f"given_{k}"] for k in range(len(given))]
        plain = all(node.op == "input" for node in program.given)
        self._order = [cell.inputs.index(node.name) for node in program.given] if plain else None
        self.output = like.new_empty(b, h)
        self.states = space.view(f"state_{cell.states[0]}", len(cell.states), 2, b, layout.padded)[..., :h]
        self._call = replace(call, weights={})
        self._held = space, operands, layout, bounds, offset, active, compiled

    def _pack(self, call: Call, layout: Layout, space: Workspace, plan) -> None:
        jobs, p, program = space.jobs, layout.padded, self._program
        for state, first in zip(call.cell.states, call.states, strict=True):
            for turn in range(2):
                jobs.rows(space.address[f"state_{state}"] + turn * layout.batch * p * first.itemsize, first, layout.batch)
        for name in program.cell_vectors:
            jobs.rows(space.address[f"vector_{name}"], call.weights[name], 1)
        for name, weight, blocks, units in plan.panels:
            jobs.forward_panel(space.address[name], call.weights[weight], blocks, units)
        jobs.rows(space.address["bias"], None, len(program.maps))
        for name, block, m, count in program.bias_runs:
            if name in call.weights:
                array = call.weights[name]
                jobs.rows(space.address["bias"] + m * p * array.itemsize, array, count, block * layout.hidden, add=True)

    def step(self, turn: int, inputs: Sequence[Tensor], time: int, output: int) -> None:
        """Take one step from the states of `turn`, 0 or 1, to those of the other; `output` is an address."""
        block = self._blocks[turn]
        order = self._order
        values = self._values(inputs, time) if order is None else [inputs[k] for k in order]
        for place, value in zip(self._given, values):
            block[place] = value.data_ptr()
        block[self._time], block[self._output] = time - turn, output
        self._run[turn]()

    @shielded
    def _values(self, inputs: Sequence[Tensor], time: int) -> list[Tensor]:
        """What the kernel is given where the cell multiplies expressions of its inputs."""
        given = dict(zip(self._call.cell.inputs, (value.unsqueeze(0) for value in inputs), strict=True))
        call = replace(self._call, inputs=given, start=time)
        return [evaluate(node, call)[0].contiguous() for node in self._program.given]
