"""Masks of a cell of one's own, and bad ones."""

import pytest
import torch

from celda.language import (
    CellError,
    cell,
    gate,
    linear,
    mask,
    tanh,
    zoneout,
)
from tests.language.graphs import forward
from tests.language.steps import F64, B, H, same, step_of


@cell
def noisy(x, h, c):
    """A cell with masks of its own: one anew at every step, and one a sequence."""
    heard = mask("heard", 0.9, every="sequence")
    g = gate("g", tanh, linear(x, h * heard, mask("pattern", 0.5)))
    c = c + mask("written", 0.25) * g
    return tanh(c), c


def test_masks_of_a_cell_of_ones_own():
    assert {n: (m.probability, m.every_step) for n, m in noisy.masks.items()} == {
        "heard": (0.9, False), "pattern": (0.5, True), "written": (0.25, True),
    }  # fmt: skip
    step, weights = step_of(noisy)
    x, bias = step["x"], weights["bias_ih"] + weights["bias_hh"]
    for each, given in ((noisy, step), (noisy.evaluation, {"heard": 0.9, "pattern": 0.5, "written": 0.25})):
        pattern = given["pattern"] * torch.ones(B, H, dtype=F64)
        inside = x @ weights["weight_ih"].T + (step["h"] * given["heard"]) @ weights["weight_hh"].T
        g = torch.tanh(inside + pattern @ weights["weight_hh2"].T + bias)
        wanted = step["c"] + given["written"] * g
        found = forward(each, step, weights, H)
        same(found[each.outputs["c"]], wanted)


def test_a_mask_of_an_option_keeps_clear_of_what_the_cell_has():
    @cell
    def taken(x, h, zoneout_h):
        kept = mask("zoneout_zoneout_h", 0.5)
        g = gate("g", tanh, linear(x, h))
        return g, zoneout_h * kept + g

    assert set(zoneout(taken, 0.2).masks) == {"zoneout_zoneout_h", "zoneout_h2", "zoneout_zoneout_h2"}


def bad_mask(*args, **named):
    def traced(x, h):
        return gate("g", tanh, linear(x, h)) * mask(*args, **named)

    return cell(traced)


MASKS = {
    "no probability": (lambda: bad_mask("kept", 1.5), 'mask("kept", 0.9)'),
    "a word": (lambda: bad_mask("kept", "often"), 'mask("kept", 0.9)'),
    "yes": (lambda: bad_mask("kept", True), 'mask("kept", 0.9)'),
    "not a number": (lambda: bad_mask("kept", float("nan")), 'mask("kept", 0.9)'),
    "no name": (lambda: bad_mask(0.9, 0.9), 'mask("kept", 0.9)'),
    "two words": (lambda: bad_mask("is kept", 0.9), 'mask("kept", 0.9)'),
    "forgotten": (lambda: bad_mask("kept"), 'mask("kept", 0.9)'),
    "another time": (lambda: bad_mask("kept", 0.9, every="epoch"), 'every="sequence"'),
    "an input's name": (lambda: bad_mask("x", 0.9), 'mask("x_mask", 0.9)'),
    "a state's name": (lambda: bad_mask("h", 0.9), 'mask("h_mask", 0.9)'),
    "outside": (lambda: mask("kept", 0.9), "@cell above the function"),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_bad_mask_is_answered(name):
    make, right = MASKS[name]
    with pytest.raises(CellError) as caught:
        make()
    assert right in str(caught.value)


def test_two_masks_of_one_name_and_one_without_effect():
    with pytest.raises(CellError, match='There are two masks "kept"'):

        @cell
        def twice(x, h):
            return gate("g", tanh, linear(x, h)) * mask("kept", 0.9) * mask("kept", 0.9)

    with pytest.raises(CellError, match="This mask has no effect"):

        @cell
        def idle(x, h):
            mask("kept", 0.9)
            return gate("g", tanh, linear(x, h))
