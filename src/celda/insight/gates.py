"""How open the gates of a cell stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celda.errors import CeldaError
from celda.insight.recording import Recording
from celda.language.purposes import Role, roles

CLOSED, OPEN = 0.1, 0.9  # below and above, a gate is saturated (Karpathy, Johnson & Fei-Fei 2015)


@dataclass(frozen=True)
class Openness:
    """How open a gate of one layer and direction stands, over all real steps of all sequences.

    `mean`, `closed` (the part of the values below 0.1) and `open` (above 0.9): (H,) each, by unit. `where`: the place
    in words, "layer 2, backwards"; "" where there is no other.
    """

    role: Role
    place: int
    mean: Tensor
    closed: Tensor
    open: Tensor
    where: str = ""

    @property
    def saturated(self) -> float:
        """The part of all values that is below 0.1 or above 0.9: there the sigmoid is flat, and hardly learns."""
        return float((self.closed + self.open).mean())


def opening(role: Role, values: Tensor) -> Tensor:
    """How open a gate stands, from what was traced of it: its sigmoid where it is named before that."""
    return values.sigmoid() if role.before else values


def openness(recordings: Recording | Sequence[Recording]) -> list[Openness]:
    """How open every gate stands, in all layers; recordings of one layer (of several calls) count together.

    Raises CeldaError where there is no recording, no step in them, or they are of several layers.
    """
    several = [recordings] if isinstance(recordings, Recording) else list(recordings)
    if not several:
        raise CeldaError("There is no recording to look at: give one or more of record(module, run).")
    first, found = several[0], []
    if others := [one.name or "another" for one in several if one.layer is not first.layer]:
        raise CeldaError(
            f"The recordings are of several layers ({first.name or 'one'}, {', '.join(dict.fromkeys(others))}), whose "
            "gates do not count together: give those of one layer."
        )
    if not any(one.mask.any() for one in several):
        raise CeldaError("The recordings hold no step of any sequence: record a call with one or more.")
    for place in range(first.places):
        for name, role in roles(first.cell).items():
            if role.is_gate:
                values = torch.cat([one.within(opening(role, one.traced[name][place])) for one in several])
                closed, opened = ((values < CLOSED).to(values), (values > OPEN).to(values))
                said = first.where(place)
                found.append(Openness(role, place, values.mean(0), closed.mean(0), opened.mean(0), said))
    return found
