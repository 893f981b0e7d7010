"""The recurrent network whose units do not see one another."""

from celda.language import cell, diagonal, gate, linear, relu


@cell
def indrnn(x, h):
    """Independently recurrent network: a unit sees of the step before itself alone (Li et al. 2018)."""
    return gate("h", relu, linear(x) + diagonal(h))
