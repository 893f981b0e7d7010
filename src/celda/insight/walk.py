"""One step of a trained layer, equation by equation, with the numbers of one unit."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from celda.errors import CeldaError
from celda.insight.recording import Recording
from celda.language.equations import substituted
from celda.language.purposes import Role, memory_state, roles


@dataclass(frozen=True)
class Line:
    """One equation of a step.

    `equation`: with letters, `f_t = σ(...)`. `numbers`: its right side with the unit's numbers, and summed up where
    that says more. `value`: what comes out. `before`: of a state, what it was.
    """

    role: Role
    equation: str
    numbers: tuple[str, ...]
    value: float
    before: float | None


@dataclass(frozen=True)
class Walk:
    """A step of a layer: its number, from 0; the sequence, the unit, the place (layer and direction), the equations.

    `inputs` (I,): what the first layer was given at this step.
    """

    step: int
    sequence: int
    unit: int
    place: int
    lines: tuple[Line, ...]
    inputs: Tensor


def walk(recording: Recording, step: int = -1, *, sequence: int = -1, unit: int | None = None, place: int = 0) -> Walk:
    """Walk one step through the cell.

    Args:
        step: from 0, or from the end, -1 the last. sequence: likewise.
        unit: by default the one whose memory changes most in this step, as there is most to see. A projected state
            that has no such unit has no equation here.
        place: of layers x directions.

    Raises:
        CeldaError: there is no such step, sequence, unit or place.
    """
    steps, batch = recording.x.shape[:2]
    sequence, place = _at("sequence", sequence, batch), _at("place", place, recording.places)
    ends = steps if recording.lengths is None else int(recording.lengths[sequence])
    step = _at("step", step, ends)
    values, cell = recording.values(place), recording.cell
    state = memory_state(cell)
    before = {name: values.before(name)[step, sequence] for name in cell.states}
    if unit is None:
        least = min(recording.traced[name].shape[-1] for name in cell.states)  # units that all states have
        unit = int((recording.traced[state][place, step, sequence] - before[state])[:least].abs().argmax())
    unit = _at("unit", unit, recording.layer.hidden_size)

    def one(tensor: Tensor) -> float:
        """The number of this step, sequence and unit in values of any width."""
        while tensor.dim() < 3:
            tensor = tensor.unsqueeze(0)
        t, b, u = (at if size > 1 else 0 for at, size in zip((step, sequence, unit), tensor.shape, strict=True))
        return float(tensor[t, b, u])

    numbers = substituted(cell, lambda node: one(values[node]), lambda node: [one(p) for p in values.parts(node)])
    kinds = roles(cell)
    lines = [
        Line(
            kinds[name],
            equation,
            numbers[name],
            float(recording.traced[name][place, step, sequence, unit]),
            float(before[name][unit]) if name in before else None,
        )
        for name, equation in zip(cell.named, cell.equations().splitlines(), strict=True)
        if unit < recording.traced[name].shape[-1]
    ]
    return Walk(step, sequence, unit, place, tuple(lines), recording.x[step, sequence])


def _at(what: str, given: int, count: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not -count <= given < count:
        raise CeldaError(f"{what}={given!r}: there are {count}, so write a whole number from 0 to {count - 1}.")
    return range(count)[given]
