import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import celda
from celda.errors import CeldaError
from celda.language import cell, gate, linear, tanh
from celda.tasks import loading, model_card, model_directory
from tests.tasks.conftest import daily, tiny


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


@cell
def leaky(x, h):
    """A leaky integrator."""
    n = gate("n", tanh, linear(x, h))
    return 0.5 * h + 0.5 * n


def test_what_is_loaded_forecasts_the_same(fitted, saved, frame):
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "preprocessor.json",
    ]
    loaded = celda.load(saved)
    assert loaded.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(loaded.predict(frame), fitted.predict())
    longer = daily(164)
    pd.testing.assert_frame_equal(loaded.evaluate(longer).frame, fitted.evaluate(longer).frame)
    loaded.refit(longer)  # a loaded model can go on learning
    assert loaded.predict()["ds"].iloc[0] > longer["ds"].iloc[-1]


def test_saving_what_was_loaded_writes_the_same_files(saved, tmp_path):
    celda.load(saved).save(tmp_path / "again")
    for name in ("config.json", "preprocessor.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_integers_as_time_and_covariates_come_back(frame, tmp_path):
    table = frame.assign(ds=np.arange(150), wind=np.arange(150.0))
    forecaster = tiny(season=7, epochs=1, past=["wind"]).fit(table)
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(celda.load(tmp_path / "model").predict(table), forecaster.predict())


def test_loading_leaves_the_random_numbers_alone(saved):
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    celda.load(saved)
    assert torch.rand(1) == wanted


def test_the_card_tells_what_the_model_is(fitted, saved):
    card = (saved / "README.md").read_text()
    for fact in (
        "the next 7 steps of 1 day, from the last 14 steps",
        "2021-06-02",
        "f_t = σ(W_f x_t",
        "without a test",
    ):
        assert fact in card
    weights = [
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+)(?=:| in )", card.split("| weights | ")[1].split("|")[0])
    ]
    assert weights[0] == sum(weights[1:]) == sum(p.numel() for p in fitted.predictor_.network.parameters())


