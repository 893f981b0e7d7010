"""Integrated gradients: complete, and by hand where that can be done."""

import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.insight import integrated_gradients


def test_of_a_linear_function_it_is_weight_times_difference():
    w, x = torch.randn(4, 3), torch.randn(2, 4, 3)
    found = integrated_gradients(lambda a: (a * w).sum((1, 2)), x, 0.5, points=1)
    torch.testing.assert_close(found.values, w * (x - 0.5))
    assert found.gap < 1e-5


def test_of_a_product_by_hand():
    """x y from (0, 0): each of the two gets half of it."""
    x = torch.tensor([[[2.0], [3.0]]])
    found = integrated_gradients(lambda a: a[:, 0, 0] * a[:, 1, 0], x, points=2)
    assert found.values.flatten().tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("cell", ["lstm", "slstm"])
def test_what_a_network_says_is_shared_out_completely(cell):
    torch.manual_seed(0)
    layer, x = celda.Recurrent(cell, 3, 6, dtype=torch.float64), 2 * torch.randn(2, 12, 3, dtype=torch.float64)
    last = lambda a: layer(a.transpose(0, 1))[0][-1].sum(1)  # noqa: E731
    found = integrated_gradients(last, x)
    summed = found.values.sum((1, 2))
    torch.testing.assert_close(summed, last(x).detach() - last(torch.zeros_like(x)).detach(), rtol=1e-4, atol=1e-6)
    assert found.gap < 1e-4
    assert found.values.shape == x.shape


def test_what_cannot_be_shared_out_is_told():
    with pytest.raises(CeldaError, match="floating point"):
        integrated_gradients(lambda a: a.sum(1), torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(CeldaError, match="NaN"):
        integrated_gradients(lambda a: a.sum(1), torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(CeldaError, match="one number each"):
        integrated_gradients(lambda a: a, torch.ones(2, 3))
    with pytest.raises(CeldaError, match="points=0"):
        integrated_gradients(lambda a: a.sum(1), torch.ones(2, 3), points=0)


def summed(a):
    return a.sum(1)


@pytest.mark.parametrize(
    ("function", "baseline", "told"),
    [
        (summed, float("nan"), "baseline holds NaN"),
        (summed, torch.zeros(3), "baseline is of shape"),
        (summed, "zero", "baseline is 'zero'"),
        (lambda a: torch.zeros(len(a)), 0.0, "no gradient"),
        (torch.no_grad()(summed), 0.0, "no gradient"),
        (lambda a: 3.0, 0.0, "gives a float"),
        (lambda a: summed(a) * float("nan"), 0.0, "gives NaN"),
    ],
)
def test_a_baseline_or_function_that_cannot_be_is_told(function, baseline, told):
    with pytest.raises(CeldaError, match=told):
        integrated_gradients(function, torch.ones(2, 3), baseline)


def test_an_empty_batch_is_told():
    with pytest.raises(CeldaError, match="no sequence"):
        integrated_gradients(summed, torch.ones(0, 3))
