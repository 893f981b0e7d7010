"""A stack of layers one step at a time: the forward kernel with all bound that stays as it is.

Weights are laid out once. Then a step costs a direct call a layer, to which only the addresses of the inputs and of the
output are new.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import threads
from celda.engines.cpu.given import given as of_call
from celda.engines.cpu.kernels import FEW, forward_program, shape_of
from celda.engines.cpu.launches import Launch, forward_launches
from celda.engines.cpu.layout import Layout, plainly
from celda.engines.cpu.shield import shielded

Step = Callable[[Sequence[Tensor], int, Tensor], None]  # inputs, time, memory for the output
WORTH = 2**17  # multiply-adds a step and layer below which a second thread costs more than it brings


class Streaming:
    """The layers of a stack with their states; see `celda.engines.Stream`."""

    @shielded
    def __init__(self, calls: Sequence[Call]) -> None:
        with torch.inference_mode(False), torch.no_grad():  # its buffers may be written to in any mode
            *self._below, self._last = (_Layer(call) for call in calls)
        self._new = partial(torch.empty_like, self._last.output)
        self._steps, self._turn = self._last.steps, 0

    def step(self, inputs: Sequence[Tensor], time: int) -> Tensor:
        """The output of the last layer, (B, H), for the inputs of the cell, (B, width) each."""
        turn = self._turn
        for layer in self._below:
            layer.steps[turn](inputs, time, layer.output)
            inputs = [layer.shown, *inputs[1:]]
        y: Tensor = self._new()
        self._steps[turn](inputs, time, y)
        self._turn = 1 - turn  # not before: what is interrupted has not happened
        return y

    @shielded
    def read(self) -> tuple[Tensor, ...]:
        """Copies of the states, one (layers, B, H) tensor each."""
        layers = [layer.states[:, self._turn] for layer in (*self._below, self._last)]
        return tuple(torch.stack(state) for state in zip(*layers, strict=True))

    @shielded
    @torch.no_grad()
    def write(self, states: Sequence[Tensor]) -> None:
        """Go on from these states."""
        for number, layer in enumerate((*self._below, self._last)):
            layer.states[:, self._turn] = torch.stack([state[number] for state in states])


class _Layer:
    """One layer: its weights laid out, its states (states, 2, B, H), memory for its output, and its kernel's arguments.

    The kernel takes the two buffers of a state in turn, and begins with the first. An odd step is therefore run as the
    second of two, of which the first has no rows.
    """

    def __init__(self, call: Call) -> None:
        cell, like, (batch, hidden) = call.cell, call.states[0], call.states[0].shape
        shape, program = shape_of(like.dtype, hidden), forward_program(cell, (), False)
        layout = Layout.of(call, shape.lanes)
        given = of_call(program, call, layout)
        widths = tuple(value.shape[1] for value in given)
        moves, arrays = (False,) * len(given), tuple(call.weights)
        launch = forward_launches(program, layout.kind, shape, widths, moves, False, arrays, False).take()  # for good
        buffers = launch.states.zero_()
        operands = like.new_zeros(len(program.operands), batch, layout.padded)
        self.states, self.output = buffers[..., :hidden], torch.empty_like(like)
        self.shown = self.output[:, : cell.units(cell.states[0], hidden)]  # what the layer above is given
        self._call, self._program, self._layout = replace(call, weights={}), program, layout
        self._plain = all(node.op == "input" for node in program.given)
        self._order = [cell.inputs.index(n.name) if self._plain else k for k, n in enumerate(program.given)]

        fixed = {f"operand_{k}": operand.data_ptr() for k, operand in enumerate(operands)}
        new = dict.fromkeys([f"given_{k}" for k in range(len(given))] + ["output", "record", "hoisted", "time"], 0)
        first = {f"{state} at 0": value for state, value in zip(cell.states, call.states, strict=True)}
        held = launch.tell(layout, {**new, **fixed, "steps": 0}, {**call.weights, **first})
        launch.run(layout)  # lays the weights out
        del held  # not before
        self._bind(
            launch,
            layout,
            {**launch.constants, **layout.numbers, **new, **fixed},
            len(program.maps) * hidden * (hidden + sum(widths)),
        )
        self._held = launch, layout, operands

    def _bind(self, launch: Launch, layout: Layout, values: dict[str, int], weights: int) -> None:
        """Make the blocks of arguments for even and odd steps, and the calls with them."""
        kernel = launch.kernel
        parts = torch.get_num_threads() if weights * layout.batch > WORTH else 1
        chunks = parts if layout.batch >= FEW * parts else 1  # shares of the rows, or else of the units
        bounds, offset, active = layout.bounds(chunks), torch.zeros(3).long(), torch.tensor([layout.batch, 0])
        values |= {"by_rows": int(chunks == parts), "chunks": chunks, "bounds": bounds.data_ptr(), "job_count": 0}
        odd = {"steps": 2, "first": 1, "direction": -1, "offset": offset.data_ptr(), "active": active.data_ptr()}
        self._blocks = [kernel.arguments.pack(values), kernel.arguments.pack(values | odd)]
        code, self._rows = kernel.code.address("kernel"), (bounds, offset, active)
        runs = [threads.bound(code, ctypes.addressof(block), parts) for block in self._blocks]
        self.steps = [
            self._step(kernel.arguments.place, block, run) for block, run in zip(self._blocks, runs, strict=True)
        ]

    def _step(self, places: Mapping[str, int], block: ctypes.Array[ctypes.c_int64], run: Callable[[], None]) -> Step:
        """A step from the states of one turn to those of the other.

        All that it looks up is bound here: a step takes a few microseconds.
        """
        output_at, time_at = places["output"], places["time"]
        order = [(places[f"given_{k}"], number) for k, number in enumerate(self._order)]
        given_at = order[0][0] if order else 0

        def one(inputs: Sequence[Tensor], time: int, output: Tensor) -> None:
            value = inputs[0]
            if value.is_neg() or not value.is_contiguous():
                value = plainly(value)
            block[given_at] = value.data_ptr()
            block[time_at] = time
            block[output_at] = output.data_ptr()
            run()

        def several(inputs: Sequence[Tensor], time: int, output: Tensor) -> None:
            if not self._plain:
                inputs = self._values(inputs, time)
            held = [plainly(inputs[k]) for _, k in order]
            for (place, _), value in zip(order, held, strict=True):
                block[place] = value.data_ptr()
            block[time_at] = time
            block[output_at] = output.data_ptr()
            run()

        return one if self._plain and len(order) == len(self._call.inputs) == 1 else several

    @shielded
    @torch.no_grad()
    def _values(self, inputs: Sequence[Tensor], time: int) -> list[Tensor]:
        """What the kernel is given, where the cell multiplies expressions of its inputs."""
        named = {name: value.unsqueeze(0) for name, value in zip(self._call.cell.inputs, inputs, strict=True)}
        call = replace(self._call, inputs=named, start=time)
        return [value.contiguous() for value in of_call(self._program, call, self._layout)]
