"""NaN and infinity go where the reference says, and no further: a reset stops them."""

from dataclasses import replace

import pytest
import torch

from celda.cells import CELLS
from celda.engines import Plan
from tests.contract.cases import ENGINES, Case, make, values
from tests.contract.odd import ODD
from tests.tolerances import TOLERANCES

CASE = Case(hidden=7, batch=7, steps=7, resets=True)  # a kernel of its own: the same for all tests here
ALL = {**CELLS, **ODD}
BAD = (torch.nan, torch.inf, -torch.inf)


def _spoilt(call, where, bad):
    spoilt = {
        "input": call.inputs["x"][3, 2],
        "state": call.states[-1][4],
        "weight": next(iter(call.weights.values()))[2],
    }
    spoilt[where].data[1] = bad
    return call


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("where", ["input", "state", "weight"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", CELLS)
def test_they_go_where_the_reference_says(engine, name, where, bad):
    """Gradients may be finite where the reference multiplies by zero what no sequence has."""
    for case in (CASE, replace(CASE, lengths=True, reverse=True)):
        call = _spoilt(make(CELLS[name], case), where, bad)
        found, wanted = values(call, engine), values(call, "reference")
        for what, value in wanted.items():
            here = value.isfinite() if what.startswith("d ") and case.lengths else slice(None)
            allowed = TOLERANCES[engine, torch.float64]
            torch.testing.assert_close(
                found[what][here], value[here], **allowed, equal_nan=True, msg=lambda s, what=what: f"{what}: {s}"
            )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", CELLS)
def test_a_reset_stops_them(engine, name, bad, reverse):
    call = make(CELLS[name], replace(CASE, reverse=reverse))
    resets = torch.zeros(CASE.steps, CASE.batch, dtype=torch.bool)
    resets[4, 2] = True
    call = replace(call, resets=resets)
    clean = Plan(engine, "").run(call)
    call.inputs["x"].data[3, 2] = bad
    found = Plan(engine, "").run(call)
    beyond = slice(4, None)  # the reset lies between this and the bad step
    assert torch.equal(found.output[beyond], clean.output[beyond])
    assert not torch.equal(found.output[3], clean.output[3])
    if reverse:
        assert not torch.equal(found.output[2], clean.output[2])
    else:
        assert torch.equal(found.output[:3], clean.output[:3])
        assert all(map(torch.equal, found.states, clean.states))
    others = [k for k in range(CASE.batch) if k != 2]
    assert torch.equal(found.output[:, others], clean.output[:, others])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ALL)
def test_past_the_end_of_a_sequence_they_are_not_there(engine, name):
    call = make(ALL[name], replace(CASE, lengths=True, constant=False))
    clean = values(call, engine)
    assert (call.lengths < CASE.steps).any()
    for k, length in enumerate(call.lengths.tolist()):
        for value in call.inputs.values():
            value.data[length:, k] = torch.nan
    found = values(call, engine)
    assert all(torch.equal(found[name], clean[name]) for name in clean)
