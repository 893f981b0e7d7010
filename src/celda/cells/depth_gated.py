"""The depth-gated LSTM: a gate from the memory of the layer below to the memory of this one."""

from celda.language import cell, diagonal, gate, linear, sigmoid, tanh


@cell
def depth_gated_lstm(x, h, c, *, c_below):
    """Depth-gated LSTM (Yao et al. 2015): the memories of a stack are joined by gates of their own.

    `c_below` is the memory of the layer below at the same step, 0 for the first layer.
    """
    i = gate("i", sigmoid, linear(x, h))
    f = gate("f", sigmoid, linear(x, h))
    g = gate("g", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    d = gate("d", sigmoid, linear(x) + diagonal(c) + diagonal(c_below))  # depth gate
    c = d * c_below + f * c + i * g
    h = o * tanh(c)
    return h, c
