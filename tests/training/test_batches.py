"""Batches: the order, the fetching, the shares of processes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import IterableDataset, TensorDataset

from celda import CeldaError
from celda.training import batches

X = torch.arange(12.0).reshape(6, 2)


class PerSample:
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {"x": X[index], "n": index}


class Listed(PerSample):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


class Gathered(PerSample):
    def __getitem__(self, index):
        raise AssertionError("a sample was fetched alone")

    def __getitems__(self, indices):
        return {"x": X[indices], "n": torch.tensor(indices)}


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**31 - 1), st.integers(1, 100))
def test_an_epoch_has_each_sample_once_in_batches_of_nearly_one_size(samples, batch_size, seed, epoch):
    order = batches.shuffled(samples, batch_size, seed, epoch)
    sizes = [len(indices) for indices in order]
    assert sorted(torch.cat(order).tolist()) == list(range(samples))
    assert len(order) == batches.batch_count(samples, batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return torch.cat(batches.shuffled(50, 7, seed, epoch)).tolist()

    first = order(0, 1)
    torch.manual_seed(99)
    assert order(0, 1) == first
    assert order(0, 2) != first
    assert order(1, 1) != first


@pytest.mark.parametrize("dataset", [PerSample(), Listed(), Gathered()])
def test_fetching_gives_the_same_batch_whatever_the_data_set_offers(dataset):
    batch = batches.fetch(dataset, torch.tensor([4, 1]))
    assert torch.equal(batch["x"], X[[4, 1]])
    assert batch["n"].tolist() == [4, 1]


def test_a_tensor_dataset_is_indexed_once():
    x, n = batches.fetch(TensorDataset(X, torch.arange(6)), torch.tensor([4, 1]))
    assert torch.equal(x, X[[4, 1]])
    assert n.tolist() == [4, 1]


@given(st.integers(1, 20), st.integers(1, 8))
def test_shards_share_out_a_batch(samples, processes):
    indices = torch.arange(samples)
    shards = [batches.shard(indices, process, processes) for process in range(processes)]
    counted = torch.cat([part for part, share in shards if share])
    assert sorted(counted.tolist()) == list(range(samples))
    assert sum(share for _, share in shards) == pytest.approx(1)
    assert all(len(part) for part, _ in shards)


def test_a_data_set_is_described_by_its_shapes():
    assert batches.describe(PerSample()) == "6 samples (x float32[2], n int64[])"
    assert batches.describe(TensorDataset(X)) == "6 samples (0 float32[2])"
    assert batches.describe(None) == "none"


class Stream(IterableDataset):
    def __iter__(self):
        return iter(X)


@pytest.mark.parametrize(("dataset", "message"), [(Stream(), "a Stream, has no length"), ([], "is empty")])
def test_what_cannot_be_indexed_is_refused(dataset, message):
    with pytest.raises(CeldaError, match=message):
        batches.check(dataset, "training")
