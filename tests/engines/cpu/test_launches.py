"""The passes in other parts, on other threads and processors, and with other sequences: always the same."""

import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from celda.cells import CELLS
from celda.engines import forks, reference
from celda.engines.cpu import kernels, launches, prepare, products, sweeps
from celda.engines.cpu.kernel import Shape
from celda.engines.cpu.layout import plain
from tests.calls import random_call
from tests.engines.cpu.passes import (
    SOME,
    gradients,
    leaky,
    run,
    same,
    some_call,
    tensors,
    wanting,
)

pytestmark = pytest.mark.usefixtures("harsh")


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[0, 0, 0], [1, 0, 1], [3, 0, 0]])
def test_sequences_without_steps(name, reverse, lengths):
    call = some_call(name, steps=3, batch=3, lengths=torch.tensor(lengths), reverse=reverse)
    found, wanted = run(call), reference(call)
    same((found.output, found.states), (wanted.output, wanted.states))
    same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_lengths_of_any_whole_dtype(dtype):
    call = some_call(lengths=torch.tensor([5, 1, 0, 4]))
    same(gradients(replace(call, lengths=call.lengths.to(dtype))), gradients(call))


def test_a_single_step():
    for options in ({}, {"reverse": True}, {"resets": torch.ones(1, 4, dtype=torch.bool)}):
        call = some_call(steps=1, **options)
        same(gradients(call), gradients(call, engine=reference))


PADDED = torch.tensor([11, 3, 0, 9, 9])  # no sequence has all of the 23 steps


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"lengths": PADDED}, {"lengths": PADDED + 12}, {"resets": torch.rand(23, 5) < 0.2}],
    ids=["plain", "padded", "ragged", "resets"],
)
def test_a_sweep_in_pieces_is_the_sweep(monkeypatch, reverse, options):
    call = random_call(leaky, steps=23, batch=5, hidden=3, reverse=reverse, **options)
    whole = gradients(call)
    spans, add = [], launches.Launch.add
    monkeypatch.setattr(launches.Launch, "add", lambda self, *args: spans.append(1) or add(self, *args))
    monkeypatch.setattr(sweeps, "CHUNK", 0)
    for rows in (1, 5, 12):
        monkeypatch.setattr(sweeps, "FEWEST", rows)
        spans.clear()
        same(gradients(call), whole)
        assert len(spans) > 2


@pytest.mark.parametrize("batch", [5, 40], ids=["units shared", "rows shared"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [False, True], ids=["dense", "ragged"])
def test_threads_that_share_a_sweep_in_pieces(monkeypatch, torch_threads, lengths, reverse, batch):
    """Where the adjoints of one piece are laid over those of the piece before."""
    options = {"lengths": torch.randint(24, (batch,))} if lengths else {}
    call = random_call(leaky, steps=23, batch=batch, hidden=20, reverse=reverse, **options)
    torch_threads(1)
    whole = gradients(call)
    monkeypatch.setattr(sweeps, "CHUNK", 0)
    for count in (2, 3):
        torch_threads(count)
        for rows in (1, 2 * batch, 5 * batch):
            monkeypatch.setattr(sweeps, "FEWEST", rows)
            for _ in range(10):
                same(gradients(call), whole)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"lengths": torch.arange(16) % 6}], ids=["plain", "ragged"])
def test_the_same_call_gives_the_same_bits(torch_threads, count, options):
    torch_threads(count)
    call = random_call(leaky, steps=5, batch=16, hidden=20, **options)
    first, output = gradients(call), run(call).output
    for _ in range(20):
        again = gradients(call)
        assert all(torch.equal(again[name], first[name]) for name in first)
        assert torch.equal(run(call).output, output)


WISHES = (["x"], ["weight_hh", "h at 0"], ["bias_ih", "diagonal_r"], None, ["weight_ih"])  # None: all of them


