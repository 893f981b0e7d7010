"""The LSTM with exponential gates, of xLSTM."""

from celda.language import cell, exp, gate, identity, linear, maximum, minimum, sigmoid, softplus, tanh, where


def log_sigmoid(a):
    """log(sigmoid(a)), without overflow."""
    return -softplus(-a)


@cell
def slstm(x, h, c, n, m):
    """LSTM with an exponential input gate and a normaliser n, the sLSTM of xLSTM (Beck et al. 2024).

    Memory and normaliser are kept divided by exp(m): without the stabiliser m the input gate would overflow, and the
    output does not depend on it. As long as nothing was taken in (n = 0), m has no past to look at. Then the forget
    gate multiplies zeros, and what is above 1 in it is cut off, as in the authors' code, lest infinity do so. The first
    step makes n 1, and it never falls below.
    """
    log_i = gate("log_i", identity, linear(x, h))
    log_f = gate("log_f", log_sigmoid, linear(x, h))
    z = gate("z", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    kept = log_f + m
    m = where(n == 0, log_i, maximum(kept, log_i))
    i = gate("i", exp, log_i - m)
    f = gate("f", exp, minimum(kept - m, 0))
    c = f * c + i * z
    n = f * n + i
    h = o * c / n
    return h, c, n, m
