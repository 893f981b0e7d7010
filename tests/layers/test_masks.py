"""The masks that layers draw: their probability, and the numbers they are made of."""

import struct

import pytest
import torch

from celda.engines import Plan, noise
from celda.layers.masks import bernoulli

ENGINES = [Plan("cpu", "compiled"), Plan("cpu", "compiled, seen by others", operator=True), Plan("reference", "")]
CPU = torch.device("cpu")
# what the authors' own program gives for the seed 1234567
KNOWN = (
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
)


@pytest.mark.parametrize("plan", ENGINES, ids=["cpu", "operator", "reference"])
@pytest.mark.parametrize("below", [-(2**15), -12345, 0, 1, 6789, 2**15 - 1])
def test_they_are_quarters_of_the_numbers_of_splitmix64(plan, below):
    quarters = struct.unpack("<20h", struct.pack("<5Q", *KNOWN))
    for count in (1, 3, 7, 19, 20):
        assert plan.pieces(torch.tensor([1234567]), count, below).tolist() == [q < below for q in quarters[:count]]


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63)])
def test_machine_code_finds_the_same(seed, slots):
    before = torch.get_num_threads()
    torch.set_num_threads(slots)
    try:
        for count in (1, 33, 1000, 70001, 200003):
            found = ENGINES[0].pieces(torch.tensor([seed]), count, 4321)
            assert torch.equal(found, noise.pieces(torch.tensor([seed]), count, 4321))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_they_have_their_probability_and_neighbours_have_nothing_to_do_with_each_other(probability):
    torch.manual_seed(0)
    values = bernoulli(ENGINES[0], (999, 333), probability, CPU)
    assert values.dtype == torch.bool
    assert values.shape == (999, 333)
    spread = (probability * (1 - probability)) ** 0.5
    assert values.double().mean().item() == pytest.approx(probability, abs=4 * spread / values.numel() ** 0.5)
    flat = values.double().flatten() - probability
    for lag in (1, 2, 333):  # neighbours come out of one number
        assert abs((flat[lag:] * flat[:-lag]).mean().item()) < 4 * spread**2 / flat.numel() ** 0.5


def test_one_after_the_other_has_nothing_to_do_with_the_first():
    torch.manual_seed(0)
    first, second = (bernoulli(ENGINES[0], (100000,), 0.5, CPU).double() - 0.5 for _ in range(2))
    assert abs((first * second).mean().item()) < 4 * 0.25 / 100000**0.5
    torch.manual_seed(0)
    assert torch.equal(bernoulli(ENGINES[2], (100000,), 0.5, CPU).double() - 0.5, first)


def test_at_the_ends():
    assert not bernoulli(ENGINES[0], (10, 10), 0.0, CPU).any()
    assert bernoulli(ENGINES[0], (10, 10), 1.0, CPU).all()
    assert bernoulli(ENGINES[0], (10, 10), 1 - 1e-7, CPU).float().mean() > 0.9
    assert bernoulli(ENGINES[0], (3, 1), 0.5, CPU).shape == (3, 1)
    assert bernoulli(ENGINES[0], (0, 5), 0.5, CPU).shape == (0, 5)


def test_under_a_default_device():
    with torch.device("meta"):
        assert ENGINES[0].pieces(torch.tensor([1234567], device="cpu"), 3, 0).device == CPU
