"""The clockwork network: groups of units that run at different speeds."""

from celda.language import Cell, cell, gate, group, linear, tanh, time, where


def clockwork(count: int = 4) -> Cell:
    """The clockwork network with `count` groups of units, of the periods 1, 2, 4, ..."""

    @cell
    def clockwork_rnn(x, h):
        """Clockwork RNN (Koutník et al. 2014).

        A unit of group g is computed at every 2^g-th step and keeps its value at the others. It sees its own group and
        the slower ones.
        """
        new, period = gate("new", tanh, linear(x, h, groups=count)), 1.0
        for g in range(1, count):
            period = where(group(count) >= g, 2.0**g, period)
        return where(time() % period == 0, new, h)

    return clockwork_rnn


clockwork_rnn = clockwork()
