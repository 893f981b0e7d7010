"""What a reader and an importer rely on: short files, a small public face, and an import that costs little."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import celda
from celda.cells import CELLS

SOURCES = sorted(Path(celda.__file__).parent.rglob("*.py"))

# Adding to the public face is a decision: it is written down here.
PUBLIC = {
    "GRU",
    "LSTM",
    "RNN",
    "CeldaError",
    "Classifier",
    "Forecaster",
    "LanguageModel",
    "Recurrent",
    "Stepper",
    "Tagger",
    "Trace",
    "load",
    "trace",
}
HEAVY = ("accelerate", "llvmlite", "matplotlib", "pandas", "pyarrow", "pydantic", "rich", "sklearn", "triton", "typer")


def modules_after(statement: str) -> set[str]:
    """The modules in memory after `statement`, in a fresh interpreter."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_files_are_short():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path.name: n for path, n in lines.items() if n > 600} == {}
    assert statistics.median(lines.values()) < 150
    assert sum(n <= 400 for n in lines.values()) >= 0.9 * len(lines)


def test_a_cell_is_short():
    """What is decorated with @cell takes at most 60 lines, docstring included."""
    lengths = {}
    for path in SOURCES:
        if path.parent.name == "cells":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and any(
                    ast.unparse(d).split("(")[0] == "cell" for d in node.decorator_list
                ):
                    lengths[node.name] = (node.end_lineno or 0) - node.lineno + 1
    assert set(CELLS) == set(lengths)
    assert max(lengths.values()) <= 60


def test_no_engine_and_no_part_of_the_language_names_a_cell():
    """Neither in code nor as a string; docstrings and comments may take one as an example."""
    names = {*CELLS}
    for path in SOURCES:
        if path.relative_to(Path(celda.__file__).parent).parts[0] not in {"engines", "language"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            found = {getattr(node, part, None) for part in ("id", "attr", "arg")} - {None}
            if isinstance(node, ast.Constant) and node not in docs and isinstance(node.value, str):
                found |= {node.value}
            assert not found & names, f"{path.name} names {found & names}"


def test_the_public_names():
    assert set(celda.__all__) == PUBLIC
    assert all(getattr(celda, name).__doc__ for name in PUBLIC)
    assert set(dir(celda)) == PUBLIC | set(celda._PARTS) | {"errors", "__version__"}


def test_importing_celda_brings_in_nothing_heavy():
    after = modules_after("import celda")
    assert not after & {*HEAVY, "torch", "numpy"}


def test_the_layers_bring_in_no_more_than_torch():
    after = modules_after("import celda; celda.LSTM")
    extra = after - modules_after("import torch")
    assert "torch" in after
    assert not {name.split(".")[0] for name in extra} & set(HEAVY)
    assert not {name for name in extra if name.startswith("torch._dynamo")}
