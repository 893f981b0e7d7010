"""Layers in many threads at once, after a fork, and inside one another's backward passes."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import celda
from celda.cells import CELLS
from tests.contract.cases import ENGINES, Case, exact, make, same, values

CALLS, THREADS = 1000, 8
SMALL = Case(hidden=17, batch=20, steps=7, dtype=torch.float32, lengths=True, threads=2)
pytestmark = pytest.mark.parametrize("engine", ENGINES)


def _work(number):
    """Of each thread its own cell, and not all of the same sizes."""
    case = Case(**{**vars(SMALL), "batch": (20, 7, 2)[number % 3], "steps": 3 + number, "reverse": number % 2 == 1})
    return make(CELLS[list(CELLS)[number % len(CELLS)]], case, seed=number)


def test_many_threads_at_once(engine):
    calls = [_work(number) for number in range(THREADS)]
    wanted = [values(exact(call), "reference") for call in calls]
    started = threading.Barrier(THREADS)

    def work(number):
        torch.set_num_threads(2)  # OpenMP keeps it for each thread
        started.wait()
        for _ in range(CALLS // THREADS):
            same(values(calls[number], engine), wanted[number], engine)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_one_layer_in_many_threads(engine):
    call = _work(3)
    wanted = values(exact(call), "reference")

    def work(_):
        torch.set_num_threads(2)
        for _ in range(20):
            same(values(call, engine), wanted, engine)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that is what is tested
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.parametrize("threads", [1, 2])
def test_after_a_fork(engine, threads):
    """The child has none of the threads of its parent. Torch's own gradients hang there, with more threads than one."""
    case = Case(hidden=17, batch=20, steps=7, loss="" if threads > 1 else "both")
    call = make(CELLS["lstm"], case)
    wanted = values(exact(call), "reference")
    torch.set_num_threads(2)
    same(values(call, engine), wanted, engine)

    def child():
        torch.set_num_threads(threads)
        same(values(call, engine), wanted, engine)

    context = multiprocessing.get_context("fork")
    children = [context.Process(target=child) for _ in range(2)]
    for process in children:
        process.start()
    same(values(call, engine), wanted, engine)
    for process in children:
        process.join(30)
        if process.exitcode is None:
            process.kill()
    assert [process.exitcode for process in children] == [0, 0]


class Inside(torch.autograd.Function):
    """Half its argument; its backward pass runs a layer forward and back."""

    @staticmethod
    def forward(ctx, layer, x):
        ctx.layer = layer
        return x / 2

    @staticmethod
    def backward(ctx, d):
        with torch.enable_grad():
            inner = d.detach().requires_grad_()
            ctx.layer(inner)[0].sum().backward()
        return None, inner.grad


def test_inside_the_backward_pass_of_another(engine):
    torch.set_num_threads(2)
    found = {}
    for e, dtype in ((engine, torch.float32), ("reference", torch.float64)):
        torch.manual_seed(0)
        outer, inner = (celda.Recurrent("lstm", 17, 17, engine=e) for _ in range(2))
        x = torch.randn(6, 9, 17).to(dtype).requires_grad_()
        outer, inner = outer.to(dtype), inner.to(dtype)
        y = Inside.apply(inner, outer(x)[0])
        y = checkpoint(lambda y, inner=inner: inner(y)[0], y, use_reentrant=False)
        (y * y).sum().backward()
        parameters = [*outer.named_parameters(), *((f"inner {n}", p) for n, p in inner.named_parameters())]
        found[e] = {"x": x.grad, **{name: p.grad for name, p in parameters}}
    same(found[engine], found["reference"], engine)
