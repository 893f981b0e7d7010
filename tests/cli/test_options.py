"""The options of the program are those of Python, and Ctrl-C says what is true."""

import inspect
import os
import signal

import pytest
import typer

from celda import Classifier, Forecaster, LanguageModel, Tagger
from celda.cli.classify import classify
from celda.cli.forecast import forecast
from celda.cli.language import language, sample
from celda.cli.outcomes import interruptible
from celda.cli.tag import tag
from celda.tasks import forecast_run
from celda.training.learner import Learner

# A list on the command line is None where it is not given, and stands for what Python's default is.
LISTS = {"level", "past", "future", "static"}


@pytest.mark.parametrize(
    ("command", "python", "some"),
    [
        (forecast, Forecaster, {"season", "val_size", "calibrate", "learning_rate"}),
        (language, LanguageModel, set(inspect.signature(LanguageModel).parameters)),
        (sample, LanguageModel.sample, {"prime", "length", "temperature", "top_k", "top_p", "seed"}),
        (classify, Classifier, {"text_col", "pooling", "calibrate", "learning_rate"}),
        (tag, Tagger, {"token_col", "crf", "learning_rate"}),
    ],
)
def test_the_defaults_are_those_of_python(command, python, some):
    ours, theirs = (inspect.signature(one).parameters for one in (command, python))
    shared = [name for name in theirs if name in ours]
    assert some <= set(shared)
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
    assert told.out == ""
    assert told.err.startswith("Interrupted")
    assert ("celda resume" in told.err) == bool(files)
    assert ("the checkpoint is written" in told.err) == (len(files) == 2)


@pytest.mark.skipif(os.name == "nt", reason="os.kill is another thing there")
def test_sigterm_in_a_training_ends_it_with_143(tmp_path, capfd, monkeypatch):
    step = Learner.step

    def killed(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(*args)

    monkeypatch.setattr(Learner, "step", killed)
    forecaster = Forecaster(4, 8, hidden_size=2, epochs=1, device="cpu")
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, interruptible(tmp_path / "run"):
        forecast_run.train("electricity", tmp_path / "run", forecaster, quiet=True)
    assert ended.value.exit_code == 143
    assert capfd.readouterr().err.strip().endswith(f"celda resume {tmp_path / 'run'}")
    assert (tmp_path / "run/checkpoints/choose.safetensors").is_file()
    assert signal.getsignal(signal.SIGTERM) == former
