"""Every cell on every engine is the reference in float64: outputs, final states, and every gradient."""

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from celda.cells import CELLS
from celda.language import Cell
from tests.contract.cases import ENGINES, HIDDEN, OPTIONS, Case, arrange, cases, exact, make, same, values
from tests.contract.odd import ODD
from tests.contract.options import OPTED
from tests.strategies import random_cells

ALL = {**CELLS, **OPTED, **ODD}
MANY = {"dtype": (torch.float32,), "resets": (True,), "few": (False,)}
FEW = {"dtype": (torch.float64,), "resets": (True,), "few": (True,)}
FEWER = OPTIONS | {"larger": (1,), "steps": (7,), "width": (5,), "threads": (2,), "loss": ("both",)}
FEWER |= {"constant": (True,), "cut": (True,), "units": (False,)}
CASES = [
    *cases(list(CELLS), HIDDEN),
    *cases(list(CELLS), (7,), gradients=False, factors=MANY),
    *cases(list(ODD), (17,), factors=FEW),  # of cells that nobody ships fewer
    *cases(list(ODD), (7,), gradients=False, factors=MANY),
    *cases(list(OPTED), (17,), factors=FEW, choices=FEWER),  # of these there are hundreds
]


def check(cell: Cell, engine: str, case: Case, monkeypatch: pytest.MonkeyPatch, slack: float = 1.0) -> None:
    """Run a case on the engine and on the reference in float64."""
    arrange(case, monkeypatch)
    call = make(cell, case)
    same(values(call, engine, case.loss), values(exact(call), "reference", case.loss), engine, slack)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "case"), [pytest.param(*case, id="-".join(map(str, case))) for case in CASES])
def test_it_is_the_reference(name, engine, case, monkeypatch):
    check(ALL[name], engine, case, monkeypatch)


@settings(
    max_examples=5,
    derandomize=True,
    phases=[Phase.generate],  # to make a cell smaller is to compile it over and over
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(random_cells(), st.data())
@pytest.mark.parametrize("engine", ENGINES)
def test_any_cell_is_the_reference(engine, monkeypatch, drawn, data):
    options = {"steps": st.integers(1, 5), "batch": st.integers(1, 9), "hidden": st.integers(1, 20)}
    options |= {"threads": st.integers(1, 3), "width": st.integers(1, 20)}
    options |= dict.fromkeys(
        ("resets", "lengths", "given", "bias", "reverse", "constant", "cut", "units"), st.booleans()
    )
    check(drawn, engine, Case(**data.draw(st.fixed_dictionaries(options))), monkeypatch, slack=1e4)
