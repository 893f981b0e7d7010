"""Which engine runs a call, and why."""

import pytest
import torch

import celda
from celda.engines import choose, empty_cache, forks
from celda.engines.cpu import launches, pool
from celda.errors import CeldaError

X = torch.zeros(2, 3, 4)


def test_the_cpu_engine_runs_floats_on_the_cpu():
    assert choose("auto", X).engine == "cpu"
    assert choose("auto", X.double()).engine == "cpu"


@pytest.mark.parametrize(("x", "why"), [(X.bfloat16(), "bfloat16"), (X.to("meta"), "meta")])
def test_what_it_cannot_run_goes_to_the_reference_and_the_plan_says_why(x, why):
    plan = choose("auto", x)
    assert plan.engine == "reference"
    assert why in plan.reason
    with pytest.raises(CeldaError, match=why):
        choose("cpu", x)


@pytest.mark.parametrize("engine", ["auto", "cpu"])
def test_an_empty_batch_needs_no_kernel(engine):
    plan = choose(engine, X[:, :0])
    assert (plan.engine, "empty" in plan.reason) == ("reference", True)
    x = torch.randn(4, 0, 3, requires_grad=True)
    layer = celda.LSTM(3, 5, 2, bidirectional=True, engine=engine)
    y, (h, _) = layer(x, lengths=torch.zeros(0, dtype=torch.long))
    assert (y.shape, h.shape) == ((4, 0, 10), (4, 0, 5))
    y.sum().backward()
    assert all(not p.grad.any() for p in layer.parameters())
    with pytest.raises(CeldaError, match="bfloat16"):
        choose("cpu", X[:, :0].bfloat16())


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
    monkeypatch.setenv("CELDA_ENGINE", "")
    assert choose("auto", X).engine == "cpu"
    assert "CELDA_ENGINE" not in str(choose("auto", X))
    monkeypatch.setenv("CELDA_ENGINE", "fast")
    with pytest.raises(CeldaError, match="CELDA_ENGINE"):
        choose("auto", X)


def test_a_forked_process_is_told_that_it_has_one_thread(monkeypatch):
    monkeypatch.setattr(forks, "_forked", True)
    assert "on one thread because this process is the child of a fork" in str(choose("auto", torch.zeros(1)))


def test_empty_cache_leaves_nothing_waiting():
    layer = celda.LSTM(16, 32, engine="cpu")
    x = torch.randn(200, 32, 16)
    wanted = layer(x)[0]
    wanted.sum().backward()
    assert pool.unused() > 0
    empty_cache()
    assert pool.unused() == 0
    assert launches.forward_launches.cache_info().currsize == 0
    assert torch.equal(layer(x)[0], wanted)
