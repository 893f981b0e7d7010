"""What the README shows is executed."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_of_the_readme_runs_and_its_cell_learns():
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["losses"][-1] < names["losses"][0]
    assert "z_t = σ(W_z x_t + R_z h_{t-1} + b_z)" in names["two_speed"].equations()
    assert names["drawing"].lstrip().startswith("<")
    assert names["y_0"].shape == (8, 16)


def test_the_figures_of_the_readme_are_there():
    for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).is_file(), target