def test_what_is_known_of_a_sweep_is_used_for_no_other(torch_threads):
    for steps, count in ((3, 2), (7, 2), (3, 1), (7, 3)):
        torch_threads(count)
        for lengths in (None, torch.tensor([2, 0, 3, 1, 3])):
            call = random_call(leaky, steps=steps, batch=5, hidden=20, lengths=lengths)
            for names in (*WISHES, *WISHES[::2]):
                same(gradients(call, names), gradients(call, names, engine=reference))


def test_no_more_than_a_few_sweeps_are_known(monkeypatch):
    made, known, ready = [], [], launches.Ready
    monkeypatch.setattr(launches, "Ready", lambda make: made.append(ready(make)) or made[-1])
    for steps in (*range(2, sweeps.KNOWN + 8), 3):
        call = random_call(leaky, steps=steps, batch=2, hidden=3)
        same(gradients(call), gradients(call, engine=reference))
        known += [len(one.swept) for one in made]
    assert max(known) == sweeps.KNOWN
    assert max(len(one.sums) for one in made) == 1


def test_the_bits_do_not_depend_on_how_many_threads_come(monkeypatch):
    """In a forked process, or where all others are busy, one thread does the work of two."""
    call = random_call(leaky, steps=20, batch=16, hidden=20)
    wanted = gradients(call)
    monkeypatch.setattr(forks, "_forked", True)
    found = gradients(call)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("name", SOME)
def test_training_and_inference_give_the_same_bits(name):
    call = some_call(name, hidden=20)
    trained, plain = run(wanting(call, tensors(call))[0]), run(call)
    assert torch.equal(trained.output, plain.output)
    assert all(map(torch.equal, trained.states, plain.states))
    with torch.inference_mode():
        assert torch.equal(run(call).output, plain.output)
    gradients(call)  # on buffers that were made in the inference mode
    with torch.no_grad():
        assert not run(wanting(call, tensors(call))[0]).output.requires_grad


@pytest.mark.parametrize("chosen", [CELLS["lstm"], leaky], ids=lambda c: c.name)
@pytest.mark.parametrize("hoist", [0, 10**9])
@pytest.mark.parametrize("threads_share", ["rows", "units", "what is ahead"])
@pytest.mark.parametrize("library", ["all", "some", "none"])
@pytest.mark.parametrize("lengths", [None, torch.arange(17) % 5], ids=["plain", "ragged"])
def test_the_ways_to_compute_it_are_one(monkeypatch, chosen, hoist, threads_share, library, lengths):
    """Products ahead of the loop or in it; threads that share the rows or the units, or no more than what is ahead of
    the loop; gradients by torch's library or by machine code: in tests all of it is small."""
    call = random_call(chosen, steps=4, batch=17, hidden=20, lengths=lengths)
    largest = {"all": -1, "some": 20 * 20, "none": 10**9}[library]
    monkeypatch.setattr(products, "largest", lambda: largest)
    monkeypatch.setattr(kernels, "HOIST", hoist)
    monkeypatch.setattr(kernels, "LARGE", -1)
    monkeypatch.setattr(kernels, "AHEAD", -1)
    monkeypatch.setattr(kernels, "ALONE", 10**9 if threads_share == "what is ahead" else -1)
    monkeypatch.setattr(kernels, "FEW", 0 if threads_share == "rows" else 10**9)
    same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("lengths", [None, torch.zeros(0, dtype=torch.int64)], ids=["plain", "ragged"])
def test_a_batch_of_none(lengths):
    call = random_call(CELLS["lstm"], steps=3, batch=0, hidden=5, lengths=lengths)
    same(gradients(call), gradients(call, engine=reference))


def test_what_is_known_of_a_sweep_serves_other_steps_and_lengths():
    """A further input that is constant over time may be one that moves, too: it is where there is one step."""
    for number, (steps, constant) in enumerate([(1, True), (4, True), (4, False), (2, True), (1, False), (7, False)]):
        for lengths in ([steps, 0, 1], [1, steps, steps]):
            call = random_call(CELLS["image_rnn"], steps=steps, batch=3, hidden=16, lengths=torch.tensor(lengths))
            image = call.inputs["image"]
            image = image[:1] if constant else torch.randn(steps, *image.shape[1:], dtype=image.dtype)
            call = replace(call, inputs=call.inputs | {"image": image}, reverse=bool(number % 2))
            same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([5, 0, 2, 5])}], ids=["plain", "ragged"])
