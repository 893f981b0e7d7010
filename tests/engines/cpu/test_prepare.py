"""Panels and padded rows against loops over their elements."""

import ctypes
from itertools import product

import numpy as np
import pytest
import torch
from llvmlite import ir

from celda.engines.cpu import jit, prepare
from celda.engines.cpu.emit import I64, Emit
from celda.engines.cpu.kernel import Shape

PREPARE = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6)
GUARD = 16  # elements on either side of a target, which nobody may touch


def _shape(dtype, lanes, hidden):
    return Shape.of(dtype, lanes, 32, hidden)


def _padded(hidden, lanes):
    return -(-hidden // lanes) * lanes


def _target(count, dtype):
    whole = torch.full((count + 2 * GUARD,), torch.nan, dtype=dtype)
    return whole, whole[GUARD : GUARD + count]


def _run(shape, hidden, jobs, slots, **sources):
    """Work off the jobs, the slots one after another and the last one first: none may need what another has done."""
    padded = _padded(hidden, shape.lanes)
    given = jobs.arguments()
    held = jobs.take(sources)
    function = PREPARE(given["prepare"])
    for slot in reversed(range(slots)):
        function(slot, slots, given["jobs"], given["job_count"], hidden, padded)
    del held


def _untouched(whole):
    assert whole[:GUARD].isnan().all()
    assert whole[-GUARD:].isnan().all()


def _groups(hidden, lanes, units):
    """The unit blocks of a layer by groups: as many as a tile takes at once, the rest one by one."""
    count = _padded(hidden, lanes) // lanes
    whole = count // units * units
    return [list(range(g, g + units)) for g in range(0, whole, units)] + [[j] for j in range(whole, count)]


SIZES = [("float32", 16), ("float32", 8), ("float32", 4), ("float64", 8), ("float64", 2)]
HIDDEN = (1, 7, 16, 17, 40)


@pytest.mark.parametrize(("dtype", "lanes"), SIZES)
@pytest.mark.parametrize("slots", [1, 3])
def test_a_forward_panel(dtype, lanes, slots):
    kind = getattr(torch, dtype)
    for hidden, columns, units in product(HIDDEN, (1, lanes - 1, 2 * lanes + 3), (1, 2, 4)):
        blocks = (2, 0) if units > 1 else (1,)
        weight, shape = torch.randn(3 * hidden, columns, dtype=kind), _shape(dtype, lanes, hidden)
        whole, target = _target(_padded(hidden, lanes) * len(blocks) * columns, kind)
        jobs = prepare.Jobs(shape, hidden, _padded(hidden, lanes))
        jobs.forward_panel(target.data_ptr(), "w", columns, blocks, units)
        _run(shape, hidden, jobs, slots, w=weight)
        wanted = [
            weight[block * hidden + j * lanes + lane, c].item() if j * lanes + lane < hidden else 0.0
            for group in _groups(hidden, lanes, units)
            for c in range(columns)
            for j in group
            for block in blocks
            for lane in range(lanes)
        ]
        np.testing.assert_array_equal(target.numpy(), np.array(wanted, dtype))
        _untouched(whole)


@pytest.mark.parametrize("columns", [1, 16, 19])
def test_a_panel_follows_every_bit_of_the_weights(columns):
    """What lies there already is not written again; a zero of the other sign, or another NaN, does not lie there."""
    shape, hidden = _shape("float32", 16, 17), 17
    weight, fresh = torch.zeros(hidden, columns), torch.full((2, 32 * columns), torch.nan)
    jobs, again = (prepare.Jobs(shape, hidden, 32) for _ in range(2))
    jobs.forward_panel(fresh[0].data_ptr(), "w", columns, (0,), 1)
    again.forward_panel(fresh[1].data_ptr(), "w", columns, (0,), 1)
    bits = weight.view(torch.int32)
    for new in (-(2**31), 1, 0x7FC00000, 0x7FC00001, 0x3F800000):  # -0.0, the smallest number, two NaNs, 1.0
        for row, column in ((0, 0), (15, columns // 2), (16, columns - 1)):
            bits[row, column] = new
            fresh[1].fill_(torch.nan)
            for each in (jobs, again):
                _run(shape, hidden, each, 2, w=weight)
            assert torch.equal(*fresh.view(torch.int32))


def test_a_panel_that_lies_there_is_not_written(tmp_path):
    """It lies in memory that can be read only: who writes there is ended by the system."""
    shape, weight = _shape("float32", 16, 17), torch.randn(17, 19)
    panel, file = torch.full((32 * 19,), torch.nan), tmp_path / "panel"
    jobs = prepare.Jobs(shape, 17, 32)
    jobs.forward_panel(panel.data_ptr(), "w", 19, (0,), 1)
    _run(shape, 17, jobs, 2, w=weight)
    file.write_bytes(panel.numpy().tobytes())
    kept = np.memmap(file, mode="r")
    again = prepare.Jobs(shape, 17, 32)
    again.forward_panel(kept.ctypes.data, "w", 19, (0,), 1)
    _run(shape, 17, again, 2, w=weight)


@pytest.mark.parametrize(("dtype", "lanes"), SIZES)
@pytest.mark.parametrize("slots", [1, 3])
def test_a_backward_panel(dtype, lanes, slots):
    kind = getattr(torch, dtype)
    for hidden, units in product(HIDDEN, (1, 2, 4)):
        blocks = (2, 0) if units > 1 else (1,)
        weight, shape = torch.randn(3 * hidden, hidden, dtype=kind), _shape(dtype, lanes, hidden)
        whole, target = _target(_padded(hidden, lanes) * len(blocks) * hidden, kind)
        jobs = prepare.Jobs(shape, hidden, _padded(hidden, lanes))
        jobs.backward_panel(target.data_ptr(), "w", blocks, units)
        _run(shape, hidden, jobs, slots, w=weight)
        wanted = [
            weight[block * hidden + row, j * lanes + lane].item() if j * lanes + lane < hidden else 0.0
            for group in _groups(hidden, lanes, units)
            for block in blocks
            for row in range(hidden)
            for j in group
            for lane in range(lanes)
        ]
        np.testing.assert_array_equal(target.numpy(), np.array(wanted, dtype))
        _untouched(whole)


@pytest.mark.parametrize(("dtype", "lanes"), SIZES)
@pytest.mark.parametrize("slots", [1, 3])
def test_rows_are_filled_up_with_zeros(dtype, lanes, slots):
    kind = getattr(torch, dtype)
    for hidden, count in product(HIDDEN, (1, 5)):
        padded, shape = _padded(hidden, lanes), _shape(dtype, lanes, hidden)
        source = torch.randn(count + 1, hidden, dtype=kind)
        whole, target = _target(count * padded, kind)
        cleared, zeros = _target(count * padded, kind)
        jobs = prepare.Jobs(shape, hidden, padded)
        jobs.rows(zeros.data_ptr(), None, count)
        jobs.rows(target.data_ptr(), "s", count)
        jobs.rows(target.data_ptr(), "s", count, hidden, add=True)
        _run(shape, hidden, jobs, slots, s=source)
        wanted = torch.nn.functional.pad(source[:-1] + source[1:], (0, padded - hidden))
        assert torch.equal(target.view(count, padded), wanted)
        assert not zeros.any()
        _untouched(whole)
        _untouched(cleared)


def test_what_is_not_contiguous_is_copied():
    shape, source = _shape("float64", 8, 5), torch.randn(5, 3, dtype=torch.float64).t()
    _, target = _target(3 * 8, torch.float64)
    jobs = prepare.Jobs(shape, 5, 8)
    jobs.rows(target.data_ptr(), "s", 3)
    _run(shape, 5, jobs, 1, s=source)
    assert torch.equal(target.view(3, 8)[:, :5], source)


@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_transposed(lanes):
    """As many vectors as they have lanes, transposed in registers."""
    m = ir.Module("transposed")
    f = ir.Function(m, ir.FunctionType(ir.VoidType(), [ir.PointerType(), ir.PointerType()]), "run")
    e = Emit(ir.IRBuilder(f.append_basic_block()), m, "float32", lanes)
    source, target = f.args
    rows = [e.load(e.at(source, I64(k * lanes))) for k in range(lanes)]
    for k, row in enumerate(prepare.transposed(e, rows)):
        e.store(row, e.at(target, I64(k * lanes)))
    e.b.ret_void()
    code = jit.compile(m, ["run"])
    a, b = np.random.default_rng(0).random((lanes, lanes), np.float32), np.zeros((lanes, lanes), np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("run"))(a.ctypes.data, b.ctypes.data)
    np.testing.assert_array_equal(b, a.T)