def test_what_the_card_says_can_be_pasted(frame, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    later = pd.DataFrame({"ds": pd.date_range("2021-06-03", periods=7), "dear": 1})
    frame.assign(dear=np.arange(150) % 2).to_csv("my.csv", index=False)
    later.to_csv("future.csv", index=False)
    fitted = tiny(cell=leaky, epochs=1, future=["dear"]).fit("my.csv")
    fitted.save('a "fine" model')
    (code,) = re.findall(r"```python\n(.*?)```", Path('a "fine" model/README.md').read_text(), re.S)
    assert "columns: ds, y, dear" in code
    names = {"leaky": leaky}
    exec(code, names)
    pd.testing.assert_frame_equal(names["forecast"], fitted.predict(future_df=later))


@pytest.mark.parametrize(
    ("freq", "words"),
    [
        ("30min", "2 steps of 30 minutes"),
        ("h", "2 steps of 1 hour"),
        ("W-SUN", "2 steps of 1 week"),
        ("3MS", "2 steps of 3 months"),
        ("BQE-DEC", "2 steps of 1 quarter"),
        ("5ms", "2 steps of 5ms"),
        ("1", "2 steps of 1"),
    ],
)
def test_a_step_in_words(freq, words):
    assert model_card.steps_in_words(2, freq) == words


def test_a_model_takes_the_place_of_a_model(fitted, saved):
    fitted.save(saved)
    assert celda.load(saved).h == 7
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_other_files_are_never_replaced(fitted, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for place in (tmp_path / "thesis", tmp_path / "thesis" / "chapter.txt"):
        with pytest.raises(CeldaError, match="exists and holds no model: choose another directory"):
            fitted.save(place)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_disk_that_refuses_leaves_the_former_model(fitted, saved, monkeypatch):
    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr(model_directory, "to_bytes", refuse)
    with pytest.raises(CeldaError, match="no space left"):
        fitted.save(saved)
    assert celda.load(saved).h == 7


def test_a_cell_of_ones_own_is_given_when_loading(frame, tmp_path):
    forecaster = tiny(cell=leaky, epochs=1).fit(frame)
    forecaster.save(tmp_path / "model")
    with pytest.raises(CeldaError, match=r"a cell of yours, 'leaky'.*give cell=leaky"):
        celda.load(tmp_path / "model")
    with pytest.raises(CeldaError, match="a cell 'leaky' of other equations than 'gru'"):
        celda.load(tmp_path / "model", cell=celda.cells.CELLS["gru"])
    pd.testing.assert_frame_equal(celda.load(tmp_path / "model", cell=leaky).predict(frame), forecaster.predict())


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


def edit(path):
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1').replace('"scale": ', '"scale": 1'))


def rename(path):
    weights = load_file(path)
    save_file(weights, path, {"format": "pt"})


def age(path):
    weights = load_file(path)
    save_file(weights, path, {"celda": '{"format": "celda model 99"}'})


DAMAGE = [
    ("model.safetensors", cut, "is damaged"),
    ("model.safetensors", flip, "model.safetensors was changed after the model was saved"),
    ("model.safetensors", lambda path: path.unlink(), "incomplete: model.safetensors is missing"),
    ("model.safetensors", lambda path: path.write_text("hello"), "is damaged"),
    ("model.safetensors", rename, "holds a model that Celda did not write"),
    ("model.safetensors", age, "a newer version of Celda"),
    ("config.json", edit, "config.json was changed after the model was saved"),
    ("config.json", lambda path: path.write_text("{"), "config.json was changed"),
    ("config.json", lambda path: path.unlink(), "incomplete: config.json is missing"),
    ("preprocessor.json", edit, "preprocessor.json was changed"),
    ("preprocessor.json", lambda path: path.unlink(), "incomplete: preprocessor.json is missing"),
    (".", shutil.rmtree, "does not exist: give the directory that save"),
    ("..", lambda path: shutil.rmtree(path / "model") or (path / "model").mkdir(), "is no model directory"),
    ("..", lambda path: shutil.rmtree(path / "model") or (path / "model").write_text(""), "is a file"),
]


@pytest.mark.parametrize(("name", "damage", "answer"), DAMAGE)
def test_a_directory_that_is_not_whole_is_told_in_one_line(saved, name, damage, answer):
    damage((saved / name).resolve())
    with pytest.raises(CeldaError, match=answer) as error:
        celda.load(saved)
    assert "\n" not in str(error.value)


def test_the_folder_above_a_model_is_told_apart(saved):
    with pytest.raises(CeldaError, match=f"is no model directory.*give {saved}"):
        celda.load(saved.parent)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda config: config["parameters"].update(colour="red"), "an option that this one has not: colour"),
        (lambda config: config.update(equations=["h_t = x_t"]), "of other equations"),
    ],
)
def test_a_model_of_another_version(fitted, tmp_path, monkeypatch, change, answer):
    def changed(directory, model, card):
        change(model.config)
        model_directory.write_model(directory, model, card)

    monkeypatch.setattr("celda.tasks.saved_forecaster.write_model", changed)
    fitted.save(tmp_path / "model")
    with pytest.raises(CeldaError, match=answer):
        celda.load(tmp_path / "model")


def test_another_task(saved, monkeypatch):
    monkeypatch.delitem(loading._RESTORE, "forecast")
    with pytest.raises(CeldaError, match="for the task 'forecast', which this version has not"):
        celda.load(saved)


def test_a_save_that_was_killed_between_two_renames_left_a_model(fitted, saved, monkeypatch):
    saved.rename(saved.with_name(".model.former"))
    assert celda.load(saved).h == 7
    with monkeypatch.context() as patch:
        patch.setattr(model_directory, "to_bytes", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(CeldaError, match="no space left"):
            fitted.save(saved)
    assert celda.load(saved).h == 7
    fitted.save(saved)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
