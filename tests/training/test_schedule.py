"""The learning rate over the steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from celda.training import TrainingConfig
from celda.training.schedule import learning_rate

SCHEDULES = ["one_cycle", "cosine", "constant"]


def rates(steps, **settings):
    config = TrainingConfig(learning_rate=0.5, **settings)
    return [learning_rate(config, step, steps) for step in range(steps)]


@given(st.integers(1, 200), st.floats(0, 0.99), st.sampled_from(SCHEDULES))
def test_the_rate_rises_over_the_warmup_and_never_after(steps, warmup, schedule):
    values = rates(steps, schedule=schedule, warmup=warmup)
    top = warmup * steps - 1
    assert all(0 < value <= 0.5 for value in values)
    for step in range(1, steps):
        if step <= top:
            assert values[step] > values[step - 1]
        elif step - 1 >= top:
            assert values[step] <= values[step - 1]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warmup_the_first_step_has_the_full_rate(schedule):
    assert rates(10, schedule=schedule, warmup=0)[0] == 0.5


def test_the_shapes():
    assert rates(8, schedule="constant", warmup=0.5) == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5, 0.5]
    cosine = rates(100, schedule="cosine", warmup=0.1)
    assert cosine[9] == 0.5
    assert cosine[9 + 91 // 2] == pytest.approx(0.25, abs=0.01)
    assert cosine[-1] < 0.001


def test_one_cycle_is_that_of_torch():
    steps, warmup = 50, 0.3
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    # torch ends its fall on the last step, ours would reach it one step later
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.5, total_steps=steps + 1, pct_start=warmup * steps / (steps + 1), cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert rates(steps, schedule="one_cycle", warmup=warmup) == pytest.approx(expected)
