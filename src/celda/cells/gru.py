"""The gated recurrent unit, in both its forms, and the unit with one gate."""

from celda.language import cell, gate, linear, sigmoid, tanh


@cell
def gru(x, h):
    """Gated recurrent unit, reset after the product (Cho et al. 2014, in the form of cuDNN and torch.nn.GRU)."""
    r = gate("r", sigmoid, linear(x, h))  # reset gate
    z = gate("z", sigmoid, linear(x, h))  # update gate
    n = gate("n", tanh, linear(x) + r * linear(h))  # candidate
    return (1 - z) * n + z * h


@cell
def gru_2014(x, h):
    """Gated recurrent unit, reset before the product (Cho et al. 2014): a second product inside the step."""
    r = gate("r", sigmoid, linear(x, h))
    z = gate("z", sigmoid, linear(x, h))
    n = gate("n", tanh, linear(x, r * h))
    return z * h + (1 - z) * n


@cell
def mgu(x, h):
    """Minimal gated unit: one gate both resets and updates (Zhou et al. 2016)."""
    f = gate("f", sigmoid, linear(x, h))
    n = gate("n", tanh, linear(x, f * h))
    return (1 - f) * h + f * n
