"""The command line speaks of its own options, and Python of its arguments."""

import inspect

import pytest

from celda.cli.classify import classify
from celda.cli.compare import compare
from celda.cli.explain import explain
from celda.cli.forecast import forecast
from celda.cli.language import language, sample
from celda.cli.runs import predict
from celda.cli.tag import tag
from celda.cli.words import OPTIONS, in_its_words, spoken
from celda.errors import CeldaError

SAID = [
    ("write for example h=24.", "write for example --h 24."),
    ("epochs=-1 cannot be used: it is", "--epochs -1 cannot be used: it is"),
    ("learning_rate=0 (learning_rate: the", "--learning-rate 0 (--learning-rate: the"),
    ("a smaller h, input_size or val_size.", "a smaller --h, --input-size or --val-size."),
    ("write level=(80, 95).", "write --level 80 --level 95."),
    ("target_col='my load'; if", "--target-col 'my load'; if"),
    ("past=['wind']", "--past wind"),
    ("cell='lstm', or a cell", "--cell lstm, or a cell"),
    ("write freq='h', or leave it out", "write --freq h, or leave it out"),
    ("overwrite it (overwrite=True).", "overwrite it (--overwrite)."),
    ("write calibrate=False or calibrate=None", "write --no-calibrate or no --calibrate"),
    ("a table of the future (future_df) or", "a table of the future (--future-data) or"),
    # what is no option stays as it is
    ("a past or a future covariate of the level 80", "a past or a future covariate of the level 80"),
    ("runs/h/input_size.csv: 'h' and 'target_col'", "runs/h/input_size.csv: 'h' and 'target_col'"),
    ("patch=1 and n_windows=3", "patch=1 and n_windows=3"),
]


@pytest.mark.parametrize(("python", "here"), SAID)
def test_arguments_are_said_as_options(python, here):
    assert spoken(python) == here


def test_all_options_are_there():
    commands = forecast, language, sample, classify, tag, explain, compare
    here = {"--" + name.replace("_", "-") for one in commands for name in inspect.signature(one).parameters}
    assert set(OPTIONS.values()) == here - {"--data", "--text", "--prime", "--run", "--quiet", "--out", "--task"}


def test_an_option_that_a_command_has_not_is_told_where_it_is():
    @in_its_words
    def other(future_data: str):
        raise CeldaError("write id_col='shop' or future_df")

    with pytest.raises(CeldaError, match=r"^write --id-col shop \(of celda train\) or --future-data$"):
        other("x")
    assert inspect.signature(in_its_words(predict)) == inspect.signature(predict)
