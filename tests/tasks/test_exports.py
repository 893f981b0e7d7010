import subprocess
import sys


def test_celda_tasks_draws_no_figures_until_asked():
    code = "import sys, celda.tasks; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
