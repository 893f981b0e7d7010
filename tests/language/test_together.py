"""States that mean something only beside one another, and options that meet one another on a state."""

import pytest

from celda.cells import CELLS
from celda.language import CellError, cell, clip_state, gate, layer_norm, linear, sigmoid, zoneout


def names(taken):
    return {weight.name for weight in taken.weights}


@cell(together=("a", "n"))
def averaged(x, h, a, n):
    """A sum and what it is divided by."""
    k = gate("k", sigmoid, linear(x, h))
    a = k * a + (1 - k)
    n = k * n + 1
    return a / n, a, n


@pytest.mark.parametrize("one", [averaged, CELLS["slstm"], CELLS["slstm_exp"]], ids=lambda c: c.name)
def test_options_leave_them_alone(one):
    taken = zoneout(one, 0.1)
    assert list(taken.masks) == ["zoneout_h"]
    assert taken.together == one.together
    with pytest.raises(CellError, match="mean something only beside one another"):
        clip_state(one, 3.0)
    with pytest.raises(CellError, match="one by one"):
        zoneout(one, 0.1, "h", one.together[0])
    assert clip_state(one, 3.0, "h").name == f"clip_state({one.name}, 3, h)"


def test_they_are_states():
    with pytest.raises(CellError, match="has no state `c`"):

        @cell(together=("c",))
        def other(x, h):
            return gate("h", sigmoid, linear(x, h))


def test_the_memory_is_normalised_whether_zoneout_came_before_or_after():
    for name in ("lstm", "peephole_lstm"):
        one, other = zoneout(layer_norm(CELLS[name]), 0.1), layer_norm(zoneout(CELLS[name], 0.1))
        assert names(one) == names(other) >= {"norm_weight_c", "norm_bias_c"}
        assert one.equations().splitlines()[-1] == other.equations().splitlines()[-1]
