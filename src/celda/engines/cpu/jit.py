"""From a module of LLVM's language to machine code in memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from functools import partial

from llvmlite import binding as llvm
from llvmlite import ir

from celda.engines.cpu import machine

_LINKER = llvm.create_lljit_compiler(machine.host().target())  # llvmlite lets in one thread at a time
_numbers = itertools.count()

# A fork in the middle of a compilation would leave the child a lock that nobody gives back.
_LOCK = llvm.ffi.lib._lock
if hasattr(os, "register_at_fork"):  # Windows has no forks
    _give_back = partial(_LOCK.__exit__, None, None, None)
    os.register_at_fork(before=_LOCK.__enter__, after_in_parent=_give_back, after_in_child=_give_back)


class Compiled:
    """Machine code in memory, for as long as this object lives: `object_code`, of which the functions `names` can be
    asked for. What it calls outside itself is looked for in the process."""

    def __init__(self, object_code: bytes, names: Iterable[str]):
        library = llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        names = tuple(names)
        for name in names:
            library.export_symbol(name)
        self._library = library.link(_LINKER, f"celda{next(_numbers)}")
        self._addresses = {name: int(self._library[name]) for name in names}

    def address(self, name: str) -> int:
        """Where the function `name` is."""
        return self._addresses[name]


def object_code(module: ir.Module) -> bytes:
    """The relocatable object file of `module` for this processor.

    Of LLVM's passes only those that tidy up are run. The emitter writes vectors, unrolled tiles and values in registers
    as they shall be; the standard pipelines take ten times as long over them and gain nothing.
    """
    target = machine.host().target()
    module.triple = target.triple
    parsed = llvm.parse_assembly(str(module))
    passes = llvm.create_new_module_pass_manager()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.run(parsed, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options()))
    code: bytes = target.emit_object(parsed)
    return code


def compile(module: ir.Module, names: Iterable[str]) -> Compiled:
    """Compile `module`; the functions `names` of it can be asked for by their address."""
    return Compiled(object_code(module), names)
