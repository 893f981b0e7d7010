"""A forecaster, opened: what is told of its steps is so, and the command writes a page."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from celda.cli.app import app, main
from celda.errors import CeldaError
from celda.insight import explain, integrated_gradients
from celda.language import cell, gate, linear, tanh
from celda.tasks import explained
from celda.tasks.run_folder import RunFolder
from tests.tasks.conftest import daily, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of two series, read three days at a time, and its table."""
    folder = tmp_path_factory.mktemp("explained")
    frame = pd.concat([daily(150, k, name=name) for k, name in enumerate("ab")])
    frame["ds"] = frame["ds"].dt.strftime("%Y-%m-%d")
    frame.to_csv(folder / "days.csv", index=False)
    tiny(patch=3, epochs=1).fit(folder / "days.csv").save(folder / "model")
    return folder


def test_the_steps_of_the_shown_window_are_named_as_they_are(folder):
    found = explained.subject(folder / "model", folder / "days.csv")
    assert (
        len(found.windows) == 2 * 8
    )  # the last of 150 days is the end of the last future; windows begin 17 days apart
    reading, forecasting = found.parts
    last = pd.read_csv(folder / "days.csv", parse_dates=["ds"]).query("unique_id == 'b'")
    window, ahead = last.iloc[-21:-7], last.iloc[-7:]
    assert [pd.Timestamp(label) for label in reading.labels] == window["ds"].iloc[[0, 2, 5, 8, 11]].tolist()
    assert [pd.Timestamp(label) for label in forecasting.labels] == ahead["ds"].iloc[[0, 3, 6]].tolist()
    np.testing.assert_allclose(reading.signal.values, window["y"], rtol=1e-5)
    assert reading.step == "3 days"
    weekend = window["ds"].dt.dayofweek.ge(5).to_numpy()
    np.testing.assert_array_equal(
        reading.targets["weekend"][:, -1], [weekend[:2].mean() > 0.5, *(weekend[2:].reshape(4, 3).mean(1) > 0.5)]
    )
    assert len(reading.columns) == found.network.encoder.input_size
    assert len(forecasting.columns) == found.network.decoder.input_size


def test_the_forecast_is_shared_out_among_the_days(folder):
    question = explained.subject(folder / "model", folder / "days.csv").question
    found = integrated_gradients(question.output, question.x, question.baseline)
    assert found.gap < 1e-3
    assert torch.isfinite(found.values).all()


def test_the_command_writes_a_page_beside_a_model(folder):
    ended = CliRunner().invoke(app, ["explain", str(folder / "model"), str(folder / "days.csv"), "--step", "2"])
    assert ended.exit_code == 0, ended.output
    page = (folder / "model-explained" / "report.html").read_text(encoding="utf-8")
    assert "step 2 of 5" in page
    assert "forget gate" in page
    assert (folder / "model-explained" / "gradient.png").is_file()
    assert re.search(r"Effective memory: \d steps? \(of 3 days each\)", page)


def test_with_out_and_quiet_it_writes_there_and_says_nothing(folder, tmp_path):
    words = ["explain", str(folder / "model"), str(folder / "days.csv"), "--out", str(tmp_path / "x"), "--quiet"]
    ended = CliRunner().invoke(app, words)
    assert (ended.exit_code, ended.output) == (0, "")
    assert (tmp_path / "x" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model"], "holds no data"),
        (["model", "days.csv", "--step", "6"], "--step 6"),
        (["model", "days.csv", "--step", "0"], "--step 0"),
        (["nothing"], "does not exist"),
        (["days.csv"], "is a file and no run"),
        (["model", "short.csv"], "fewer than the window"),
        (["model", "days.csv", "--out", "."], "holds no report"),
    ],
)
def test_what_cannot_be_explained_is_told_in_one_line(folder, words, told, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    daily(15, name="a").to_csv("short.csv", index=False)
    monkeypatch.setattr("sys.argv", ["celda", "explain", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert told in said.err
    assert said.err.count("\n") == 1


def test_with_a_cell_of_ones_own_the_words_of_python_are_told(folder, tmp_path):
    @cell
    def mine(x, h):
        """A leak."""
        return 0.9 * h + 0.1 * gate("n", tanh, linear(x, h))

    tiny(cell=mine, epochs=1).fit(folder / "days.csv").save(tmp_path / "model")
    with pytest.raises(CeldaError, match=r"explained.subject\(\".*model\", data, cell=mine\), \"out\"\)"):
        explained.subject(tmp_path / "model", folder / "days.csv")
    written = explain(explained.subject(tmp_path / "model", folder / "days.csv", cell=mine), tmp_path / "out")
    assert written["report"].is_file()


def test_inside_a_model_the_page_is_written_beside_it(folder, monkeypatch):
    monkeypatch.chdir(folder / "model")
    before = sorted(path.name for path in (folder / "model").iterdir())
    ended = CliRunner().invoke(app, ["explain", ".", str(folder / "days.csv")])
    assert ended.exit_code == 0, ended.output
    assert "following the gradient back in time ..." in ended.output
    assert sorted(path.name for path in (folder / "model").iterdir()) == before
    assert (folder / "model-explained" / "report.html").is_file()


def test_where_the_data_of_a_run_are_gone_they_are_asked_for(tmp_path):
    run = RunFolder.make(tmp_path / "run", overwrite=False)
    run.write_config("forecast", {"data": str(tmp_path / "gone.csv"), "fingerprint": "", "parameters": {}})
    with pytest.raises(CeldaError, match=r"celda explain .*run DATA"):
        explained.subject(tmp_path / "run")


def test_a_table_in_memory_is_told_of(folder):
    with pytest.raises(CeldaError, match="does not exist"):
        explained.subject(folder / "none")
