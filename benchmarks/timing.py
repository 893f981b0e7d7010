"""Times of several contenders, taken in turn so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Mapping
from math import ceil
from time import perf_counter, process_time, sleep
from typing import TypeVar

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)

SAMPLE = 0.01  # seconds a sample takes at least: shorter calls are repeated
TICK = 0.012  # seconds after which the system has counted the time of a thread that is still running
TRIES = 5  # calls that tell how long one takes, about
DROPPED = 2  # first rounds that are not counted


def settle() -> None:
    """Wait until no thread of this process is busy: the workers of a contender go on after its call has returned.

    They spin, or give memory back: JAX 160 MB, which takes seven milliseconds.
    """
    for _ in range(40):
        before = process_time()
        sleep(TICK)
        if process_time() - before < 0.1 * TICK:
            return


def interleave(calls: Mapping[Name, Call], repeats: int) -> dict[Name, list[float]]:
    """Seconds a call takes, `repeats` times for each: round robin, each round beginning with another contender.

    The calls must have been warmed up, that is compiled. The garbage collector is off meanwhile.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    counts = {name: _count(call) for name, call in calls.items()}
    names = list(calls)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(repeats + DROPPED):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                seconds = _sample(calls[name], counts[name])
                if turn >= DROPPED:
                    times[name].append(seconds)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return times


def _count(call: Call) -> int:
    """How many calls make a sample; by the fastest of some, as one may have had to wait for a thread to come."""
    call()
    return max(1, ceil(SAMPLE / min(_seconds(call) for _ in range(TRIES))))


def _seconds(call: Call) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def _sample(call: Call, count: int) -> float:
    settle()
    if count > 1:
        call()  # wakes the threads and fills the caches, which a long call does on its way
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) / count
