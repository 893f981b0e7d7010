"""A launch of a kernel: its buffers, the jobs that fill them and the block of its arguments.

All of it is made once for calls of the same sizes. A call then tells what is new, a few addresses, and small layers
would otherwise spend more time on the rest than in the kernel.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import NamedTuple
from weakref import ref

import torch
from torch import Tensor

from celda.engines.cpu import pool, threads
from celda.engines.cpu.kernel import Shape, reach
from celda.engines.cpu.kernels import Compiled, backward_kernel, backward_program, forward_kernel, share
from celda.engines.cpu.layout import Kind, Layout
from celda.engines.cpu.prepare import Jobs
from celda.engines.cpu.script import Place, Script, Word
from celda.engines.cpu.statistics import PARTS
from celda.engines.cpu.sums import Sums
from celda.engines.program import BackwardProgram, ForwardProgram
from celda.language import Pattern

# At most 320 MiB wait for the next calls, of both passes; beside the work of a launch larger yet, making it is little.
LARGE, LARGEST = 3 * 2**19, 2**24  # bytes of a launch; up to the latter it waits
WAITING = 2  # launches of the same sizes that wait
SIZES = 32  # for which they do
BLOCK = "block"  # a launch's block of arguments, in a script
LARGE_ONES = 8  # that wait, of all sizes together


class _Share(NamedTuple):
    """How threads share some steps of a layout."""

    layout: Layout
    slots: int  # threads that were asked for
    parts: int  # and that are taken
    told: dict[str, int]  # what the kernel is told of it
    bounds: Tensor  # which lies at one of the addresses


class Launch:
    """A kernel with memory for `sizes` elements of each name, side by side; for one call at a time.

    `weights`: how many numbers are multiplied with a row in a step; `ahead`: how many of them before all steps.
    """

    # what a kernel leaves in its buffers, until the next call
    states: Tensor  # forward, the two buffers of each state (states, 2, B, padded); backward, their gradients
    final: list[tuple[Tensor, ...]]  # forward: of each of the two buffers, the states (B, H)
    stacked: list[tuple[Tensor, ...]]  # the same, each as (1, B, H)
    sums: Tensor  # backward: of the adjoints of each linear map and learned vector (slots, maps + vectors, padded)

    def __init__(
        self, kernel: Compiled, kind: Kind, shape: Shape, sizes: dict[str, int], weights: int, ahead: int = 0
    ) -> None:
        self.kernel, self._kind, self._shape, self._weights, self._ahead = kernel, kind, shape, weights, ahead
        self._tables: list[object] = []
        self._begin: dict[str, int] = {}
        total = 0
        for name, size in sizes.items():  # end to end: each holds whole vectors, and so each begins on one
            self._begin[name] = total
            total += size
        dtype = getattr(torch, shape.dtype)
        with torch.inference_mode(False):  # whoever takes it next may be training
            self._lease = pool.lease((total,), dtype)
        self.bytes = total * dtype.itemsize
        base = self._lease.tensor.data_ptr()
        self.address = {name: base + begin * dtype.itemsize for name, begin in self._begin.items()}
        self.jobs = Jobs(shape, kind.hidden, kind.padded)

    def reach(self, patterned: Iterable[tuple[int, int, Pattern]], seen_by: bool) -> None:
        """Have the tables of what unit blocks see, or with `seen_by` are seen by, in each of these products."""
        for stage, product, pattern in patterned:
            table = reach(pattern, self._kind.hidden, self._shape.lanes, seen_by)
            self.address[f"reach_{stage}_{product}"] = ctypes.addressof(table)
            self._tables.append(table)

    def bind(self, constants: Mapping[str, int]) -> Launch:
        """When all jobs are there: make the block of the arguments, of which `constants` and the addresses stay."""
        self.constants = {**constants, **self.address, **self.jobs.arguments()}
        self._jobs = self.constants["job_count"]
        names, self._place = self.kernel.arguments.names, self.kernel.arguments.place
        self._new = {*names} - self.constants.keys() - {"by_rows", "chunks", "bounds"}  # told at every run
        self._layout: Layout | None = None  # that the block was told of, and the share of all its spans
        self._shared: _Share | None = None
        self._block = self.kernel.arguments.pack(dict.fromkeys(names, 0) | self.constants)
        self._code, self.address_of_block = self.kernel.code.address("kernel"), ctypes.addressof(self._block)
        return self

    def tell(self, layout: Layout, values: Mapping[str, int], sources: Mapping[str, Tensor | None]) -> list[Tensor]:
        """Write to the block what a call says; what is returned must live until the kernel has run.

        `values` has the same names in every call: what the layout decides is told again only where it is another one.
        """
        block, place = self._block, self._place
        if self._layout is not layout:
            if missing := self._new - layout.numbers.keys() - values.keys():
                raise TypeError(f"the kernel must be told {', '.join(sorted(missing))}")
            for name, value in layout.numbers.items():
                block[place[name]] = value
            self._layout = layout if layout.plain else None  # others come once
        held = self.jobs.take(sources)
        for name, value in values.items():
            block[place[name]] = value
        block[place["job_count"]] = self._jobs
        return held

    def run(self, layout: Layout) -> None:
        """Run all steps.

        On as many threads as torch may use, or on one where a step is too little work. The threads share the rows, or
        the units where the rows are few and the weights more than a cache holds.
        """
        shared = self._share(layout, 0, layout.steps)
        for name, value in shared.told.items():
            self._block[self._place[name]] = value
        threads.run(self._code, self.address_of_block, shared.parts)

    def add(self, script: Script, layout: Layout, numbers: Mapping[str, Word], begin: int, end: int) -> None:
        """Have the steps begin..end, numbered as they are run, done by a script; the kernel is told these numbers.

        When it is run, BLOCK is the `address_of_block` of one of the launches of these sizes.
        """
        shared, place = self._share(layout, begin, end), self._place
        told = [(8 * place[name], value) for name, value in (*shared.told.items(), *numbers.items())]
        script.kernel(self._code, Place(BLOCK), shared.parts, told, (self.kernel, shared.bounds))

    def _share(self, layout: Layout, begin: int, end: int) -> _Share:
        shared, slots = self._shared, torch.get_num_threads()
        if shared is not None and shared.layout is layout and shared.slots == slots:
            return shared
        blocks = layout.padded // self._shape.lanes
        parts, chunks, by_rows = share(layout, blocks, self._weights, self._ahead, slots)
        bounds = layout.bounds(chunks, begin, end)
        told = {"by_rows": int(by_rows), "chunks": chunks, "bounds": bounds.data_ptr()}
        shared = _Share(layout, slots, parts, told, bounds)
        self._shared = shared if layout.plain else None  # in others every span has bounds of its own
        return shared

    def view(self, name: str, *shape: int) -> Tensor:
        """What begins at a buffer as a tensor, which may be looked at until the next call."""
        begin = self._begin[name]
        return self._lease.tensor[begin : begin + prod(shape)].view(shape)


class Swept(NamedTuple):
    """What is done in a sweep: the kernel over spans of steps, and the products of the adjoints of each."""

    script: Script
    rows: int  # of the adjoints that there must be memory for


class Ready:
    """Launches of the same sizes that wait for the next call."""

    def __init__(self, make: Callable[[], Launch]) -> None:
        self._make = make
        self.sums: dict[object, Sums] = {}  # of sweeps with them, by what is wanted: `passes` keeps them here,
        self.swept: dict[object, Swept] = {}  # and the sweeps, by their lengths
        self._waiting: deque[Launch] = deque(maxlen=WAITING)  # its methods need no lock

    def take(self) -> Launch:
        """One that nobody else has."""
        try:
            launch = self._waiting.pop()
        except IndexError:
            return self._make()
        if launch.bytes > LARGE:
            with suppress(ValueError, IndexError):  # another thread was there at the same time
                _large.remove(ref(self))
        return launch

    def give_back(self, launch: Launch) -> None:
        """The call has ended."""
        if launch.bytes > LARGEST:
            return
        self._waiting.append(launch)
        if launch.bytes > LARGE:
            _large.append(ref(self))
            with suppress(IndexError):
                oldest = _large.popleft()() if len(_large) > LARGE_ONES else None
                if oldest is not None:
                    oldest._waiting.popleft()


_large: deque[ref[Ready]] = deque()  # whose large launches wait, the latest last


def forget() -> None:
    """Let go of all launches that wait, and of the sweeps that are known: they hold what was decided when made."""
    forward_launches.cache_clear()
    sweep_launches.cache_clear()
    _large.clear()


@lru_cache(maxsize=SIZES)
def forward_launches(
    program: ForwardProgram,
    kind: Kind,
    shape: Shape,
    widths: tuple[int, ...],
    moves: tuple[bool, ...],
    hoist: bool,
    arrays: tuple[str, ...],
    training: bool,
) -> Ready:
    """Of the forward kernel. `widths` of what the program is given, and whether it `moves` with the steps; `arrays`
    are the names of the weights."""
    cell, (b, h, p, ragged, resets) = program.cell, kind
    kernel = forward_kernel(cell, shape, program.record, hoist, resets)
    sizes = {f"state_{state}": 2 * b * p for state in cell.states} | _statistics(program, b, shape)
    sizes |= {"bias": len(program.maps) * p, "scratch": b * len(program.crossing) * p}
    sizes |= {f"vector_{name}": p for name in program.cell_vectors}
    if shape.pairs:
        sizes |= {f"pairs_{state}": 2 * shape.filled(b * p // 2) for state in program.multiplied}
        sizes |= {f"pairs_{k}": shape.filled(b * p // 2) for k in range(len(program.operands))}
    panels = []
    for s, stage in enumerate(program.stages):
        units = shape.units(max(len(stage.maps), 1), s in program.grouped)
        for k, q in enumerate(stage.products):
            depth = widths[program.given.index(q.operand)] if q.operand in program.given else h
            panels.append((f"panel_{s}_{k}", q.weight, depth, q.blocks, units))
            sizes[panels[-1][0]] = p * len(q.blocks) * shape.terms(depth)
    constants = {f"given_{k}_stride": shape.terms(width) for k, width in enumerate(widths)}
    constants |= {f"given_{k}_moves": int(moving) for k, moving in enumerate(moves)} | {"operand_moves": int(training)}
    size = 8 if shape.dtype == "float64" else 4
    ahead = hoist * len(program.maps) * h * sum(widths)

    def make() -> Launch:
        launch = Launch(kernel, kind, shape, sizes, len(program.maps) * h * (h + sum(widths)), ahead)
        jobs, address = launch.jobs, launch.address
        for state in cell.states:
            for turn in range(2 if ragged else 1):
                jobs.rows(address[f"state_{state}"] + turn * b * p * size, f"{state} at 0", b)
                if shape.pairs and state in program.multiplied:
                    jobs.pairs(address[f"pairs_{state}"] + turn * b * p * size // 2, f"{state} at 0", b)
        for name in program.cell_vectors:
            jobs.rows(address[f"vector_{name}"], name, 1)
        for name, weight, depth, blocks, units in panels:
            jobs.forward_panel(address[name], weight, depth, blocks, units)
        jobs.rows(address["bias"], None, len(program.maps))
        for name, block, m, count in program.bias_runs:
            if name in arrays:
                jobs.rows(address["bias"] + m * p * size, name, count, block * h, add=True)
        launch.states = launch.view(f"state_{cell.states[0]}", len(cell.states), 2, b, p)
        launch.final = [half.unbind() for half in launch.states[..., :h].unbind(1)]
        launch.stacked = [tuple(state.unsqueeze(0) for state in half) for half in launch.final]
        launch.reach(program.patterned, seen_by=False)
        return launch.bind(constants)

    return Ready(make)


def _statistics(program: ForwardProgram | BackwardProgram, batch: int, shape: Shape) -> dict[str, int]:
    """Memory for statistics, in whole vectors."""
    count = batch * PARTS * len(program.statistics)
    return {"stats": -(-count // shape.lanes) * shape.lanes}


@lru_cache(maxsize=SIZES)
def sweep_launches(program: ForwardProgram, kind: Kind, shape: Shape, slots: int, kept: tuple[str, ...]) -> Ready:
    """Of the backward kernel after a forward pass; `slots` is how many sums are made side by side, and `kept` names the
    states whose values at every step have gradients."""
    cell, (b, h, p, _, resets), back = program.cell, kind, backward_program(program.cell)
    kernel = backward_kernel(cell, shape, program.record, resets, kept)
    sizes = {f"{what}_{state}": b * p for what in ("carried", "first") for state in cell.states}
    sizes |= _statistics(back, b, shape)
    lines = len(back.maps) + len(back.vectors)
    sizes |= {"sums": slots * lines * p, "scratch": b * len(back.crossing) * p}
    sizes |= {f"vector_{name}": p for name in program.cell_vectors}
    panels = []
    for k, products in enumerate(back.products):
        units = shape.units(max(len(products), 1), k in back.grouped)
        for q, product in enumerate(products):
            terms = back.terms(product)
            blocks = tuple(term.block for term in terms)
            panels.append((f"panel_{k}_{q}", terms[0].weight, blocks, units))
            sizes[panels[-1][0]] = len(blocks) * shape.terms(h) * p

    def make() -> Launch:
        launch = Launch(kernel, kind, shape, sizes, len(back.maps) * h * h)
        jobs, address = launch.jobs, launch.address
        for state in cell.states:
            jobs.rows(address[f"carried_{state}"], f"d {state}", b)
            jobs.rows(address[f"first_{state}"], f"{state} at 0", b)
        jobs.rows(address["sums"], None, slots * lines)
        for name in program.cell_vectors:
            jobs.rows(address[f"vector_{name}"], name, 1)
        for name, weight, blocks, units in panels:
            jobs.backward_panel(address[name], weight, blocks, units)
        launch.states = launch.view(f"carried_{cell.states[0]}", len(cell.states), b, p)[..., :h]
        launch.sums = launch.view("sums", slots, lines, p)
        launch.reach(back.patterned, seen_by=True)
        return launch.bind({})

    return Ready(make)
