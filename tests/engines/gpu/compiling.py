"""`python -m tests.engines.gpu.compiling CELL...`: kernels as machine code for a GPU that need not be there.

What the interpreter lets pass, a compiler may not: a value that changes its shape from turn to turn of a loop, say.
"""

import sys

from triton import compile as compiled
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from celda.cells import CELLS
from celda.engines.gpu import kernels
from celda.engines.gpu.plan import backward_plan, forward_plan
from tests.contract.odd import ODD
from tests.contract.options import OPTED

TARGET = GPUTarget("cuda", 90, 32)
HIDDEN = 17
EXACT = ("crossing", "carry", "sums", "d_first", "next")  # arrays that hold float32 whatever the layer's dtype is


def kind(name: str) -> str:
    """The type of an argument, as Triton writes it."""
    if name in ("steps", "batch", "first", "direction", "start", "step") or name.endswith("_moves"):
        return "i32"
    if name in ("order", "lengths", "anew"):
        return "*u8" if name == "anew" else "*i64"
    return "*fp32" if name.startswith(EXACT) else "*bf16"


def main(names: list[str]) -> None:
    """Compile every kernel of these cells and say how much shared memory it takes."""
    for name in names:
        cell = {**CELLS, **ODD, **OPTED}[name]
        forward, backward = forward_plan(cell, (), True), backward_plan(cell)
        found = kernels.forward_kernels(forward, True, True)
        found = found | kernels.backward_kernels(backward, forward, True, True, cell.states[1:])
        for what, kernel in found.items():
            looped = not what[-1].isdigit()
            values = {"H": HIDDEN, "P": kernels.padded(HIDDEN), "ROWS": kernels.tile(HIDDEN, looped)}
            values |= {"PRECISION": "ieee"}
            signature = {a: "constexpr" if a in values else kind(a) for a in kernel.arg_names}
            places = {(kernel.arg_names.index(a),): value for a, value in values.items()}
            code = compiled(ASTSource(kernel, signature, places), target=TARGET, options={"num_warps": 4})
            assert code.asm["cubin"]
            sys.stdout.write(f"{name}: {what}, {code.metadata.shared} bytes of shared memory\n")


if __name__ == "__main__":
    main(sys.argv[1:])
