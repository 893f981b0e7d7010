"""Long short-term memory, and the form whose gates see the memory."""

from celda.language import cell, diagonal, gate, linear, sigmoid, tanh


@cell
def lstm(x, h, c):
    """Long short-term memory with forget gates (Gers, Schmidhuber & Cummins 2000)."""
    i = gate("i", sigmoid, linear(x, h))  # input gate
    f = gate("f", sigmoid, linear(x, h))  # forget gate
    g = gate("g", tanh, linear(x, h))  # candidate memory
    o = gate("o", sigmoid, linear(x, h))  # output gate
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


@cell
def peephole_lstm(x, h, c):
    """LSTM whose gates see the memory (Gers & Schmidhuber 2000)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    f = gate("f", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = f * c + i * g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    h = o * tanh(c)
    return h, c


@cell
def coupled_lstm(x, h, c):
    """LSTM that forgets just as much as it takes in, without peepholes (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h))
    g = gate("g", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    c = (1 - i) * c + i * g
    h = o * tanh(c)
    return h, c
