"""Initial weights, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from celda.checks import warn
from celda.errors import CeldaError
from celda.language import Cell, Groups, Narrow, Weight
from celda.language.expression import HIDDEN, Node
from celda.language.roles import Shift, memories, shift

Arrays = dict[str, Tensor]


def _torch(cell: Cell, arrays: Arrays, hidden_size: int) -> None:
    """Uniform within 1 / sqrt(hidden_size), as torch.nn.LSTM has it."""
    bound = 1.0 / math.sqrt(hidden_size)
    for weight in _of(cell, arrays):
        if weight.is_shift:
            arrays[weight.name].zero_()
        else:
            torch.nn.init.uniform_(arrays[weight.name], -bound, bound)


def _glorot_orthogonal(cell: Cell, arrays: Arrays, hidden_size: int) -> None:
    """As Keras: what multiplies an input uniform (Glorot & Bengio 2010), what multiplies a state orthogonal.

    Each matrix is taken as a whole, all gates together: so do Keras's `glorot_uniform` and `orthogonal`. Heads have one
    each, and what a cell leaves out of an orthogonal matrix is left out of it afterwards. Biases are 0,
    and 1 for a forget gate that is not coupled to what lets in: the LSTM's, not the GRU's (`unit_forget_bias`).
    """
    for weight in _of(cell, arrays):
        array = arrays[weight.name]
        if weight.is_bias or weight.is_shift:
            array.zero_()
        elif weight.columns == HIDDEN:
            exact = torch.promote_types(array.dtype, torch.float32)  # half has no QR decomposition
            for part in _parts(weight, array):
                rows = part.new_empty(part.shape[:-1].numel(), part.shape[-1], dtype=exact)
                part.copy_(torch.nn.init.orthogonal_(rows).view(part.shape))
        else:  # of a vector both fans are its length
            fans = array.shape[0] + array.shape[-1]
            torch.nn.init.uniform_(array, -math.sqrt(6 / fans), math.sqrt(6 / fans))
    for memory in memories(cell):
        if not memory.coupled:
            one = next(iter(arrays.values())).new_full((hidden_size,), float(memory.forget.sign))
            _set_bias(cell, arrays, shift(cell, memory.forget.node), one)


def _identity(cell: Cell, arrays: Arrays, hidden_size: int) -> None:
    """As the IRNN (Le, Jaitly & Hinton 2015): a state comes back unchanged, and the input is next to nothing.

    Each gate's recurrent matrix is the identity, its diagonals are 1, biases 0, all else N(0, 0.001), which is the
    standard deviation.
    """
    diagonals = {name for node, name in cell.vectors.items() if node.op == "diagonal"}
    for weight in _of(cell, arrays):
        array = arrays[weight.name]
        if weight.is_bias or weight.is_shift:
            array.zero_()
        elif weight.columns == HIDDEN:
            size = hidden_size if isinstance(weight.pattern, Narrow) else array.shape[1]
            for block in array.split(size):  # of heads, one for each
                torch.nn.init.eye_(block)
        elif weight.name in diagonals:
            array.fill_(1.0)
        else:
            torch.nn.init.normal_(array, 0.0, 0.001)


def _chrono(cell: Cell, arrays: Arrays, hidden_size: int, longest: int) -> None:
    """Biases for memories of 1 to `longest` steps (Tallec & Ollivier 2018); all else as torch.

    Forget gates get log U[1, longest - 1], input gates minus that, the sum of both biases counted.
    """
    _torch(cell, arrays, hidden_size)
    lasting: dict[Node, Tensor] = {}
    letting: dict[Node, Tensor] = {}
    for memory in memories(cell):
        if memory.forget.node not in lasting:
            drawn = next(iter(arrays.values())).new_empty(hidden_size).uniform_(1, longest - 1).log_()
            lasting[memory.forget.node] = memory.forget.sign * drawn
            letting |= {gate.node: -gate.sign * drawn for gate in memory.inputs}
    for node, value in (letting | lasting).items():
        _set_bias(cell, arrays, shift(cell, node), value)


INITS: dict[str, Callable[[Cell, Arrays, int], None]] = {
    "torch": _torch,
    "glorot_orthogonal": _glorot_orthogonal,
    "identity": _identity,
}
_NAMES = (*INITS, "chrono:784")


def _parts(weight: Weight, array: Tensor) -> Iterable[Tensor]:
    """The recurrent maps that an array holds: itself, or one a head, (blocks, units of the head, units of the head)."""
    if not isinstance(weight.pattern, Groups) or weight.pattern.later:
        return (array,)
    return array.view(weight.blocks, weight.pattern.count, -1, array.shape[1]).unbind(1)


def _of(cell: Cell, arrays: Arrays) -> list[Weight]:
    return [weight for weight in cell.weights if weight.name in arrays]


def _given(cell: Cell, name: str, block: int) -> float | None:
    """The initial value that the cell itself asks for."""
    return next(weight.initial[block] for weight in cell.weights if weight.name == name)


def _set_bias(cell: Cell, arrays: Arrays, where: Shift, value: Tensor) -> None:
    """Give a gate this bias in all, in the first array that holds a part of it, unless the cell says it all itself."""
    homes = [home for home in where.homes if home.name in arrays]
    fixed = {home: _given(cell, home.name, home.block) for home in homes}
    free = [home for home in homes if fixed[home] is None]
    if not free:
        return
    hidden_size = value.shape[0]
    for home in free[1:]:
        arrays[home.name].split(hidden_size)[home.block].zero_()
    rest = where.constant + sum(home.factor * given for home, given in fixed.items() if given is not None)
    arrays[free[0].name].split(hidden_size)[free[0].block].copy_((value - rest) / free[0].factor)


def _longest(init: str) -> int:
    """The T of "chrono:T"."""
    _, colon, steps = init.partition(":")
    if not (colon and steps.isdecimal() and int(steps) >= 2):
        raise CeldaError(
            f"init={init!r} does not say how many steps the longest dependence takes: write init='chrono:784' for "
            "one of 784 steps; a whole number of at least 2."
        )
    return int(steps)


def check_init(init: str, cell: Cell, bias: bool) -> None:
    """`init` names an initialisation that this cell can have."""
    if isinstance(init, str) and (init == "chrono" or init.startswith("chrono:")):
        _longest(init)
        _check_chrono(init, cell, bias)
    elif not isinstance(init, str) or init not in INITS:
        raise CeldaError(f"There is no initialisation {init!r}; write one of {', '.join(map(repr, _NAMES))}.")


def _check_chrono(init: str, cell: Cell, bias: bool) -> None:
    found = memories(cell)
    if not found:
        raise CeldaError(
            f"init={init!r} sets the bias of a forget gate, and the cell {cell.name} has none: no state of it is "
            "updated as `state = f * state + ...` with a sigmoid gate f. Write init='torch', or take a gated cell."
        )
    shifts = {memory.forget.node: shift(cell, memory.forget.node) for memory in found}
    biased = {w.name for w in cell.weights if w.is_bias}
    if not any(s.arrays - (set() if bias else biased) for s in shifts.values()):
        raise CeldaError(
            f"init={init!r} sets the bias of a forget gate, and there is none: "
            + (f"the cell {cell.name} gives that gate none." if bias else "leave out bias=False.")
        )
    if not any(_given(cell, h.name, h.block) is None for s in shifts.values() for h in s.homes):
        warn(
            f"init={init!r} leaves the forget gate alone: the cell {cell.name} says its initial bias itself, with "
            "gate(..., bias=...)."
        )


@torch.no_grad()
def initialise(cell: Cell, arrays: Arrays, hidden_size: int, init: str) -> None:
    """Fill the arrays of one layer and direction in order, then what the cell itself says (a forget gate's bias)."""
    if init in INITS:
        INITS[init](cell, arrays, hidden_size)
    else:
        _chrono(cell, arrays, hidden_size, _longest(init))
    for weight in _of(cell, arrays):
        for block, value in zip(arrays[weight.name].split(hidden_size), weight.initial, strict=True):
            if value is not None:
                block.fill_(value)
