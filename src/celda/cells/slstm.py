"""The LSTM with exponential gates, of xLSTM: with the one and the other of the paper's two forget gates."""

from celda.language import cell, exp, gate, identity, linear, maximum, minimum, sigmoid, softplus, tanh, where


def log_sigmoid(a):
    """log(sigmoid(a)), without overflow."""
    return -softplus(-a)


def stabilised(log_i, log_f, z, o, c, n, m):
    """The new states, from the logarithms of the exponential gates."""
    kept = log_f + m
    m = where(n == 0, log_i, maximum(kept, log_i))
    i = gate("i", exp, log_i - m)
    f = gate("f", exp, minimum(kept - m, 0))
    c = f * c + i * z
    n = f * n + i
    h = o * c / n
    return h, c, n, m


@cell(together=("c", "n", "m"))
def slstm(x, h, c, n, m):
    """LSTM with an exponential input gate and a normaliser n, the sLSTM of xLSTM (Beck et al. 2024).

    The forget gate is the logistic one of the paper's two. Memory and normaliser are kept divided by exp(m), since the
    input gate itself would overflow; the output does not depend on m. As long as nothing was taken in (n = 0), m has no
    past to look at: the forget gate then multiplies zeros, and is held at 1 or below, as in the authors' code, lest it
    be infinite. The first step makes n 1, and it never falls below.
    """
    log_i = gate("log_i", identity, linear(x, h))
    log_f = gate("log_f", log_sigmoid, linear(x, h))
    z = gate("z", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    return stabilised(log_i, log_f, z, o, c, n, m)


@cell(together=("c", "n", "m"))
def slstm_exp(x, h, c, n, m):
    """LSTM with exponential input and forget gates, the other sLSTM of xLSTM (Beck et al. 2024).

    A forget gate above 1 lets the memory grow, and the normaliser with it: what came earlier weighs more.
    """
    log_i = gate("log_i", identity, linear(x, h))
    log_f = gate("log_f", identity, linear(x, h))
    z = gate("z", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    return stabilised(log_i, log_f, z, o, c, n, m)
