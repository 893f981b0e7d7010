"""Just another network: an LSTM with nothing but a forget gate."""

from celda.language import cell, gate, identity, linear, sigmoid, tanh


@cell
def janet(x, h):
    """LSTM with a forget gate only, whose memory is its output (van der Westhuizen & Lasenby 2018).

    What is taken in is held 1 lower before it is squashed (the paper's β), so that more is kept than forgotten.
    """
    s = gate("s", identity, linear(x, h))
    g = gate("g", tanh, linear(x, h))
    return sigmoid(s) * h + (1 - sigmoid(s - 1)) * g
