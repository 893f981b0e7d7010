"""Which engine runs a call, and why."""

import pytest
import torch

from celda.engines import choose
from celda.errors import CeldaError

X = torch.zeros(2, 3, 4)


def test_the_cpu_engine_runs_floats_on_the_cpu():
    assert choose("auto", X).engine == "cpu"
    assert choose("auto", X.double()).engine == "cpu"


@pytest.mark.parametrize(("x", "why"), [(X.bfloat16(), "bfloat16"), (X.to("meta"), "meta"), (X[:, :0], "empty")])
def test_what_it_cannot_run_goes_to_the_reference_and_the_plan_says_why(x, why):
    plan = choose("auto", x)
    assert plan.engine == "reference"
    assert why in plan.reason
    with pytest.raises(CeldaError, match=why):
        choose("cpu", x)


def test_an_engine_can_be_asked_for_by_name():
    plan = choose("reference", X)
    assert plan.engine == "reference"
    assert "was asked for" in plan.reason
    with pytest.raises(CeldaError, match="engine='fast': there is no such engine"):
        choose("fast", X)


def test_the_environment_decides_for_layers_left_at_auto(monkeypatch):
    monkeypatch.setenv("CELDA_ENGINE", "reference")
    assert choose("auto", X).engine == "reference"
    assert "CELDA_ENGINE=reference" in choose("auto", X).reason
    assert choose("cpu", X).engine == "cpu"
    monkeypatch.setenv("CELDA_ENGINE", "fast")
    with pytest.raises(CeldaError, match="CELDA_ENGINE"):
        choose("auto", X)
