"""Gradients too small for a full mantissa: x86 is slow at them, so the sweep writes 0 instead."""

import pytest
import torch

import celda
from celda.engines.cpu import machine
from celda.language import cell, exp, gate, linear, log, sqrt

LEAST = torch.finfo(torch.float32).tiny
TINY = 1e-39  # below it


def test_the_sweep_writes_zero_instead():
    torch.manual_seed(0)
    layer, x = celda.LSTM(3, 17), torch.randn(5, 4, 3, requires_grad=True)
    output, _ = layer(x)
    output.backward(torch.full_like(output, TINY))
    reference = celda.LSTM(3, 17, engine="reference")
    reference.load_state_dict(layer.state_dict())
    wanted = x.detach().clone().requires_grad_()
    y, _ = reference(wanted)
    y.backward(torch.full_like(y, TINY))
    assert wanted.grad.abs().max() > 0
    assert (x.grad - wanted.grad).abs().max() < LEAST
    if machine.X86:
        assert not x.grad.any()


def test_all_else_goes_on_with_them():
    """Also on the threads that ran the sweep."""
    layer, x = celda.LSTM(64, 64), torch.randn(20, 32, 64, requires_grad=True)
    many = torch.full((2**20,), 1e-30)
    layer(x)[0].sum().backward()
    assert (many * 1e-10 > 0).all()
    assert (torch.full((1,), 1e-30) * 1e-10 > 0).all()


def test_the_forward_pass_keeps_them():
    layer = celda.Recurrent("rnn_relu", 1, 1, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1.0)
    assert layer(torch.full((1, 1, 1), TINY))[0].item() > 0


@cell
def logarithm(x, h):
    return log(gate("a", exp, linear(x, h)))


@cell
def root(x, h):
    return sqrt(gate("a", exp, linear(x, h)))


@cell
def rectified(x, h):
    return celda.language.relu(gate("a", exp, linear(x, h)))


@pytest.mark.parametrize("of", [logarithm, root, rectified], ids=lambda of: of.name)
def test_where_a_gate_is_one_its_gradient_is_right(of):
    """Divided by it, or asked whether it is above 0."""
    torch.manual_seed(0)
    layer = celda.Recurrent(of, 3, 5)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            if name.startswith("bias"):
                value.fill_(-45.0)  # of both: exp(-90) is 8e-40
    slow = celda.Recurrent(of, 3, 5, engine="reference")
    slow.load_state_dict(layer.state_dict())
    x = torch.randn(1, 2, 3)
    found, wanted = [], []
    for each, into in ((layer, found), (slow, wanted)):
        y, _ = each(x)
        into += torch.autograd.grad((1e-3 * y).mean(), [p for n, p in each.named_parameters() if "ih" in n])
    for a, b in zip(found, wanted, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=1e-3, atol=LEAST)
