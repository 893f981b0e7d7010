"""Weight decay: which parameters, and how much."""

import pytest
import torch
from torch import nn

from celda import CeldaError
from celda.training.optimizer import make_optimizer
from tests.training.toy import toy


def test_only_matrices_are_decayed():
    model = toy()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"]
        for group in make_optimizer(model, "adamw", 0.1).param_groups
        for p in group["params"]
    }
    assert decays == {name: 0.0 if "bias" in name else 0.1 for name in names.values()}


def test_decay_shrinks_a_weight_apart_from_its_gradient():
    model = nn.Linear(2, 2)
    before = [parameter.detach().clone() for parameter in (model.weight, model.bias)]
    optimizer = make_optimizer(model, "adamw", 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model.weight, before[0] * (1 - 0.5 * 0.1))
    torch.testing.assert_close(model.bias, before[1])


def test_frozen_parameters_stay_out_and_something_must_be_left():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    assert [group["params"] for group in make_optimizer(model, "adamw", 0.1).param_groups] == [[model.bias]]
    model.bias.requires_grad_(False)
    with pytest.raises(CeldaError, match="no parameter to train"):
        make_optimizer(model, "adamw", 0.1)
