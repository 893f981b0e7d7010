"""The forward algorithm, Viterbi and the marginals against all sequences of tags, one by one."""

import copy
import itertools

import pytest
import torch

from celda.models import CRF

TAGS, LENGTHS = 3, [4, 1, 3]


@pytest.fixture
def crf():
    torch.manual_seed(0)
    made = CRF(TAGS).double()
    for weights in made.parameters():
        torch.nn.init.normal_(weights)
    return made


@pytest.fixture
def scores():
    return torch.randn(3, 4, TAGS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def of_one(crf, scores, tags):
    """The score of one sequence of tags, by its definition."""
    whole = crf.start[tags[0]] + crf.end[tags[-1]] + sum(scores[t, tag] for t, tag in enumerate(tags))
    return whole + sum(crf.transitions[a, b] for a, b in itertools.pairwise(tags))


def all_of(crf, scores, length):
    return {tags: of_one(crf, scores, tags).item() for tags in itertools.product(range(TAGS), repeat=length)}


def test_the_partition_and_the_likelihood_are_sums_over_all_sequences(crf, scores):
    tags = torch.randint(TAGS, (3, 4), generator=torch.Generator().manual_seed(2))
    found = crf.log_likelihood(scores, tags, torch.tensor(LENGTHS))
    for place, length in enumerate(LENGTHS):
        each = all_of(crf, scores[place], length)
        log_sum = torch.logsumexp(torch.tensor(list(each.values())).double(), 0)
        mine = tuple(tags[place, :length].tolist())
        assert found[place].item() == pytest.approx(each[mine] - log_sum.item(), abs=1e-6)


def test_decoding_finds_the_best_of_all_sequences(crf, scores):
    found = crf.decode(scores, torch.tensor(LENGTHS))
    for place, length in enumerate(LENGTHS):
        each = all_of(crf, scores[place], length)
        assert tuple(found[place, :length].tolist()) == max(each, key=each.get)
        assert not found[place, length:].any()


def test_the_marginals_are_sums_over_the_sequences_with_that_tag(crf, scores):
    found = crf.marginals(scores, torch.tensor(LENGTHS))
    for place, length in enumerate(LENGTHS):
        each = all_of(crf, scores[place], length)
        chance = torch.tensor(list(each.values())).double().softmax(0)
        wanted = torch.zeros(4, TAGS, dtype=torch.float64)
        for tags, p in zip(each, chance, strict=True):
            for t, tag in enumerate(tags):
                wanted[t, tag] += p
        torch.testing.assert_close(found[place], wanted, atol=1e-6, rtol=0)


def test_the_log_of_a_marginal_is_that_of_the_marginals_and_has_a_gradient(crf, scores):
    lengths = torch.tensor(LENGTHS)
    found = crf.marginals(scores, lengths)
    for step in range(max(LENGTHS)):
        for tag in range(TAGS):
            one = scores.detach().requires_grad_()
            log = crf.log_marginal(one, lengths, step, tag)
            within = lengths > step
            torch.testing.assert_close(log.exp()[within], found[within, step, tag])
            (gradient,) = torch.autograd.grad(log.sum(), one)
            assert gradient.isfinite().all()


def test_what_is_past_the_end_does_not_matter(crf, scores):
    tags, lengths = torch.zeros(3, 4, dtype=torch.long), torch.tensor(LENGTHS)
    other = scores.clone()
    other[1, 1:] = 50.0
    there = tags.clone()
    there[1, 1:] = -100
    assert crf.log_likelihood(scores, tags, lengths).equal(crf.log_likelihood(other, there, lengths))
    assert crf.decode(scores, lengths).equal(crf.decode(other, lengths))


@pytest.mark.parametrize("filling", [float("nan"), float("inf"), -float("inf")])
def test_not_even_what_is_not_finite_past_the_end_matters(crf, scores, filling):
    tags, lengths = torch.zeros(3, 4, dtype=torch.long), torch.tensor(LENGTHS)
    other = scores.clone()
    other[1, 1:], other[2, 3:] = filling, filling
    other.requires_grad_()
    found = crf.log_likelihood(other, tags, lengths)
    assert found.equal(crf.log_likelihood(scores, tags, lengths))
    assert crf.decode(scores, lengths).equal(crf.decode(other.detach(), lengths))
    assert crf.marginals(scores, lengths).equal(crf.marginals(other, lengths))
    found.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in (other, *crf.parameters()))


def test_single_precision_is_enough_for_a_long_sequence(crf):
    steps = 10_000
    scores = torch.randn(1, steps, TAGS, generator=torch.Generator().manual_seed(1)) * 3
    lengths, tags = torch.tensor([steps]), scores.argmax(2)
    single = copy.deepcopy(crf).float()
    double = copy.deepcopy(single).double()
    wanted = double.log_likelihood(scores.double(), tags, lengths)
    assert single.log_likelihood(scores, tags, lengths).item() == pytest.approx(wanted.item(), rel=1e-5)
    torch.testing.assert_close(
        single.marginals(scores, lengths).double(), double.marginals(scores.double(), lengths), atol=1e-5, rtol=0
    )
    found, best = single.decode(scores, lengths), double.decode(scores.double(), lengths)
    assert found.equal(best)
