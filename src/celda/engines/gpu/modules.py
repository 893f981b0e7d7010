"""Printed source as a module: Triton reads a kernel's text again, so the text must be found where Python looks for it.

It is given to `linecache`, which `inspect.getsource` asks: nothing is written to the disk that would be run. What
Triton compiles from it, it keeps in a cache of its own, by the text's digest.
"""

from __future__ import annotations

import hashlib
import linecache
from types import ModuleType
from typing import Any

HEAD = "import triton\nimport triton.language as tl\n\n\n"


def load(name: str, functions: list[str]) -> dict[str, Any]:
    """The kernels of `functions`, source texts, by their names; `name` is what a traceback says they are of."""
    text = HEAD + "\n\n".join(functions)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module = ModuleType(f"celda_printed_{digest}")
    file = f"<celda {name} {digest}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), module.__dict__)  # printed by this package from a cell's graph
    return {k: v for k, v in vars(module).items() if k not in ("triton", "tl") and not k.startswith("__")}
