"""How the steps of a batch lie in memory: end to end, and without the steps past a sequence's end.

A ragged batch is sorted, the longest sequence first. Step t then has the first `active[t]` sequences, and its rows begin at
`offset[t]`, so a step past an end is neither stored nor computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from celda.engines.call import Call

T = TypeVar("T", Tensor, "Tensor | None")


@lru_cache(maxsize=256)
def _dense(steps: int, batch: int) -> tuple[Tensor, Tensor]:
    return torch.arange(steps + 1) * batch, torch.full((steps,), batch)


@lru_cache(maxsize=256)
def _cut(batch: int, parts: int) -> Tensor:
    return torch.tensor([k * batch // parts for k in range(parts + 1)])


@dataclass(frozen=True, eq=False)
class Layout:
    """The rows of a call. `order` sorts the sequences (None: none has an end of its own), `carry` (T + 1, B) is 0 where a
    sequence starts anew at the s-th step that is run, and 1 elsewhere (None: there are no resets)."""

    steps: int
    batch: int
    hidden: int
    padded: int  # hidden, filled up to whole vectors
    reverse: bool
    start: int
    offset: Tensor  # (T + 1,) int64
    active: Tensor  # (T,) int64
    order: Tensor | None
    carry: Tensor | None

    @staticmethod
    def of(call: Call, lanes: int) -> Layout:
        """The layout of a call on vectors of `lanes` elements."""
        x, hidden = call.inputs[call.cell.inputs[0]], call.states[0].shape[-1]
        steps, batch = x.shape[0], x.shape[1]
        order, resets = None, call.resets
        offset, active = _dense(steps, batch)
        if call.lengths is not None:
            lengths, order = torch.sort(call.lengths, descending=True, stable=True)
            active = (lengths.unsqueeze(0) > torch.arange(steps).unsqueeze(1)).sum(1)
            offset = torch.cat([active.new_zeros(1), active.cumsum(0)])
            resets = None if resets is None else resets[:, order]
        carry = None
        if resets is not None:
            carry = torch.ones(steps + 1, batch, dtype=x.dtype)
            within = resets[1:].flip(0) if call.reverse else resets[1:]
            carry[1:steps].masked_fill_(within, 0)
            if not call.reverse:
                carry[0].masked_fill_(resets[0], 0)
        padded = -(-hidden // lanes) * lanes
        return Layout(steps, batch, hidden, padded, call.reverse, call.start, offset, active, order, carry)

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

    @cached_property
    def members(self) -> Tensor:
        """Of each row: its sequence, as a place in the sorted batch."""
        return torch.arange(self.batch).expand(self.steps, -1)[self._present]

    @cached_property
    def places(self) -> Tensor:
        """Of each row: its place t * B + b in the caller's batch."""
        order = torch.arange(self.batch) if self.order is None else self.order
        return (torch.arange(self.steps).unsqueeze(1) * self.batch + order)[self._present]

    @cached_property
    def _present(self) -> Tensor:
        return torch.arange(self.batch) < self.active.unsqueeze(1)

    @property
    def plain(self) -> bool:
        """Whether every sequence has all steps and goes on from each to the next."""
        return self.order is None and self.carry is None

    def spans(self, most: int) -> list[tuple[int, int, int, int]]:
        """The steps in the order of a sweep, cut so that a span has about `most` rows or one step.

        Each is (last step as they were run, how many, first row, end of the rows).
        """
        count, found = max(1, most // max(self.batch, 1)), []
        for end in range(self.steps, 0, -count):
            begin = max(0, end - count)
            low, high = (self.steps - end, self.steps - begin) if self.reverse else (begin, end)
            found.append((end - 1, end - begin, self.begin(low), self.begin(high)))
        return found

    def begin(self, step: int) -> int:
        """The first row of a step; of the step after the last, the number of rows."""
        return step * self.batch if self.order is None else int(self.offset[step])

    def sorted(self, values: Sequence[T]) -> tuple[T, ...]:
        """Values of the states, (B, width) each or None, in the order of the layout."""
        if self.order is None:
            return tuple(values)
        return tuple(v if v is None else v[self.order] for v in values)

    def initial(self, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Initial states in the order of the layout; zero where a sequence starts anew at its first step."""
        return tuple(self._carried(state) for state in self.sorted(states))

    def d_initial(self, gradients: Tensor) -> tuple[Tensor, ...]:
        """The gradients of what `initial` was given from those (states, B, padded) of what it gave."""
        return self.back(self._carried(gradients))

    def _carried(self, value: Tensor) -> Tensor:
        return value if self.carry is None else value.masked_fill(self.carry[0].unsqueeze(1) == 0, 0)

    def bounds(self, parts: int) -> Tensor:
        """Cut the sequences into `parts` ranges of about equally many rows, (parts + 1,)."""
        if self.order is None:
            return _cut(self.batch, parts)
        done = torch.bincount(self.members, minlength=self.batch).cumsum(0)
        goals = torch.arange(1, parts) * done[-1] // parts
        return torch.cat([done.new_zeros(1), torch.searchsorted(done, goals), done.new_full((1,), self.batch)])

    def gather(self, value: Tensor) -> Tensor:
        """(T, B, width) or, constant over time, (1, B, width) as rows; constants of a dense batch stay (B, width)."""
        if value.shape[0] == self.steps and self.steps > 1 or self.steps == 1:
            flat = value.reshape(self.steps * self.batch, -1)
            return flat.contiguous() if self.order is None else flat[self.places]
        return value[0].contiguous() if self.order is None else value[0][self.order][self.members]

    def spread(self, rows: Tensor) -> Tensor:
        """Rows as (T, B, width), zero where there is no row."""
        if self.order is None:
            return rows.view(self.steps, self.batch, -1)
        full = rows.new_zeros(self.steps * self.batch, rows.shape[-1])
        return full.index_copy(0, self.places, rows).view(self.steps, self.batch, -1)

    def back(self, values: Tensor) -> tuple[Tensor, ...]:
        """(states, B, width or more) in the order of the layout, as copies (B, H) in the caller's order."""
        values = values[..., : self.hidden]
        return (values.clone() if self.order is None else values[:, torch.argsort(self.order)]).unbind()

    def before(self, rows: Tensor, first: Tensor) -> Tensor:
        """The value of a state before each row's step: `rows` of the states after, `first` (B, width) the initial ones."""
        if self.plain:
            b = self.batch
            return torch.cat([rows[b:], first] if self.reverse else [first, rows[:-b]])
        t = torch.arange(self.steps).unsqueeze(1).expand(-1, self.batch)[self._present]
        earlier, steps_run = t - self.direction, (self.steps - 1 - t) if self.reverse else t
        inside = (earlier >= 0) & (earlier < self.steps)
        earlier = earlier.clamp(0, self.steps - 1)
        inside &= self.members < self.active[earlier]
        place = torch.where(inside, self.offset[earlier] + self.members, self.rows + self.members)
        found = torch.cat([rows, first])[place]
        if self.carry is None:
            return found
        anew = inside & (self.carry[steps_run, self.members] == 0)
        return found.masked_fill_(anew.unsqueeze(1), 0)

    def final(self, buffers: Tensor) -> tuple[Tensor, ...]:
        """The states after the last step, of buffers (states, 2, B, padded) whose halves were written in turn."""
        if self.order is None or self.reverse:
            return self.back(buffers[:, self.steps % 2])
        turn = torch.bincount(self.members, minlength=self.batch) % 2
        return self.back(buffers[:, turn, torch.arange(self.batch)])

    def numbers(self) -> dict[str, int]:
        """What the kernels are told."""
        return {
            "steps": self.steps,
            "batch": self.batch,
            "hidden": self.hidden,
            "padded": self.padded,
            "first": self.first,
            "direction": self.direction,
            "time": self.start,
            "offset": self.offset.data_ptr(),
            "active": self.active.data_ptr(),
            "carry": 0 if self.carry is None else self.carry.data_ptr(),
        }
