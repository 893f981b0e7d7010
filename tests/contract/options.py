"""Every option of a cell, with every cell it can be taken with."""

from collections.abc import Callable

from celda.cells import CELLS
from celda.language import (
    Cell,
    candidate_dropout,
    clip_state,
    heads,
    layer_norm,
    projection,
    recurrent_dropout,
    zoneout,
)


def _candidate_dropout(cell: Cell) -> Cell:
    squashed = [name for name, node in cell.gates.items() if node.op in ("tanh", "relu")]
    return candidate_dropout(cell, 0.4, (squashed or list(cell.gates))[-1])


# Cells that mix their old output with the new one unit by unit: it cannot have fewer units.
MIXED = ("clockwork_rnn", "indrnn", "janet", "gru", "gru_2014", "mut1", "mut2", "mut3", "mgu")


def _projected(cell: Cell) -> Cell:
    return cell if cell.name in MIXED else projection(cell, 5)


OPTIONS: dict[str, Callable[[Cell], Cell]] = {
    "zoneout": lambda cell: zoneout(cell, 0.3),
    "recurrent_dropout": lambda cell: recurrent_dropout(cell, 0.4),
    "candidate_dropout": _candidate_dropout,
    "clip_state": lambda cell: clip_state(cell, 0.4),
    "layer_norm": layer_norm,
    "heads": lambda cell: heads(cell, 3),
    "layer_norm, zoneout, recurrent_dropout": lambda cell: recurrent_dropout(zoneout(layer_norm(cell), 0.3), 0.4),
    "projection, zoneout, recurrent_dropout": lambda cell: recurrent_dropout(zoneout(_projected(cell), 0.3), 0.4),
}


def _fits(option: str, cell: Cell) -> bool:
    recurrent = [weight for weight in cell.weights if weight.is_recurrent]
    if option == "heads" and any(weight.pattern for weight in recurrent):
        return False
    if option == "clip_state" and set(cell.states[1:]) <= set(cell.together) != set():
        return False
    return bool(recurrent) or not ("recurrent_dropout" in option or option == "heads")


OPTED: dict[str, Cell] = {
    f"{cell.name}, {option}": take(cell)
    for cell in CELLS.values()
    for option, take in OPTIONS.items()
    if _fits(option, cell)
}
