"""Layers whose weights are to be told apart, and inputs."""

import warnings

import torch

import celda

SHAPES = {
    "one layer": {},
    "both directions": {"bidirectional": True},
    "two layers": {"num_layers": 2},
    "two layers in both directions": {"num_layers": 2, "bidirectional": True},
    "no biases": {"bias": False},
}


def layer(cell, seed=0, hidden=4, dtype=torch.float64, **options):
    """A layer with large weights, so that any two gates do different things."""
    torch.manual_seed(seed)
    made = celda.Recurrent(cell, 3, hidden, dtype=dtype, **options)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(2.0)
    return made


def numbers(steps=5, batch=2, dtype=torch.float64):
    return torch.randn(steps, batch, 3, dtype=dtype, generator=torch.Generator().manual_seed(1))


def parametrized():
    """A layer one of whose arrays is computed."""
    made = layer("lstm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.utils.parametrizations.weight_norm(made, "weight_hh_l0")
    return made
