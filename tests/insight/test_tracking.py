"""Units that follow something: found where it is so, and not where it is chance."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from celda.errors import CeldaError
from celda.insight import tracking


@pytest.fixture
def noise():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(20, 10, 64)))


def test_a_unit_that_follows_a_number_or_a_label_is_found(noise):
    drawn = np.random.default_rng(1)
    number, label = drawn.normal(size=(20, 10)), drawn.random((20, 10)) < 0.3
    noise[..., 5] = torch.from_numpy(-2 * number)
    noise[..., 7] += torch.from_numpy(4.0 * label)
    first, second = sorted(tracking(noise, {"label": label, "number": number}), key=lambda one: one.measure == "AUC")
    assert (first.target, first.unit, first.held_out) == ("number", 5, pytest.approx(-1))
    assert (second.target, second.unit) == ("label", 7)
    assert second.held_out > 0.95
    wanted = roc_auc_score(label[:, :5].reshape(-1), noise[:, :5, 7].reshape(-1))
    assert second.chosen == pytest.approx(wanted)


def test_the_best_of_many_by_chance_is_flattered_where_it_was_picked_only(noise):
    number = np.random.default_rng(2).normal(size=(20, 10))
    (found,) = tracking(noise, {"chance": number})
    assert abs(found.chosen) > 0.2  # the best of 64, of 100 values each
    assert abs(found.held_out) < 0.2
    assert found.strength < 0.2


def test_what_is_missing_or_past_the_end_does_not_count(noise):
    number = noise[..., 3].numpy().copy()
    number[0] = np.nan
    mask = torch.ones(20, 10, dtype=torch.bool)
    mask[10:] = False
    number[10:] = 99.0
    (found,) = tracking(noise, {"number": number}, mask)
    assert (found.unit, found.held_out) == (3, pytest.approx(1))


def test_what_never_changes_is_left_out_and_too_few_sequences_are_told(noise):
    assert tracking(noise, {"constant": np.ones((20, 10)), "never": np.zeros((20, 10), bool)}) == []
    with pytest.raises(CeldaError, match="at least 4"):
        tracking(noise[:, :3], {})
    with pytest.raises(CeldaError, match=r"give \(20, 10\)"):
        tracking(noise, {"short": np.ones((20, 9))})


def test_values_targets_and_masks_that_cannot_be_are_told(noise):
    for values, target, mask, told in (
        (noise * torch.nan, np.ones((20, 10)), None, "values hold NaN"),
        (noise[..., 0], np.ones((20, 10)), None, "values have shape"),
        (noise, np.full((20, 10), "x"), None, "target == label"),
        (noise, np.ones((20, 10)), torch.ones(3, 3, dtype=torch.bool), "mask is"),
        (noise, np.ones((20, 10)), torch.ones(20, 10), "mask is"),
    ):
        with pytest.raises(CeldaError, match=told):
            tracking(values, {"it": target}, mask)


def test_nan_past_the_end_does_not_count(noise):
    mask = torch.ones(20, 10, dtype=torch.bool)
    mask[15:] = False
    number = noise[..., 3].numpy().copy()
    noise[15:] = torch.nan
    (found,) = tracking(noise, {"number": number}, mask)
    assert found.unit == 3
