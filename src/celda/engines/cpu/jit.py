"""From a module of LLVM's language to machine code in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from functools import cache

from llvmlite import binding as llvm
from llvmlite import ir

from celda.engines.cpu import machine


class Compiled:
    """Machine code in memory, for as long as this object lives."""

    def __init__(self, object_code: bytes, names: Iterable[str]):
        library = llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        names = tuple(names)
        for name in names:
            library.export_symbol(name)
        self._library = library.link(_linker(), f"celda{next(_numbers)}")
        self._addresses = {name: int(self._library[name]) for name in names}

    def address(self, name: str) -> int:
        """Where the function `name` is."""
        return self._addresses[name]


def object_code(module: ir.Module) -> bytes:
    """The relocatable object file of `module`, optimised for this processor."""
    target = machine.host().target()
    module.triple = target.triple
    parsed = llvm.parse_assembly(str(module))
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    # the emitter writes vectors and unrolls by itself: what these would find is not there, and looking takes time
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(parsed, builder)
    code: bytes = target.emit_object(parsed)
    return code


def compile(module: ir.Module, names: Iterable[str]) -> Compiled:
    """Compile `module`; the functions `names` of it can be asked for by their address."""
    return Compiled(object_code(module), names)


_numbers = itertools.count()


@cache
def _linker() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(machine.host().target())
