"""Products of bfloat16 are the reference in float64 with rounded factors: outputs, final states, and all gradients."""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from celda.cells import CELLS
from celda.engines import Call
from celda.engines.cpu import kernels
from celda.language import cell, gate, linear, relu
from tests.contract.cases import OPTIONS, arrange, cases, exact, make, same, values
from tests.contract.odd import ODD
from tests.contract.options import OPTED

reference = import_module("celda.engines.reference.run")  # not the function of this name
ALL = {name: c for name, c in {**CELLS, **OPTED, **ODD}.items() if kernels.multiplies_bfloat16(c)}
KERNELS = {"dtype": (torch.float32,), "resets": (False, True), "few": (False, True)}
SOME = OPTIONS | {"larger": (1,), "steps": (7,), "width": (5, 40), "loss": ("both",), "constant": (True,)}
FURTHER = [name for name in OPTED if name in ALL and name.startswith(("lstm, ", "gru, "))]
FURTHER += [name for name in ODD if name in ALL and name != "comparing"]  # there a rounding leads to another branch
CASES = [
    *cases([name for name in CELLS if name in ALL], (1, 16, 17, 33), factors=KERNELS, choices=SOME),
    *cases(FURTHER, (17,), factors=KERNELS, choices=SOME),
]
# beside the tolerance of float32: a factor may be rounded to the other side, by a 256th, where it lies in the middle
SLACK = 1000.0

pytestmark = pytest.mark.skipif(not ALL, reason="this processor does not multiply bfloat16")


class Rounded(torch.autograd.Function):
    """x w^T, whose factors are rounded to bfloat16, and so are those of its gradients."""

    @staticmethod
    def forward(ctx, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return F.linear(rounded(x), rounded(w))

    @staticmethod
    def backward(ctx, d: Tensor) -> tuple[Tensor, Tensor]:
        x, w, d = map(rounded, (*ctx.saved_tensors, d))
        return d @ w, d.reshape(-1, d.shape[-1]).t() @ x.reshape(-1, x.shape[-1])


def rounded(value: Tensor) -> Tensor:
    return value.float().bfloat16().to(value)


@pytest.mark.parametrize(("name", "case"), [pytest.param(*case, id="-".join(map(str, case))) for case in CASES])
def test_it_is_the_reference_with_rounded_factors(name, case, monkeypatch):
    arrange(case, monkeypatch)
    call = make(ALL[name], case)
    found = values(replace(call, bfloat16=True), "cpu", case.loss)
    monkeypatch.setattr(reference, "F", SimpleNamespace(linear=Rounded.apply))
    same(found, values(exact(call), "reference", case.loss), "cpu", SLACK)


@cell
def counting(x, h):
    """A plain network that whole numbers go through."""
    return gate("g", relu, linear(x, h))


@pytest.mark.parametrize("hidden", [1, 2, 15, 16, 17, 31, 32, 33, 47, 80])
@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 33])
@pytest.mark.parametrize("batch", [1, 7])
def test_whole_numbers_are_exact(hidden, width, batch):
    g = torch.Generator().manual_seed(hidden)
    whole = lambda most, *size: torch.randint(-most, most + 1, size, generator=g).float().requires_grad_()  # noqa: E731
    sparse = lambda *size: (whole(1, *size) * (torch.rand(size, generator=g) < 0.2)).detach().requires_grad_()  # noqa: E731
    weights = {"weight_ih": sparse(hidden, width), "weight_hh": sparse(hidden, hidden)}
    call = Call(counting, {"x": whole(2, 3, batch, width)}, (whole(2, batch, hidden),), weights, bfloat16=True)
    found, wanted = values(call, "cpu"), values(exact(call), "reference")
    assert wanted["y"].max() <= 256  # larger ones have no room in the eight bits of a bfloat16
    for name in ("y", "h"):
        assert torch.equal(found[name].double(), wanted[name])


def test_other_dtypes_have_no_such_products():
    """A call may ask for them in float64, too: they are of float64 then."""
    random = lambda *size: torch.randn(size, dtype=torch.float64)  # noqa: E731
    weights = {"weight_ih": random(7, 5), "weight_hh": random(7, 7)}
    call = Call(counting, {"x": random(3, 2, 5)}, (random(2, 7),), weights, bfloat16=True)
    found = values(call, "cpu")
    for name, value in values(replace(call, bfloat16=False), "cpu").items():
        assert torch.equal(found[name], value)
