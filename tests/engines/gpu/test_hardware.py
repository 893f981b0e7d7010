"""The GPU engine on a GPU: every cell and option is the reference in float64. `pytest -m gpu` runs these alone."""

from dataclasses import replace

import pytest
import torch

from celda.cells import CELLS
from celda.engines import choose
from tests.contract.cases import HIDDEN, Case, cases, exact, make, same, tensors, values
from tests.contract.odd import ODD
from tests.contract.options import OPTED

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("there is no GPU that torch can use", allow_module_level=True)
pytest.importorskip("triton")

ALL = {**CELLS, **OPTED, **ODD}
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
FACTORS = {"dtype": DTYPES, "resets": (False, True), "few": (False, True)}
CHOICES = {
    "larger": (0, 1),
    "steps": (1, 7),
    "width": (1, 40),
    "lengths": (False, True),
    "given": (False, True),
    "bias": (False, True),
    "reverse": (False, True),
    "constant": (False, True),
    "loss": ("y", "states", "both"),
}
OTHERS = Case(hidden=17, batch=7, resets=True, lengths=True)
CASES = [
    *cases(list(CELLS), HIDDEN, factors=FACTORS, choices=CHOICES),
    *((name, replace(OTHERS, dtype=dtype)) for name in (*ODD, *OPTED) for dtype in DTYPES),
]


def on_gpu(call):
    """The same call on the GPU; its tensors are leaves there."""
    there = lambda tensor: tensor.detach().cuda().requires_grad_(tensor.requires_grad)  # noqa: E731
    inputs = {name: there(tensor) for name, tensor in call.inputs.items()}
    weights = {name: there(tensor) for name, tensor in call.weights.items()}
    call = replace(call, inputs=inputs, states=tuple(map(there, call.states)), weights=weights)
    others = {name: getattr(call, name) for name in ("lengths", "resets")}
    return replace(call, **{name: None if value is None else value.cuda() for name, value in others.items()})


def check(cell, case):
    call = make(cell, case)
    wanted = values(exact(call), "reference", case.loss)
    found = values(on_gpu(call), "gpu", case.loss)
    same({name: value.cpu() for name, value in found.items()}, wanted, "gpu")


@pytest.fixture(autouse=True)
def ieee(monkeypatch):
    """Products of float32 numbers are not rounded to TF32."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize(("name", "case"), [pytest.param(*case, id="-".join(map(str, case))) for case in CASES])
def test_it_is_the_reference(name, case):
    check(ALL[name], case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", [64, 128, 300, 768])
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_2014"])
def test_large_layers_are_the_reference(name, hidden, dtype):
    check(ALL[name], Case(hidden=hidden, dtype=dtype, batch=33, steps=20, width=64, lengths=True))


def test_a_gradient_has_the_same_bits_each_time():
    call = on_gpu(make(ALL["peephole_lstm"], Case(hidden=64, dtype=torch.float32, batch=100, steps=30, lengths=True)))
    first, second = values(call, "gpu"), values(call, "gpu")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(tensor.is_cuda for tensor in tensors(call).values())


def test_it_is_what_runs_on_a_gpu():
    assert choose("auto", torch.zeros(2, 3, 4, device="cuda")).engine == "gpu"
