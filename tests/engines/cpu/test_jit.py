import ctypes
import threading

import pytest
from llvmlite import ir

from celda.engines.cpu import jit, machine
from celda.engines.cpu.emit import I64, Emit


def module(result, yields=False):
    m = ir.Module("test")
    f = ir.Function(m, ir.FunctionType(I64, []), "run")
    e = Emit(ir.IRBuilder(f.append_basic_block()), m, "float64", 1)
    if yields:
        e.call("sched_yield", ir.IntType(32))
    e.b.ret(I64(result))
    return m


def run(code):
    return ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("run"))()


def test_modules_with_equal_names_live_side_by_side():
    codes = [jit.compile(module(k), ["run"]) for k in range(20)]
    kept = codes[3::4]
    del codes
    assert [run(code) for code in kept] == list(range(20))[3::4]


def test_object_code_is_linked_again():
    text = jit.object_code(module(7, yields=True))  # and what it calls is found in the process
    assert [run(jit.Compiled(text, ["run"])) for _ in range(2)] == [7, 7]


def test_an_unknown_name_is_an_error():
    with pytest.raises(RuntimeError, match="nowhere"):
        jit.compile(module(1), ["nowhere"])


def test_many_threads_compile_at_once():
    found: dict[int, int] = {}

    def work(k):
        for n in range(10):
            found[10 * k + n] = run(jit.compile(module(10 * k + n), ["run"]))

    workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {k: k for k in range(80)}


def test_the_machine_is_consistent():
    host = machine.host()
    assert host.vector_bytes in (16, 32, 64)
    assert host.lanes("float32") == 2 * host.lanes("float64") == host.vector_bytes // 4
    assert host.has("avx512f") or host.vector_bytes < 64
    assert not host.has("avx") or host.has("sse2")
    assert host.cpu
