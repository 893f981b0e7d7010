"""The variants of "LSTM: a search space odyssey": each changes one thing of the peephole LSTM.

The paper's own names are the keys of `ODYSSEY`. Two of the nine are cells that have a name already: V, the vanilla
one, is `peephole_lstm`, and NP, without peepholes, is `lstm`.
"""

from celda.cells.lstm import lstm, peephole_lstm
from celda.language import Cell, cell, diagonal, gate, identity, linear, sigmoid, tanh


@cell
def lstm_nig(x, h, c):
    """Peephole LSTM without an input gate, NIG (Greff et al. 2015)."""
    f = gate("f", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = f * c + g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    return o * tanh(c), c


@cell
def lstm_nfg(x, h, c):
    """Peephole LSTM without a forget gate, NFG (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = c + i * g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    return o * tanh(c), c


@cell
def lstm_nog(x, h, c):
    """Peephole LSTM without an output gate, NOG (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    f = gate("f", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = f * c + i * g
    return tanh(c), c


@cell
def lstm_niaf(x, h, c):
    """Peephole LSTM without an input activation function, NIAF (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    f = gate("f", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", identity, linear(x, h))
    c = f * c + i * g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    return o * tanh(c), c


@cell
def lstm_noaf(x, h, c):
    """Peephole LSTM without an output activation function, NOAF (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    f = gate("f", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = f * c + i * g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    return o * c, c


@cell
def lstm_cifg(x, h, c):
    """Peephole LSTM whose forget gate is 1 minus its input gate, CIFG (Greff et al. 2015)."""
    i = gate("i", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = (1 - i) * c + i * g
    o = gate("o", sigmoid, linear(x, h) + diagonal(c))
    return o * tanh(c), c


@cell
def lstm_fgr(x, h, c, i, f, o):
    """Peephole LSTM whose gates also see all gates of the step before, FGR (Greff et al. 2015)."""
    gates = (i, f, o)
    i = gate("i", sigmoid, linear(x, h, *gates) + diagonal(c))
    f = gate("f", sigmoid, linear(x, h, *gates) + diagonal(c))
    g = gate("g", tanh, linear(x, h))
    c = f * c + i * g
    o = gate("o", sigmoid, linear(x, h, *gates) + diagonal(c))
    return o * tanh(c), c, i, f, o


ODYSSEY: dict[str, Cell] = {
    "V": peephole_lstm,
    "NIG": lstm_nig,
    "NFG": lstm_nfg,
    "NOG": lstm_nog,
    "NIAF": lstm_niaf,
    "NOAF": lstm_noaf,
    "CIFG": lstm_cifg,
    "NP": lstm,
    "FGR": lstm_fgr,
}
