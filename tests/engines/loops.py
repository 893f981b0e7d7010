"""A step of each shipped cell by hand, as plainly as torch allows: (inputs, states, weights) -> named values."""

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def _maps(x: Tensor, h: Tensor, w: Weights, gates: int) -> tuple[Tensor, ...]:
    both = x @ w["weight_ih"].T + h @ w["weight_hh"].T
    both = both + w["bias_ih"] + w["bias_hh"] if "bias_ih" in w else both
    return both.chunk(gates, -1)


def rnn(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": torch.tanh(a)}


def rnn_relu(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": a.clamp(min=0)}


def image_rnn(inputs, states, w):
    (a,) = _maps(inputs["x"], states["h"], w, 1)
    return {"h": torch.tanh(a + inputs["image"] @ w["weight_image"].T)}


def lstm(inputs, states, w):
    i, f, g, o = _maps(inputs["x"], states["h"], w, 4)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = f * states["c"] + i * g
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def peephole_lstm(inputs, states, w):
    i, f, g, o = _maps(inputs["x"], states["h"], w, 4)
    i = torch.sigmoid(i + w["diagonal_i"] * states["c"])
    f = torch.sigmoid(f + w["diagonal_f"] * states["c"])
    g = torch.tanh(g)
    c = f * states["c"] + i * g
    o = torch.sigmoid(o + w["diagonal_o"] * c)
    return {"i": i, "f": f, "g": g, "o": o, "c": c, "h": o * torch.tanh(c)}


def gru(inputs, states, w):
    x, h = inputs["x"] @ w["weight_ih"].T, states["h"] @ w["weight_hh"].T
    if "bias_ih" in w:
        x, h = x + w["bias_ih"], h + w["bias_hh"]
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), h.chunk(3, -1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return {"r": r, "z": z, "n": n, "h": (1 - z) * n + z * states["h"]}


def gru_2014(inputs, states, w):
    r, z, _ = _maps(inputs["x"], states["h"], w, 3)
    r, z = torch.sigmoid(r), torch.sigmoid(z)
    *_, n = _maps(inputs["x"], r * states["h"], w, 3)
    n = torch.tanh(n)
    return {"r": r, "z": z, "n": n, "h": z * states["h"] + (1 - z) * n}


LOOPS = {step.__name__: step for step in (rnn, rnn_relu, image_rnn, lstm, peephole_lstm, gru, gru_2014)}
