"""A loop over arrays around an emitted vector function, so that a test can call it with numpy."""

import ctypes

import numpy as np
from llvmlite import ir

from celda.engines.cpu import jit
from celda.engines.cpu.emit import I64, Emit


class Function:
    """`function(e, *vectors) -> vector` applied to arrays of any length, `lanes` elements at a time."""

    def __init__(self, function, dtype, lanes, arguments=1):
        self.dtype, self.lanes = np.dtype(dtype), lanes
        module = ir.Module("test")
        pointer = (ir.FloatType() if dtype == "float32" else ir.DoubleType()).as_pointer()
        f = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] + [pointer] * (arguments + 1)), "run")
        e = Emit(ir.IRBuilder(f.append_basic_block()), module, dtype, lanes)
        count, *inputs, output = f.args
        e.loop(
            count,
            lambda i, _: e.store(function(e, *(e.load(e.at(x, i)) for x in inputs)), e.at(output, i)),
            step=lanes,
        )
        e.b.ret_void()
        self.code = jit.compile(module, ["run"])
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (arguments + 1))
        self.run = kind(self.code.address("run"))

    def __call__(self, *arrays):
        n = len(arrays[0])
        padding = np.ones(-n % self.lanes)
        arrays = [np.concatenate([a, padding]).astype(self.dtype) for a in arrays]
        result = np.full_like(arrays[0], np.nan)
        self.run(len(result), *(a.ctypes.data for a in (*arrays, result)))
        return result[:n]
