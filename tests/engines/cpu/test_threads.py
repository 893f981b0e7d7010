import ctypes
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from llvmlite import ir

from celda.engines.cpu import jit, threads
from celda.engines.cpu.emit import I64, Emit

PIECE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
PARALLEL_FOR = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
WIDTH = 12
MASK = 0xFFFFFFFF


def _kernel():
    """Arguments: steps, slots seen, calls, then two rows. In step t each number is made of two of the row before, one
    of them in a neighbour's part, and the slots meet after every step."""
    module = ir.Module("test")
    f = ir.Function(module, threads.KERNEL, "run")
    slot, slots, arguments, counters = f.args
    b = ir.IRBuilder(f.append_basic_block())
    e = Emit(b, module, "float64", 1)
    b.store(slots, e.at(arguments, 1))
    b.atomic_rmw("add", e.at(arguments, 2), I64(1), "monotonic")
    rows = e.at(arguments, 3)
    first, last = (b.udiv(b.mul(k, I64(WIDTH)), slots) for k in (slot, b.add(slot, I64(1))))

    def step(t, _):
        old = e.at(rows, b.mul(b.and_(t, I64(1)), I64(WIDTH)))
        new = e.at(rows, b.mul(b.and_(b.add(t, I64(1)), I64(1)), I64(WIDTH)))

        def one(i, _):
            there = b.urem(b.add(i, I64(1)), I64(WIDTH))
            value = b.add(b.mul(b.load(e.at(old, i)), I64(3)), b.load(e.at(old, there)))
            b.store(b.and_(value, I64(MASK)), e.at(new, i))

        e.loop(last, one, start=first)
        e.barrier(counters, slots, b.mul(b.add(t, I64(1)), slots))

    e.loop(b.load(arguments), step)
    b.ret_void()
    return jit.compile(module, ["run"])


KERNEL = _kernel()


def expected(steps):
    row = np.arange(WIDTH)
    for _ in range(steps):
        row = (row * 3 + np.roll(row, -1)) & MASK
    return row


def call(slots, steps):
    """Run the kernel; returns how many ran side by side after checking what they made."""
    a = np.zeros(3 + 2 * WIDTH, np.int64)
    a[0], a[3 : 3 + WIDTH] = steps, np.arange(WIDTH)
    threads.run(KERNEL.address("run"), a.ctypes.data, slots)
    row = 3 + steps % 2 * WIDTH
    np.testing.assert_array_equal(a[row : row + WIDTH], expected(steps))
    assert a[1] == a[2]  # each of them ran once
    assert 1 <= a[1] <= max(slots, 1)
    return int(a[1])


@pytest.mark.parametrize("torch_has", [1, 2, 3])
@pytest.mark.parametrize("slots", [0, 1, 2, 3, 5, 8])
def test_slots_run_side_by_side(torch_threads, torch_has, slots):
    torch_threads(torch_has)
    for steps in (0, 1, 2, 1001):
        assert call(slots, steps) <= torch_has
    if slots >= torch_has:
        piece = -(-slots // torch_has)
        assert max(call(slots, 5) for _ in range(20)) == -(-slots // piece)


def test_many_calls_at_once(torch_threads):
    torch_threads(2)

    def work(_):
        torch.set_num_threads(2)  # OpenMP keeps it for each thread
        return max(call(2, k % 4) for k in range(1000))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [2] * 8


def test_calls_beside_torch(torch_threads):
    torch_threads(3)
    stop, a = threading.Event(), torch.randn(300, 300)

    def multiply():
        while not stop.is_set():
            a @ a

    other = threading.Thread(target=multiply)
    other.start()
    for _ in range(50):
        call(3, 20)
    stop.set()
    other.join()


def test_inside_a_parallel_region_a_kernel_runs_alone(torch_threads):
    torch_threads(2)
    seen, wrong = [], []

    def body(first, last, _):
        try:
            seen.extend(call(2, 50) for _ in range(first, last))
        except BaseException as error:  # it cannot pass through the region
            wrong.append(error)

    body = PIECE(body)
    PARALLEL_FOR(threads._parallel_for())(0, 4, 1, ctypes.cast(body, ctypes.c_void_p), None)
    assert not wrong
    assert seen == [1, 1, 1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_runs_alone(torch_threads):
    torch_threads(2)
    call(2, 100)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if call(2, 100) == 1 else 1)
        finally:
            os._exit(2)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hung")
    assert status == 0
    call(2, 100)


@pytest.fixture
def parallel_for(monkeypatch):
    """Puts another function in the place of torch's: it is given the call of one piece, and the whole range."""

    def use(function):
        wrong = []

        def body(begin, end, _, piece, context):
            try:
                function(lambda first, last: PIECE(piece)(first, last, context), begin, end)
            except BaseException as error:
                wrong.append(error)

        body = PARALLEL_FOR(body)
        use.keep = body
        monkeypatch.setattr(threads, "_parallel_for", lambda: ctypes.cast(body, ctypes.c_void_p).value)
        return wrong

    return use


@pytest.mark.parametrize("order", [1, -1])
def test_pieces_that_come_one_after_another_do_not_wait_for_each_other(parallel_for, order):
    wrong = parallel_for(lambda piece, begin, end: [piece(k, k + 1) for k in range(begin, end)[::order]])
    assert call(3, 30) == 1
    assert not wrong


def test_who_comes_too_late_is_refused(parallel_for):
    def late(piece, begin, end):
        others = [threading.Timer(wait, piece, (k, k + 1)) for k, wait in enumerate((0, 0, 2.0))]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()

    wrong = parallel_for(late)
    assert call(3, 30) in (1, 2)
    assert not wrong


def test_any_cut_of_the_range_at_any_time(parallel_for):
    rng = np.random.default_rng(0)

    def any_cut(piece, begin, end):
        cuts = [begin, *sorted(set(rng.integers(begin + 1, end, rng.integers(0, 4)).tolist())), end]
        pieces = list(pairwise(cuts))
        rng.shuffle(pieces)
        others = [threading.Timer(rng.choice([0, 0, 0.001]), piece, tuple(map(int, p))) for p in pieces]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()

    wrong = parallel_for(any_cut)
    for _ in range(100):
        call(int(rng.integers(2, 7)), 20)
    assert not wrong


def test_the_piece_from_k_on_is_slot_k(parallel_for):
    came, seen = {}, {}

    def one_each(piece, begin, end):
        def work(k):
            came[k] = threading.get_ident()
            piece(k, k + 1)

        others = [threading.Thread(target=work, args=(k,)) for k in range(begin, end)]
        for thread in others[::-1]:
            thread.start()
        for thread in others:
            thread.join()

    parallel_for(one_each)
    module = ir.Module("test")
    f = ir.Function(module, threads.KERNEL, "run")
    slot, _, arguments, _ = f.args
    b = ir.IRBuilder(f.append_basic_block())
    b.call(b.inttoptr(b.load(arguments), ir.FunctionType(ir.VoidType(), [I64]).as_pointer()), [slot])
    b.ret_void()
    code = jit.compile(module, ["run"])
    note = ctypes.CFUNCTYPE(None, ctypes.c_int64)(lambda slot: seen.update({slot: threading.get_ident()}))
    a = np.array([ctypes.cast(note, ctypes.c_void_p).value], np.int64)
    for _ in range(100):  # on a busy machine one may come when the team is closed already
        seen.clear()
        threads.run(code.address("run"), a.ctypes.data, 3)
        if len(seen) == 3:
            break
    assert seen == came
