"""What the GPU engine prints: Triton source for any cell, which names none and is the same for all sizes of a batch."""

import ast
import inspect
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

from celda.cells import CELLS
from celda.engines.gpu import modules
from celda.engines.gpu.backward import backward_source
from celda.engines.gpu.forward import forward_source
from celda.engines.gpu.plan import BackwardPlan, ForwardPlan, backward_plan, forward_plan
from tests.contract.odd import ODD
from tests.contract.options import OPTED

ALL = {**CELLS, **ODD, **OPTED}


def printed(cell, ragged=True, resets=True):
    forward = forward_plan(cell, (), True)
    return [
        *forward_source(forward, ragged, resets),
        *backward_source(backward_plan(cell), forward, ragged, resets, cell.states[1:]),
    ]


@pytest.mark.parametrize("name", ALL)
def test_it_is_a_program_that_uses_all_it_is_given(name):
    for source in printed(ALL[name]):
        (function,) = ast.parse(source).body
        arguments = {argument.arg for argument in function.args.args}
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        used = {node.id for node in names}
        made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert used - made - arguments <= {"tl", "triton", "range", "float"}, "a name that nobody gave"
        assert {a for a in arguments - used if not a.isupper()} <= {"steps", "first", "direction", "start"}


def test_a_kernel_is_not_compiled_again_for_other_sizes_of_a_batch():
    for source in printed(CELLS["lstm"]):
        (function,) = ast.parse(source).body
        fixed = {a.arg for a in function.args.args if a.annotation is not None}
        assert fixed == {"H", "P", "ROWS", "PRECISION"}
        (told,) = function.decorator_list[0].keywords
        spared = set(ast.literal_eval(told.value))
        assert spared == {a.arg for a in function.args.args} & {"steps", "batch", "first", "direction", "start", "step"}


def test_no_offset_can_run_over():
    for source in printed(CELLS["lstm"]):
        assert "row = tl.program_id(0).to(tl.int64) * ROWS" in source
        assert "tl.int64)\n" in source.partition("s = tl.cast(")[2]


@pytest.mark.parametrize(("name", "forward", "backward"), [("lstm", 1, 1), ("gru", 1, 1), ("gru_2014", 2, 2)])
def test_a_product_parts_the_segments_of_a_step(name, forward, backward):
    assert len(ForwardPlan(CELLS[name], ()).segments) == forward
    assert len(BackwardPlan(CELLS[name]).segments) == backward


def test_a_mean_parts_nothing():
    assert len(ForwardPlan(OPTED["lstm, layer_norm"], ()).segments) == 1


def test_the_text_of_a_kernel_is_found_by_python():
    source = "@triton.jit\ndef add_one(x):\n    tl.store(x, tl.load(x) + 1)\n"
    kernel = modules.load("test", [source])["add_one"]
    assert inspect.getsource(kernel.fn) == source
    assert kernel.fn.__code__.co_filename.startswith("<celda test")


@pytest.mark.slow
def test_it_is_compiled_for_a_gpu_that_is_not_here(tmp_path):
    cell = "lstm, layer_norm, zoneout, recurrent_dropout"  # with a product, masks and means, and two segments
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.engines.gpu.compiling", cell]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 6  # the whole loop, and two segments of a step, forward and backward
