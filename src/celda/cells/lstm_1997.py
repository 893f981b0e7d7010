"""Long short-term memory as it was first: no forget gate, and gates that see one another."""

from celda.language import cell, gate, linear, sigmoid, stop_gradient


def squash_input(a):
    """The logistic function stretched to -2 ... 2: the paper's g."""
    return 4 * sigmoid(a) - 2


def squash_output(a):
    """The logistic function stretched to -1 ... 1: the paper's h."""
    return 2 * sigmoid(a) - 1


@cell
def lstm_1997(x, h, c, i, o):
    """The first long short-term memory, with the full gradient (Hochreiter & Schmidhuber 1997).

    The memory c has no forget gate. Gates and cells see the input and, from the step before, all outputs h and all
    gates i and o; so the gates are states. Every memory block is of one cell: larger ones, whose cells share their
    gates, cannot be written in the language.
    """
    before = (h, i, o)
    i = gate("i", sigmoid, linear(x, *before))
    g = gate("g", squash_input, linear(x, *before))
    o = gate("o", sigmoid, linear(x, *before))
    c = c + i * g
    h = o * squash_output(c)
    return h, c, i, o


@cell
def lstm_1997_truncated(x, h, c, i, o):
    """The first long short-term memory, with the paper's truncated gradient (Hochreiter & Schmidhuber 1997).

    It computes what `lstm_1997` does. But errors that arrive at the inputs of gates and cells go no further back in
    time: they flow back through the memory c alone, which hands them on unchanged.
    """
    before = [stop_gradient(a) for a in (h, i, o)]
    i = gate("i", sigmoid, linear(x, *before))
    g = gate("g", squash_input, linear(x, *before))
    o = gate("o", sigmoid, linear(x, *before))
    c = c + i * g
    h = o * squash_output(c)
    return h, c, i, o