def test_what_is_constant_over_time_is_multiplied_ahead_of_the_loop(monkeypatch, options):
    monkeypatch.setattr(kernels, "HOIST", 10**9)
    call = some_call("image_rnn", **options)
    call = replace(call, inputs=call.inputs | {"image": call.inputs["image"][:1]})
    same(gradients(call), gradients(call, engine=reference))


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["gru_2014"]], ids=lambda c: c.name)
@pytest.mark.parametrize(("vector_bytes", "hidden"), [(16, 5), (16, 12), (32, 1), (32, 21), (64, 12)])
def test_processors_with_other_vectors(monkeypatch, chosen, vector_bytes, hidden):
    """LLVM makes two of a vector that is too long for the processor.

    Six unit blocks are left over by tiles of four, and cut into two and three: that is by which stage they are in."""
    shape = lambda dtype, *sizes: Shape.of(kernels.DTYPES[dtype], vector_bytes // dtype.itemsize, 16, *sizes)  # noqa: E731
    monkeypatch.setattr(kernels, "shape_of", shape)
    for batch in (1, 3, 8):
        lengths = torch.arange(batch) % 4
        call = random_call(chosen, steps=3, batch=batch, hidden=hidden, lengths=lengths, reverse=True)
        same(gradients(call), gradients(call, engine=reference))


def test_threads_that_compile_the_same_at_once(monkeypatch):
    """All but one of the results are thrown away, not before their threads have used them."""
    call, meet, load = some_call(), threading.Barrier(4, timeout=30), prepare.disk.load
    wanted = run(call).output
    prepare._compiled.cache_clear()
    launches.forward_launches.cache_clear()
    monkeypatch.setattr(prepare.disk, "load", lambda *given: (meet.wait(), load(*given))[1])
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(result.output, wanted) for result in pool.map(run, [call] * 4))


@pytest.mark.parametrize("name", SOME)
def test_a_launch_that_waited_takes_nothing_from_the_call_before(name):
    """Its buffers are filled with NaN while it waits, and the next call has other weights, states and inputs."""
    first, second = (random_call(CELLS[name], steps=5, batch=3, hidden=20, seed=seed) for seed in (1, 2))
    wanted = gradients(second)
    gradients(first)
    found = gradients(second)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_no_more_threads_meet_than_there_are_units_for(monkeypatch):
    monkeypatch.setattr(kernels, "ALONE", 2**15)
    shared = lambda hidden, batch: kernels.share(  # noqa: E731
        plain(10, batch, hidden, 16, False), -(-hidden // 16), 8 * hidden**2, 4 * hidden**2, 16
    )
    assert shared(64, 1) == (4, 1, False)
    assert shared(63, 1) == (1, 1, True)
    assert shared(512, 1) == (16, 1, False)
    assert shared(16, 64) == (16, 16, True)  # by rows


def test_few_large_launches_wait(monkeypatch):
    """Of all sizes together, the latest; the largest do not wait at all."""
    monkeypatch.setattr(launches, "_large", deque())
    monkeypatch.setattr(launches, "LARGE_ONES", 2)
    ready, other = (launches.Ready(lambda: None) for _ in range(2))
    one, two, three, largest = (
        SimpleNamespace(bytes=n, _lease=None) for n in (*[launches.LARGEST] * 3, launches.LARGEST + 1)
    )
    for owner, launch in ((ready, one), (other, two), (ready, three), (ready, largest)):
        owner.give_back(launch)
    assert [other.take(), other.take()] == [two, None]
    assert [ready.take(), ready.take()] == [three, None]
    assert not launches._large
    ready.give_back(one)
    gone = weakref.ref(ready)
    del ready, owner
    assert gone() is None  # and the launch with it
