import ctypes
import multiprocessing
import os
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from llvmlite import ir

from celda.engines.cpu import cache, jit, machine
from celda.engines.cpu.emit import Emit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELDA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path / "cache" / "kernels"


class Builder:
    """A module whose `run` writes 1.5 to its argument; counts how often it was asked for."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        module = ir.Module("test")
        f = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.DoubleType().as_pointer()]), "run")
        e = Emit(ir.IRBuilder(f.append_basic_block()), module, "float64", 1)
        e.store_scalar(e.number(1.5), f.args[0])
        e.b.ret_void()
        return module


def load(key="key", build=None):
    """Load the kernel and see that it works; returns how often it was built."""
    build = build or Builder()
    code, result = cache.load(key, build, ["run"]), np.zeros(1)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("run"))(result.ctypes.data)
    assert result[0] == 1.5
    return build.asked


def test_a_kernel_is_built_once():
    assert [load(), load(), load()] == [1, 0, 0]
    assert load("another key") == 1


def test_the_key_holds_the_processor_and_the_sources(monkeypatch):
    load()
    context = cache._context()
    assert machine.host().features in context
    monkeypatch.setattr(cache, "_context", lambda: (*context, "changed"))
    assert load() == 1


@pytest.mark.parametrize(
    "damage", [lambda c: b"", lambda c: c[:20], lambda c: c[:-1], lambda c: c[:-1] + b"?", lambda c: c * 2]
)
def test_a_damaged_entry_is_made_anew(folder, damage):
    load()
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert [load(), load()] == [1, 0]
    assert entry.read_bytes()[:32] == whole[:32]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners here")
def test_what_others_may_write_is_not_run(folder):
    load()
    (entry,) = folder.iterdir()
    assert entry.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    entry.chmod(0o666)
    assert [load(), load()] == [1, 0]


def test_without_a_place_to_write_kernels_are_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no directory")
    monkeypatch.setenv("CELDA_CACHE", str(tmp_path / "file"))
    told = f"cannot be kept in {tmp_path / 'file' / 'kernels'} (Not a directory), so every process compiles them anew"
    with pytest.warns(UserWarning, match=re.escape(told)) as warned:
        assert [load(), load()] == [1, 1]
    assert len(warned) == 1
    assert cache.hindrance() == f"{tmp_path / 'file'} is a file"
    assert cache.info().entries == 0
    assert cache.clear().entries == 0


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    def full(self, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert load() == 1
    assert list(folder.iterdir()) == []


def test_a_user_without_a_home(tmp_path, monkeypatch):
    monkeypatch.delenv("CELDA_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: Path("~/.cache/celda"))
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="there is no home directory"):
        assert load() == 1
    assert cache.hindrance() == "there is no home directory"
    assert not (tmp_path / "~").exists()


def test_a_relative_folder_is_taken_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELDA_CACHE", "here")
    assert [load(), load()] == [1, 0]
    assert cache.info().folder == tmp_path / "here" / "kernels"


def test_a_folder_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CELDA_CACHE", "~/zzz")
    assert load() == 1
    assert cache.info().folder == tmp_path / "zzz" / "kernels"
    assert cache.hindrance() is None
    assert not (tmp_path / "~").exists()
    monkeypatch.setenv("CELDA_CACHE", "~nobody-of-this-name/zzz")
    assert cache.folder() == tmp_path / "~nobody-of-this-name" / "zzz" / "kernels"


def test_info_and_clear(folder):
    load("a"), load("b")
    stranger = folder / "notes.txt"
    stranger.write_text("not ours")
    (folder / "half.kernelabc").write_bytes(b"of a writer that was killed")
    found = cache.info()
    assert (found.folder, found.entries) == (folder, 3)
    assert found.bytes == sum(p.stat().st_size for p in folder.iterdir()) - stranger.stat().st_size
    assert cache.clear() == found
    assert cache.info() == cache.Info(folder, 0, 0)
    assert stranger.exists()
    assert load("a") == 1


def test_many_threads_at_once(folder):
    counts: list[int] = []
    workers = [threading.Thread(target=lambda k=k: counts.append(load(f"key {k % 3}"))) for k in range(24)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(counts) == 24
    assert len(list(folder.iterdir())) == 3


def _load_many():
    for k in range(200):
        load(f"key {k % 20}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_many_processes_at_once(folder):
    workers = [multiprocessing.get_context("fork").Process(target=_load_many) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(list(folder.iterdir())) == 20
    assert load("key 7") == 0


def test_the_older_half_goes_where_there_are_too_many(folder, monkeypatch):
    monkeypatch.setattr(cache, "_MOST", 7)
    for k in range(8):
        path = folder / f"{k}.kernel"
        cache._write(path, b"code")
        if path.exists():
            os.utime(path, (k, k))
    left = {path.name for path in folder.iterdir()}
    assert "7.kernel" in left
    assert len(left) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_in_the_middle_of_a_compilation_can_compile():
    stop = threading.Event()

    def compile_over_and_over():
        while not stop.is_set():
            jit.compile(Builder()(), ["run"])

    other = threading.Thread(target=compile_over_and_over)
    other.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a lock that is never given back ends in a signal
                jit.compile(Builder()(), ["run"])
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        other.join()
