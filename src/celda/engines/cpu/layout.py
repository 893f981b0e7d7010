"""How the steps of a batch lie in memory: end to end, and without the steps past a sequence's end.

A ragged batch is sorted, the longest sequence first. Step t then has the first `active[t]` sequences, and its rows
begin at `offset[t]`, so a step past an end is neither stored nor computed. What is handed over is not packed: the
output, its gradient and what is read unit by unit lie (T, B, H) as the caller has them, and `order` leads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu import pool
from celda.engines.cpu.ragged import Ragged, ragged
from celda.engines.derivatives import alone

T = TypeVar("T", Tensor, "Tensor | None")
BEFORE, PLACES = "before", "places"  # the names of two tables of a ragged layout, see `Ragged`


@lru_cache(maxsize=256)
def _dense(steps: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.arange(steps + 1) * batch, torch.full((steps,), batch), torch.arange(batch)


@lru_cache(maxsize=256)
def _cut(batch: int, parts: int) -> Tensor:
    return torch.tensor([k * batch // parts for k in range(parts + 1)])


class Kind(NamedTuple):
    """What all layouts have in common for which one launch can be used after another."""

    batch: int
    hidden: int
    padded: int
    ragged: bool
    resets: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a call. `ragged` has its tables (None: no sequence has an end of its own), `carry` (T + 1, B) is 0
    where a sequence starts anew at the s-th step that is run, and 1 elsewhere (None: there are no resets)."""

    steps: int
    batch: int
    hidden: int
    padded: int  # hidden, filled up to whole vectors
    reverse: bool
    offset: Tensor  # (T + 1,) int64
    active: Tensor  # (T,) int64
    order: Tensor  # (B,) int64, of each place in the layout: the caller's sequence
    ragged: Ragged | None
    carry: Tensor | None

    @staticmethod
    def of(call: Call, lanes: int) -> Layout:
        """The layout of a call on vectors of `lanes` elements."""
        x, hidden = call.inputs[call.cell.inputs[0]], call.states[0].shape[-1]
        steps, batch = x.shape[0], x.shape[1]
        if call.lengths is None:
            layout = plain(steps, batch, hidden, lanes, call.reverse)
        else:
            tables = ragged(call.lengths, steps, call.reverse)
            rows = tables.offset, tables.active, tables.order, tables, None
            layout = Layout(steps, batch, hidden, _filled(hidden, lanes), call.reverse, *rows)
        if call.resets is None:
            return layout
        resets = call.resets if layout.ragged is None else call.resets[:, layout.order]
        carry = torch.ones(steps + 1, batch, dtype=x.dtype)
        within = resets[1:].flip(0) if call.reverse else resets[1:]
        carry[1:steps].masked_fill_(within, 0)
        if not call.reverse:
            carry[0].masked_fill_(resets[0], 0)
        return replace(layout, carry=carry)

    @property
    def plain(self) -> bool:
        """Whether the sizes alone say how the rows lie; there is one such layout for all calls of these sizes."""
        return self.ragged is None and self.carry is None

    @cached_property
    def kind(self) -> Kind:
        """What decides the sizes of a launch's buffers, and its code."""
        return Kind(self.batch, self.hidden, self.padded, self.ragged is not None, self.carry is not None)

    @cached_property
    def rows(self) -> int:
        """How many rows there are in all."""
        return self.begin(self.steps)

    @property
    def first(self) -> int:
        """The step that is run first."""
        return self.steps - 1 if self.reverse else 0

    @property
    def direction(self) -> int:
        """From one step to the next."""
        return -1 if self.reverse else 1

    def step_of_rows(self) -> Tensor:
        """Of each row: its step."""
        if self.ragged is None:
            return torch.arange(self.steps).repeat_interleave(self.batch)
        return self.ragged.places // self.batch

    @property
    def _members(self) -> Tensor:
        """Of each row of a ragged batch: the place of its sequence in the sorted one."""
        assert self.ragged is not None
        return self.ragged.unsorted[self.ragged.places % self.batch]

    def spans(self, most: int) -> list[tuple[int, int, int, int]]:
        """The steps in the order of a sweep, cut so that a span has about `most` rows, and two steps if there are two.

        Each is (last step as they were run, how many, first row, end of the rows).
        """
        found, end = [], self.steps
        if self.ragged is None:
            count = max(2, most // max(1, self.batch))
            while end:
                begin = end - count if end > count + 1 else 0
                low, high = (self.steps - end, self.steps - begin) if self.reverse else (begin, end)
                found.append((end - 1, end - begin, low * self.batch, high * self.batch))
                end = begin
            return found
        offset = self._offsets
        place = (lambda s: offset[self.steps - s]) if self.reverse else (lambda s: offset[s])
        while end:
            begin = max(0, end - 2)
            while begin == 1 or (begin and abs(place(begin - 1) - place(end)) <= most):
                begin -= 1
            low, high = sorted((place(begin), place(end)))
            found.append((end - 1, end - begin, low, high))
            end = begin
        return found

    def begin(self, step: int) -> int:
        """The first row of a step; of the step after the last, the number of rows."""
        return step * self.batch if self.ragged is None else self._offsets[step]

    def sorted(self, values: Sequence[T]) -> tuple[T, ...]:
        """Values of the states, (B, width) each or None, in the order of the layout."""
        if self.ragged is None:
            return tuple(values)
        return tuple(v if v is None else torch.index_select(v, 0, self.order) for v in values)

    def initial(self, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Initial states in the order of the layout; zero where a sequence starts anew at its first step."""
        return tuple(states) if self.plain else tuple(self._carried(state) for state in self.sorted(states))

    def d_initial(self, gradients: Tensor) -> tuple[Tensor, ...]:
        """The gradients of what `initial` was given from those (states, B, H) of what it gave."""
        return self.back(self._carried(gradients).unbind())

    def _carried(self, value: Tensor) -> Tensor:
        return value if self.carry is None else value.masked_fill(self.carry[0].unsqueeze(1) == 0, 0)

    def bounds(self, parts: int, begin: int = 0, end: int | None = None) -> Tensor:
        """Cut the sequences into `parts` ranges of about equally many rows in the steps begin..end, (parts + 1,).

        Steps are numbered as they are run.
        """
        if self.ragged is None:
            return _cut(self.batch, parts)
        end = self.steps if end is None else end
        low, high = (self.steps - end, self.steps - begin) if self.reverse else (begin, end)
        return self.ragged.bounds(parts, low, high)

    def gather(self, value: Tensor) -> Tensor:
        """(T, B, width) or, constant over time, (1, B, width) as rows; constants of a dense batch stay (B, width)."""
        flat = plainly(value).flatten(0, 1)
        if self.ragged is None:
            return flat
        places = self.ragged.places
        return torch.index_select(flat, 0, places if value.shape[0] == self.steps else places % self.batch)

    def memory(self, like: Tensor, width: int) -> Tensor:
        """Memory for what lies as the caller has it, (T * B, width): zeros where there is no row."""
        found = pool.empty(like, self.steps * self.batch, width)
        return found if self.ragged is None else found.zero_()

    def spread(self, rows: Tensor) -> Tensor:
        """Rows as (T, B, width), zero where there is no row."""
        if self.ragged is not None:
            rows = self.memory(rows, rows.shape[1]).index_copy_(0, self.ragged.places, rows)
        return self.shown(rows)

    def shown(self, whole: Tensor) -> Tensor:
        """What lies as the caller has it, (T * B, width), as (T, B, width)."""
        return whole.view(self.steps, self.batch, whole.shape[1])

    def output(self, whole: Tensor) -> Tensor:
        """What lies as the caller has it, (T * B, width), as a tensor (T, B, width) that is no view of another, so that
        it may be changed in place."""
        return alone(whole, (self.steps, self.batch, whole.shape[-1]))

    def back(self, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(B, H) each in the order of the layout, as copies in the caller's order.

        Each in memory of its own, so that a caller may change one in place.
        """
        if self.ragged is None:
            return tuple(v.clone() for v in values)
        return tuple(torch.index_select(v, 0, self.ragged.unsorted) for v in values)

    def around(self, first: Tensor) -> tuple[Tensor, Tensor]:
        """Memory for a state after every step, (T * B, width), and for `first` (B, width) before them all, both in the
        caller's order; and the former alone."""
        n, b = self.steps * self.batch, self.batch
        whole = pool.empty(first, n + b, first.shape[1])
        after, start = (whole[:n], whole[n:]) if self.reverse else (whole[b:], whole[:b])
        start.copy_(first)
        return whole, after

    @property
    def tables(self) -> dict[str, Tensor]:
        """Of each row of a ragged batch: where in what `Layout.around` gives the state before it is, and which row of
        the caller's it is."""
        return {} if self.ragged is None else {BEFORE: self.ragged.before, PLACES: self.ragged.places}

    def before(self, around: Tensor) -> tuple[Tensor, str]:
        """The value of a state before each row's step, from what `around` gave; and the table that says where in it the
        rows are, "" where they lie one after another.

        Those of a ragged batch are gathered with resets, as some are zero then, and where they are no whole vectors:
        products read such rows number by number.
        """
        if self.ragged is None:
            found = around[self.batch :] if self.reverse else around[: self.rows]
        elif self.carry is None and self.hidden == self.padded:
            return around, BEFORE
        else:
            found = pool.empty(around, self.rows, self.hidden)
            torch.index_select(around, 0, self.ragged.before, out=found)
        return self._not_anew(found), ""

    def _not_anew(self, found: Tensor) -> Tensor:
        """The states before each row's step, zero where a sequence starts anew."""
        if self.carry is None:
            return found
        steps_run = self.carry[: self.steps].flip(0) if self.reverse else self.carry[: self.steps]
        kept = steps_run.reshape(-1) if self.ragged is None else steps_run[self.step_of_rows(), self._members]
        return found.masked_fill((kept == 0).unsqueeze(1), 0)

    def final(self, buffers: Tensor, halves: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """The states after the last step, of buffers (states, 2, B, padded) whose `halves` were written in turn.

        In the caller's order, each in memory of its own.
        """
        if self.ragged is None or self.reverse:
            return self.back(halves[self.steps % 2])
        return tuple(buffer[self.ragged.last] for buffer in buffers.flatten(1, 2)[..., : self.hidden].unbind())

    @cached_property
    def _offsets(self) -> list[int]:
        found: list[int] = self.offset.tolist()
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """What the kernels are told."""
        return {
            "steps": self.steps,
            "batch": self.batch,
            "hidden": self.hidden,
            "padded": self.padded,
            "first": self.first,
            "direction": self.direction,
            "offset": self.offset.data_ptr(),
            "active": self.active.data_ptr(),
            "order": self.order.data_ptr(),
            "ragged": int(self.ragged is not None),
            "carry": 0 if self.carry is None else self.carry.data_ptr(),
        }


@lru_cache(maxsize=256)
def plain(steps: int, batch: int, hidden: int, lanes: int, reverse: bool) -> Layout:
    """The layout of batches that end together and start nowhere anew."""
    return Layout(steps, batch, hidden, _filled(hidden, lanes), reverse, *_dense(steps, batch), None, None)


def plainly(value: Tensor) -> Tensor:
    """A tensor whose memory is what machine code takes it for."""
    return value.resolve_neg().contiguous()


def _filled(hidden: int, lanes: int) -> int:
    return -(-hidden // lanes) * lanes
