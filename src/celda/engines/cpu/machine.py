"""The processor the kernels are made for."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache

from llvmlite import binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
llvm.initialize_native_asmparser()  # for the one instruction written in assembly, the pause of a spinning barrier

X86 = platform.machine().lower() in ("x86_64", "amd64")


@dataclass(frozen=True)
class Machine:
    """What of the processor a kernel depends on. `features` is LLVM's list, as in "+avx2,-avx512f"; `vector_bytes` is
    the width of the widest vectors it multiplies at full speed, `registers` how many of them it has."""

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int

    def has(self, feature: str) -> bool:
        """Whether the processor has `feature`, in LLVM's spelling: "avx512f"."""
        return f"+{feature}" in self.features.split(",")

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether it adds products of pairs of bfloat16 to a full vector of float32, in one instruction."""
        return self.vector_bytes == 64 and self.has("avx512bf16")

    def lanes(self, dtype: str) -> int:
        """How many elements of "float32" or "float64" a vector holds."""
        return self.vector_bytes // (8 if dtype == "float64" else 4)

    @property
    def pause(self) -> str:
        """The instruction that says: this thread spins."""
        return "pause" if X86 else "yield"

    def target(self) -> llvm.TargetMachine:
        """A new target machine of LLVM. Position-independent code: it is linked wherever memory was free."""
        return llvm.Target.from_triple(self.triple).create_target_machine(
            cpu=self.cpu, features=self.features, opt=3, reloc="pic", codemodel="small"
        )


@cache
def host() -> Machine:
    """The processor this runs on."""
    found = llvm.get_host_cpu_features()
    if found.get("avx512f") and found.get("avx512vl") and found.get("avx512dq"):
        vector_bytes, registers = 64, 32
    elif found.get("avx2") and found.get("fma"):
        vector_bytes, registers = 32, 16
    else:
        vector_bytes, registers = 16, 16 if X86 else 32
    return Machine(llvm.get_process_triple(), llvm.get_host_cpu_name(), found.flatten(), vector_bytes, registers)
