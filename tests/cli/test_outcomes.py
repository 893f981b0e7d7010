import pandas as pd
import pytest

from celda.cli.outcomes import show_outcome
from celda.tasks.run_folder import Outcome


@pytest.mark.parametrize(("windows", "said"), [(1, "Test: 1 forecast that"), (1200, "Test: 1,200 forecasts that")])
def test_what_was_tested_is_counted(windows, said, capsys):
    show_outcome(Outcome(pd.DataFrame({"MAE": [1.0]}, index=["lstm"]), windows, (), {}, 3.0))
    assert said in " ".join(capsys.readouterr().out.split())
