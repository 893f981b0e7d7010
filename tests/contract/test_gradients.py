"""The gradients of every cell with the options that change them most, against finite differences, on every engine.

What an engine computes is held to the reference elsewhere; this needs no reference. Kernels are those of `test_cells`.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from celda.cells import CELLS
from celda.engines import Plan
from tests.contract.cases import ENGINES, Case, make, seen
from tests.contract.options import OPTED

CASE = Case(hidden=17, batch=2, steps=3, width=2, resets=True, lengths=True)
PROJECTED = "projection, zoneout, recurrent_dropout"
TAKEN = [
    next(f"{name}, {o}" for o in ("layer_norm, zoneout, recurrent_dropout", "layer_norm") if f"{name}, {o}" in OPTED)
    for name in CELLS
    if name != "lstm_1997_truncated"  # its gradients are others on purpose
]


@pytest.mark.parametrize("engine", ["reference", *ENGINES])  # the gpu engine computes no float64
@pytest.mark.parametrize("name", [*TAKEN, f"lstm, {PROJECTED}", f"jordan, {PROJECTED}"])
def test_they_are_those_of_finite_differences(name, engine):
    """Along a drawn direction: a matrix of all derivatives would take minutes."""
    torch.set_num_threads(1)
    cell = OPTED[name]
    call, patterns = make(cell, CASE), {w.name: seen(w.pattern, CASE.hidden) for w in cell.weights if w.pattern}
    ends = [torch.arange(CASE.hidden) < cell.units(state, CASE.hidden) for state in cell.states]
    fixed = {*cell.masks, *cell.constants}
    inputs, weights = ([n for n in part if n not in fixed] for part in (call.inputs, call.weights))

    def compute(*given: Tensor) -> tuple[Tensor, ...]:
        rest = iter(given)
        said = call.inputs | {name: next(rest) for name in inputs}
        states = tuple(next(rest) * end for end in ends)
        learned = call.weights | {name: next(rest) for name in weights}
        for array, pattern in patterns.items():
            learned[array] = learned[array] * pattern.repeat(len(learned[array]) // CASE.hidden, 1)
        result = Plan(engine, "the test asks for it").run(replace(call, inputs=said, states=states, weights=learned))
        return tuple(value * end for value, end in zip((result.output, *result.states), (ends[0], *ends), strict=True))

    leaves = [*(call.inputs[n] for n in inputs), *call.states, *(call.weights[n] for n in weights)]
    for tensor in (*call.inputs.values(), *call.weights.values()):
        tensor.requires_grad_(any(tensor is leaf for leaf in leaves))
    assert torch.autograd.gradcheck(compute, leaves, fast_mode=True)
