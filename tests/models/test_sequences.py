"""Pooling, reading and the networks over sequences of unequal length."""

import math

import pytest
import torch

from celda.models import ClassificationNetwork, Pooling, ReadSeries, ReadWords, TaggingNetwork
from celda.models.pooling import KINDS


def outputs():
    made = torch.zeros(2, 3, 4)
    made[0] = torch.arange(12.0).reshape(3, 4)
    made[1, 0] = torch.tensor([5.0, -1, 2, 3])
    return made, torch.tensor([3, 1])


@pytest.mark.parametrize(
    ("kind", "both", "first"),
    [
        ("last", False, [8.0, 9, 10, 11]),
        ("last", True, [8.0, 9, 2, 3]),
        ("mean", False, [4.0, 5, 6, 7]),
        ("max", False, [8.0, 9, 10, 11]),
    ],
)
def test_pooling_by_hand(kind, both, first):
    pooled = Pooling(kind, 4, both)(*outputs())
    assert pooled[0].tolist() == first
    assert pooled[1].tolist() == [5.0, -1, 2, 3]  # of a single step it is that step


def test_attention_weighs_the_steps_that_are_there():
    pooling = Pooling("attention", 4)
    y, lengths = outputs()
    weights = pooling.weights(y, lengths)
    assert weights.sum(1).tolist() == pytest.approx([1, 1])
    assert weights[1].tolist() == [1, 0, 0]
    torch.testing.assert_close(pooling(y, lengths)[0], weights[0] @ y[0])


@pytest.mark.parametrize("kind", KINDS)
def test_what_fills_up_a_batch_changes_nothing(kind):
    torch.manual_seed(0)
    network = ClassificationNetwork(ReadSeries(2), 3, hidden_size=5, pooling=kind).eval()
    values, lengths = torch.randn(2, 6, 2), torch.tensor([6, 4])
    alone = network({"values": values[1:, :4], "lengths": lengths[1:]})
    torch.testing.assert_close(network({"values": values, "lengths": lengths})[1:], alone, atol=1e-6, rtol=1e-5)


def test_a_missing_value_fades_from_the_last_one_to_the_mean():
    reader = ReadSeries(1, masks=True)
    with torch.no_grad():
        reader.rate.fill_(0.5)
    column = lambda *numbers: torch.tensor(numbers)[None, :, None]  # noqa: E731
    batch = {"values": column(2.0, 2.0, 2.0), "seen": column(1.0, 0.0, 0.0), "gaps": column(0.0, 1.0, 3.0)}
    found = reader(batch)[0]
    assert found[:, 0].tolist() == pytest.approx([2, 2 * math.exp(-0.5), 2 * math.exp(-1.5)])
    assert found[:, 1].tolist() == [1, 0, 0]
    assert found[:, 2].tolist() == pytest.approx([0, math.log(2), math.log(4)])


def test_noise_and_hidden_words_are_of_training_alone():
    torch.manual_seed(0)
    series, words = ReadSeries(1, noise=1.0), ReadWords([10], [4], word_dropout=0.9)
    values, tokens = {"values": torch.zeros(2, 5, 1)}, {"tokens": torch.full((2, 5, 1), 7)}
    assert series(values).std() > 0.3
    assert series.eval()(values).eq(0).all()
    hidden = words(tokens).eq(words.embeddings[0].weight[1]).all(-1)
    assert hidden.any()
    assert words.eval()(tokens).equal(words.embeddings[0].weight[7].expand(2, 5, 4))


def test_the_loss_of_a_tagger_is_the_mean_over_steps_that_are_there():
    torch.manual_seed(0)
    network = TaggingNetwork(ReadSeries(2), 3, hidden_size=5).eval()
    batch = {"values": torch.randn(2, 4, 2), "lengths": torch.tensor([4, 1]), "target": torch.zeros(2, 4).long()}
    batch["target"][1, 1:] = -100
    logs = network(batch).log_softmax(-1)
    wanted = -(logs[0, :, 0].sum() + logs[1, 0, 0]) / 5
    torch.testing.assert_close(network.loss(batch), wanted)
    crf = TaggingNetwork(ReadSeries(2), 3, hidden_size=5, crf=True).eval()  # whose transitions begin at zero
    crf.load_state_dict(network.state_dict(), strict=False)
    torch.testing.assert_close(crf.loss(batch), wanted)
