import pytest
import torch

from benchmarks.contenders import TASKS, Contender, Ready, Task, layers
from benchmarks.measure import check_same, measure
from benchmarks.rows import Demand, Key, Row
from benchmarks.shapes import Shape, flops

SHAPE = Shape(7, 5, 3, 12)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("task", [name for name in TASKS if name != "gemm"])
def test_contenders_for_a_task_compute_the_same(task):
    shape = Shape(1, 1, 3, 12) if task == "lstm step" else SHAPE
    present = {n: c for n, c in TASKS[task].contenders.items() if not c.needs}  # the peers stay out of this process
    ready = {Key(task, name): contender.build(shape) for name, contender in present.items()}
    with torch.inference_mode(not TASKS[task].training):
        check_same(ready)
    assert len({r.flops for r in ready.values()}) == 1


def test_contenders_that_differ_are_not_timed(monkeypatch):
    build = {
        n: Contender(lambda shape, k=k: Ready(lambda: (torch.tensor([1.0 + k]),), 1.0)) for k, n in enumerate("ab")
    }
    monkeypatch.setitem(TASKS, "odd", Task(False, build))
    row = Row("odd", "a against b", Key("odd", "a"), (Key("odd", "b"),), (SHAPE,), (Demand("geometric mean", 1.0),))
    with pytest.raises(SystemExit, match=r"odd, b is .* away from a"):
        measure([row], [SHAPE], 1, lambda text: None)


def test_a_contender_that_gives_no_number_is_not_timed(monkeypatch):
    gradients = torch.zeros(2), torch.ones(2), torch.tensor([1.0, float("nan")])  # the first of something unused
    nothing = Contender(lambda shape: Ready(lambda: gradients, 1.0))
    monkeypatch.setitem(TASKS, "odd", Task(False, {"a": nothing}))
    with pytest.raises(SystemExit, match="inf away"):
        check_same({Key("odd", "a"): nothing.build(SHAPE)})


def test_gradients_that_are_all_zero_are_the_same(monkeypatch):
    unused = Contender(lambda shape: Ready(lambda: (torch.zeros(2),), 1.0))
    monkeypatch.setitem(TASKS, "odd", Task(True, {"a": unused}))
    check_same({Key("odd", "a"): unused.build(SHAPE)})


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch):
    one = Contender(lambda shape: Ready(lambda: (torch.ones(1),), 1.0))
    absent = one._replace(needs=("no_such_package",))
    monkeypatch.setitem(TASKS, "odd", Task(False, {"a": one, "b": absent}))
    row = Row("odd", "a against b", Key("odd", "a"), (Key("odd", "b"),), (SHAPE,), (Demand("geometric mean", 1.0),))
    times = measure([row], [SHAPE], 1, lambda text: None)
    assert times.missing == {Key("odd", "b"): ("no_such_package",)}
    assert set(times.seconds) == {(SHAPE, Key("odd", "a"))}


def test_half_full_is_half_full_and_its_operations_are_those_of_the_steps_there_are():
    shape = Shape(100, 32, 3, 4)
    ends = layers.lengths(shape, seed=0)
    other = layers.lengths(shape, seed=1)
    assert not other.equal(ends)
    assert other.sort().values.equal(ends.sort().values)
    assert ends.min() == 1
    assert ends.max() == 100
    assert abs(ends.float().mean() - 50) < 1
    made = torch.nn.LSTM(3, 4)
    expected = flops(made, shape, training=True) * ends.sum().item() / 3200
    assert TASKS["lstm training, half full"].contenders["celda"].build(shape).flops == pytest.approx(expected)
