import gc

from benchmarks import timing


def _recorders(names):
    log = []

    def call(name):
        log.append((name, gc.isenabled()))

    return log, {name: lambda name=name: call(name) for name in names}


def test_contenders_take_turns_and_the_first_rounds_are_dropped(monkeypatch):
    order = []
    monkeypatch.setattr(timing, "_count", lambda call: 1)
    monkeypatch.setattr(timing, "_sample", lambda call, count: (order.append(call()), float(len(order)))[1])
    times = timing.interleave({name: lambda name=name: name for name in "abc"}, repeats=2)
    assert "".join(order) == "abcbcacababc"
    assert times == {"a": [8.0, 10.0], "b": [9.0, 11.0], "c": [7.0, 12.0]}


def test_the_garbage_collector_rests_meanwhile_and_is_put_back():
    log, calls = _recorders("ab")
    times = timing.interleave(calls, repeats=3)
    assert gc.isenabled()
    assert not any(collecting for _, collecting in log[-100:])
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
    assert all(second > 0 for seconds in times.values() for second in seconds)


def test_a_short_call_is_repeated_until_a_sample_is_long_enough(monkeypatch):
    seconds = iter([timing.SAMPLE, timing.SAMPLE / 8] + [timing.SAMPLE / 7] * timing.TRIES)  # the first had to wait
    monkeypatch.setattr(timing, "_seconds", lambda call: next(seconds))
    assert timing._count(lambda: None) == 8
