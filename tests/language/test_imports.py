"""The language and the cells stand on the standard library alone."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("use", ["CELLS['lstm'].equations()", "CELLS['gru'].latex()", "CELLS['gru_2014'].diagram()"])
def test_a_cell_can_be_read_and_drawn_without_torch_or_numpy(use):
    program = (
        "import sys\n"
        "import celda.language\n"
        "from celda.cells import CELLS\n"
        "from celda.language.calculus import gradient\n"
        "from celda.language.schedule import schedule\n"
        "schedule(CELLS['lstm']), gradient(CELLS['lstm']).saved\n"
        f"{use}\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
