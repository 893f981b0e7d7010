import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import celda
from celda.engines.cpu import pool

LARGE = pool.SMALLEST // 4  # float32 elements


@pytest.fixture(autouse=True)
def empty_pool():
    gc.collect()  # what other tests left comes back now
    pool.clear()
    yield
    pool.clear()


def test_a_buffer_has_the_size_and_dtype_asked_for():
    for size, dtype in (((3, 5), torch.float32), ((0, 4), torch.float64), ((700, 333), torch.float64)):
        tensor = pool.lease(size, dtype).tensor
        assert (tuple(tensor.shape), tensor.dtype) == (size, dtype)
        assert tensor.is_contiguous()
        assert tensor.data_ptr() % 64 == 0


def test_what_was_given_back_is_used_again():
    lease = pool.lease((LARGE,), torch.float32)
    address = lease.tensor.data_ptr()
    assert pool.unused() == 0
    del lease
    assert pool.unused() >= 4 * LARGE
    assert pool.lease((2, LARGE // 2), torch.float32).tensor.data_ptr() == address


def test_what_is_held_is_given_to_nobody_else():
    first, second = (pool.lease((LARGE,), torch.float32) for _ in range(2))
    assert first.tensor.data_ptr() != second.tensor.data_ptr()


def test_a_buffer_serves_its_own_dtype_only():
    address = pool.lease((LARGE,), torch.float32).tensor.data_ptr()
    other = pool.lease((LARGE,), torch.float64).tensor
    assert other.data_ptr() != address
    assert pool.unused() > 0


def test_nearly_equal_sizes_share_and_waste_at_most_an_eighth():
    for count in range(LARGE, 4 * LARGE, 997):
        lease = pool.lease((count,), torch.float32)
        del lease
        assert 4 * count <= pool.unused() <= 4 * count * 9 / 8
        pool.clear()
    pool.lease((16 * LARGE - 5,), torch.float32)
    kept = pool.unused()
    pool.lease((16 * LARGE - 99,), torch.float32)
    assert pool.unused() == kept


def test_small_buffers_are_left_to_the_allocator():
    pool.lease((LARGE - 1,), torch.float32)
    assert pool.unused() == 0


def test_no_more_than_the_limit_lies_unused(monkeypatch):
    monkeypatch.setattr(pool, "LIMIT", 40 * LARGE)
    leases = [pool.lease((LARGE,), torch.float32) for _ in range(30)]
    while leases:
        leases.pop()
        assert pool.unused() <= pool.LIMIT
    assert pool.unused() > 0
    assert pool.unused() > 20 * LARGE  # the oldest went, not all of them
    pool.lease((11 * LARGE,), torch.float32)  # more than the limit alone
    assert pool.unused() <= pool.LIMIT


def test_what_was_not_used_for_the_longest_goes_first(monkeypatch):
    monkeypatch.setattr(pool, "LIMIT", 40 * LARGE)
    pool.lease((LARGE,), torch.float32)  # a size that is in use from the beginning to the end
    pool.lease((8 * LARGE,), torch.float32)  # one that is no longer
    pool.lease((LARGE,), torch.float32)
    pool.lease((3 * LARGE,), torch.float32)  # more than there is room for
    assert pool.unused() == 4 * (LARGE + 3 * LARGE)  # that no longer used went, and no other


def test_threads_never_hold_one_buffer_at_a_time():
    def work(number):
        for k in range(200):
            lease = pool.lease((LARGE + 8 * (k % 3),), torch.float32)
            lease.tensor[::4096] = number
            assert (lease.tensor[::4096] == number).all()
            del lease

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert 0 < pool.unused() <= 8 * 3 * 4 * LARGE * 9 / 8


def test_a_large_tensor_of_the_callers_comes_back_when_no_view_of_it_is_left():
    rows = pool.LARGEST // 4 // 8 + 1
    tensor = pool.empty(torch.empty(0), rows, 8)
    view, address = tensor[1:, 0], tensor.data_ptr()
    assert (tensor.shape, tensor.dtype) == ((rows, 8), torch.float32)
    del tensor
    gc.collect()
    assert pool.unused() == 0
    other = pool.empty(torch.empty(0), rows, 8)
    assert other.data_ptr() != address
    del view
    gc.collect()
    assert pool.unused() >= pool.LARGEST
    assert pool.empty(torch.empty(0), rows, 8).data_ptr() == address


@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 5])])
def test_a_large_output_may_be_changed_in_place(monkeypatch, lengths):
    monkeypatch.setattr(pool, "LARGEST", 0)
    layer, x, scale = celda.LSTM(3, 4, engine="cpu"), torch.randn(5, 2, 3), torch.full((4,), 2.0, requires_grad=True)
    with torch.no_grad():
        y = layer(x, lengths=lengths)[0]
    y.mul_(scale)
    torch.testing.assert_close(y, 2 * layer(x, lengths=lengths)[0])


def test_a_small_tensor_of_the_callers_is_torchs_own():
    pool.empty(torch.empty(0), pool.LARGEST // 8, 2)
    gc.collect()
    assert pool.unused() == 0
