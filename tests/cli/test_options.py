"""The options of the program are those of Python, and Ctrl-C says what is true."""

import inspect

import pytest
import typer

from celda import Forecaster
from celda.cli.forecast import forecast
from celda.cli.outcomes import interruptible

# A list on the command line is None where it is not given, and stands for what Python's default is.
LISTS = {"level", "past", "future", "static"}


def test_the_defaults_are_those_of_the_forecaster():
    ours, theirs = (inspect.signature(one).parameters for one in (forecast, Forecaster))
    shared = [name for name in theirs if name in ours]
    assert {"season", "val_size", "calibrate", "learning_rate"} < set(shared)
    for name in shared:
        assert ours[name].default == (None if name in LISTS else theirs[name].default), name


@pytest.mark.parametrize("files", [(), ("config.json",), ("config.json", "checkpoints/choose.safetensors")])
def test_ctrl_c_says_how_to_go_on_where_there_is_something_to_go_on_with(files, tmp_path, capfd):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    with pytest.raises(typer.Exit) as ended, interruptible(tmp_path):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    told = capfd.readouterr()
    assert ("celda resume" in told.out + told.err) == (len(files) == 2)
