import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.tasks import forecast_run, run_folder
from tests.tasks.conftest import daily, tiny

FILES = [
    "checkpoints/choose.safetensors",
    "checkpoints/final.safetensors",
    "checkpoints/fit.safetensors",
    "config.json",
    "figures/forecast.png",
    "figures/loss.png",
    "figures/test.png",
    "forecast.csv",
    "metrics.jsonl",
    "model/README.md",
    "model/config.json",
    "model/model.safetensors",
    "model/preprocessor.json",
    "scores.json",
    "test.csv",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "demand.csv"
    daily().rename(columns={"ds": "day", "y": "load"}).to_csv(path, index=False)
    return path


def forecaster(**options):
    return tiny(time_col="day", target_col="load", **options)


@pytest.fixture(scope="module")
def done(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "demand"
    return folder, forecast_run.train(source, folder, forecaster(), test_size=21, quiet=True)


def test_a_run_leaves_all_its_files(done):
    folder, outcome = done
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == FILES
    assert set(found) <= set(run_folder._FILES)  # what overwriting deletes
    assert {str(path.relative_to(folder)) for path in outcome.files.values()} < {*FILES, "model"}
    phases = [json.loads(line)["phase"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(phases)) == ["choose", "fit", "final"]


def test_whoever_may_read_the_configuration_may_read_the_weights(done):
    folder, _ = done
    modes = {path.name: oct(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert {name: mode for name, mode in modes.items() if mode != modes["config.json"]} == {}


def test_the_test_is_honest_and_the_forecast_is_of_the_future(done):
    folder, outcome = done
    test = pd.read_csv(folder / "test.csv", parse_dates=["day", "cutoff"])
    forecast = pd.read_csv(folder / "forecast.csv", parse_dates=["day"])
    last = daily()["ds"].iloc[-1]
    assert outcome.windows == 3
    assert test["cutoff"].min() == last - pd.Timedelta(days=21)
    assert list(test)[1:4] == ["day", "cutoff", "load"]
    assert (
        max(len(one.lstrip("-").replace(".", "")) for one in pd.read_csv(folder / "test.csv", dtype=str)["ridge"]) <= 7
    )
    assert forecast["day"].tolist() == list(pd.date_range(last, periods=8)[1:])
    # The network that was tested is the one that a fit without the test gives; the one that is kept has seen it.
    alone = forecaster().fit(daily(129).rename(columns={"ds": "day", "y": "load"}))
    tested = alone.evaluate(daily().rename(columns={"ds": "day", "y": "load"}))
    assert test["lstm"].to_numpy() == pytest.approx(tested.frame["lstm"].to_numpy(), rel=1e-6)
    assert celda.load(folder / "model").trained_until_ == {"load": last}


def test_the_card_of_the_model_tells_the_test(done):
    folder, outcome = done
    assert f"{outcome.scores.loc['lstm', 'MAE']:.4g}" in (folder / "model" / "README.md").read_text()


def test_evaluate_and_predict_from_the_folder(done, source):
    folder, outcome = done
    again = forecast_run.evaluate(folder)
    pd.testing.assert_frame_equal(again.scores, outcome.scores)
    assert (again.files, again.windows, again.notes) == (outcome.files, outcome.windows, outcome.notes)
    kept = pd.read_csv(folder / "forecast.csv", parse_dates=["day"])
    assert forecast_run.predict(folder)["lstm"].to_numpy() == pytest.approx(kept["lstm"].to_numpy())
    longer = daily(164).rename(columns={"ds": "day", "y": "load"})
    assert forecast_run.predict(folder, longer)["day"].iloc[0] == pd.Timestamp("2021-06-17")
    assert forecast_run.evaluate(folder, longer).windows == 2
    with pytest.raises(CeldaError, match="nothing to evaluate on"):
        forecast_run.evaluate(folder, source)


def test_a_run_and_its_model_stand_for_one_another(done, tmp_path):
    folder, _ = done
    pd.testing.assert_frame_equal(forecast_run.predict(folder / "model"), forecast_run.predict(folder))
    assert celda.load(folder).trained_until_ == celda.load(folder / "model").trained_until_
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(CeldaError, match=r"has not ended.*celda resume"):
        celda.load(tmp_path)


def test_a_damaged_checkpoint_is_told_with_what_to_do(done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "run")
    checkpoint = folder / "checkpoints" / "fit.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(CeldaError, match=r"fit\.safetensors.*damaged: delete it, to train this phase anew"):
        forecast_run.resume(folder, quiet=True)
    checkpoint.unlink()
    again = forecast_run.resume(folder, quiet=True)
    pd.testing.assert_frame_equal(again.scores, done[1].scores)


def test_a_finished_run_resumes_to_the_same(done):
    folder, outcome = done
    weights = (folder / "model" / "model.safetensors").read_bytes()
    again = forecast_run.resume(folder, quiet=True)
    pd.testing.assert_frame_equal(again.scores, outcome.scores)
    assert (folder / "model" / "model.safetensors").read_bytes() == weights
    assert again.seconds == outcome.seconds == forecast_run.evaluate(folder).seconds  # nothing was trained


def test_an_interrupted_run_has_no_scores_and_resumes_to_the_same(done, source, tmp_path, monkeypatch):
    folder, _ = done
    real = forecast_run.Forecaster.refit
    monkeypatch.setattr(forecast_run.Forecaster, "refit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        forecast_run.train(source, tmp_path / "run", forecaster(), test_size=21, quiet=True)
    for early in (forecast_run.evaluate, forecast_run.predict):
        with pytest.raises(CeldaError, match=r"has not ended.*celda resume"):
            early(tmp_path / "run")
    monkeypatch.setattr(forecast_run.Forecaster, "refit", real)
    forecast_run.resume(tmp_path / "run", quiet=True)
    ours, theirs = (path / "model" / "model.safetensors" for path in (tmp_path / "run", folder))
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_table_in_memory_is_given_again(tmp_path):
    forecast_run.train(daily(), tmp_path / "run", tiny(epochs=1), test_size=14, quiet=True)
    with pytest.raises(CeldaError, match="with a table in memory, not with a file: give that table again"):
        forecast_run.resume(tmp_path / "run")
    assert forecast_run.resume(tmp_path / "run", daily(), quiet=True).windows == 2
    with pytest.raises(CeldaError, match=r"not what the run in .* began with"):
        forecast_run.resume(tmp_path / "run", daily(seed=1))


def test_without_the_future_of_a_covariate_there_is_no_forecast_but_all_the_rest(tmp_path):
    table = daily().assign(promotion=np.arange(150) % 2)
    options = tiny(epochs=1, future=["promotion"])
    outcome = forecast_run.train(table, tmp_path / "run", options, test_size=14, quiet=True)
    assert "forecast" not in outcome.files
    assert any(note.startswith("No forecast of what comes next was made. ") for note in outcome.notes)
    ahead = pd.DataFrame({"ds": pd.date_range("2021-06-03", periods=7), "promotion": 1})
    assert len(forecast_run.predict(tmp_path / "run", table, ahead)) == 7


def test_a_device_that_is_not_there_costs_no_former_run(tmp_path):
    begun = tmp_path / "checkpoints" / "fit.safetensors"
    begun.parent.mkdir()
    begun.write_bytes(b"half of it")
    (tmp_path / "config.json").write_text('{"task": "forecast", "fingerprint": "", "data": null, "parameters": {}}')
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(CeldaError, match=f"device='{absent}' was asked for, but torch finds only"):
        forecast_run.train(daily(), tmp_path, tiny(device=absent), test_size=14, overwrite=True, quiet=True)
    assert begun.read_bytes() == b"half of it"


def test_a_folder_with_anything_in_it_is_safe(source, tmp_path, done):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CeldaError, match="holds other files: choose an empty folder"):
        forecast_run.train(source, tmp_path, forecaster(), overwrite=True)
    with pytest.raises(CeldaError, match="is a file: give a folder"):
        forecast_run.train(source, tmp_path / "thesis.txt", forecaster())
    with pytest.raises(CeldaError, match=r"holds a run already: resume it \(celda resume"):
        forecast_run.train(source, done[0], forecaster())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_run_that_was_refused_does_not_block_its_folder(source, tmp_path):
    folder = run_folder.RunFolder.make(tmp_path / "run", overwrite=False)
    config = {"fingerprint": "", "data": None, "parameters": {}}
    folder.write_config("forecast", config)
    run_folder.RunFolder.make(tmp_path / "run", overwrite=False)  # nothing came of it
    assert not run_folder.is_run(tmp_path / "run")
    folder.write_config("forecast", config)
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "choose.safetensors").touch()
    with pytest.raises(CeldaError, match="holds a run already"):
        run_folder.RunFolder.make(tmp_path / "run", overwrite=False)


def test_a_configuration_of_another_program_is_no_run(tmp_path):
    (tmp_path / "config.json").write_text('{"task": "translate", "model": "mine"}')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_text("months of training")
    with pytest.raises(CeldaError, match="holds other files: choose an empty folder"):
        forecast_run.train(daily(), tmp_path, tiny(), test_size=14, overwrite=True, quiet=True)
    assert (tmp_path / "model" / "weights.bin").read_text() == "months of training"


@pytest.mark.parametrize("name", ["figures/mine.png", "model/mine.txt", "checkpoints/mine/a", "former/mine.txt"])
def test_a_run_with_other_files_among_its_own_is_not_overwritten(name, done, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(done[0], folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(CeldaError, match=r"is not (of the|a) run.*: move it, so that nothing is lost"):
        forecast_run.train(daily(), folder, tiny(), test_size=14, overwrite=True, quiet=True)
    assert (folder / name).read_text() == "mine"
    assert (folder / "scores.json").exists()


def test_a_run_is_overwritten_when_the_new_one_has_ended(done, source, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(done[0], folder)
    with monkeypatch.context() as patch:
        patch.setattr(forecast_run, "_go", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        for seed in (1, 2):  # the second time there is no run that has ended but the former one
            with pytest.raises(KeyboardInterrupt):
                forecast_run.train(source, folder, forecaster(seed=seed), test_size=21, overwrite=True, quiet=True)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "former"]
    pd.testing.assert_frame_equal(forecast_run.evaluate(folder / "former").scores, done[1].scores)
    forecast_run.resume(folder, quiet=True)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == FILES
    assert not (folder / "former").exists()


@pytest.mark.parametrize("text", ["{}", "[]", '{"scores": {"lstm": 3}}', "null"])
def test_scores_that_are_none_are_told_in_a_line(text, done, tmp_path):
    shutil.copytree(done[0], tmp_path / "run")
    (tmp_path / "run" / "scores.json").write_text(text)
    with pytest.raises(CeldaError, match="does not hold the scores of a run"):
        forecast_run.evaluate(tmp_path / "run")


def test_overwriting_a_run_keeps_what_is_not_of_it(tmp_path):
    forecast_run.train(daily(), tmp_path / "run", tiny(epochs=1), test_size=14, quiet=True)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    forecast_run.train(daily(), tmp_path / "run", tiny(epochs=1, seed=1), test_size=14, overwrite=True, quiet=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("size", "answer"),
    [
        (6, "test_size=6 holds no horizon of 7 steps"),
        (0, "test_size=0"),
        (150, "Series 'y' has 150 steps, so 150 of them cannot be held out: write a smaller test_size"),
        (140, "Series 'y' has 10 steps to learn from"),
    ],
)
def test_a_test_that_cannot_be(size, answer, tmp_path):
    with pytest.raises(CeldaError, match=answer):
        forecast_run.train(daily(), tmp_path / "run", tiny(), test_size=size, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_horizon_that_is_too_long_for_a_test(tmp_path):
    with pytest.raises(CeldaError, match="of them cannot be held out: write a smaller h, or leave the series out"):
        forecast_run.train(daily(), tmp_path / "run", tiny(h=150), quiet=True)


def test_a_future_of_no_use_is_told_before_training(tmp_path):
    with pytest.raises(CeldaError, match="no covariates that are known ahead of time: leave it out"):
        forecast_run.train(daily(), tmp_path / "run", tiny(), future=tmp_path / "none.csv", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_wrong_option_leaves_no_folder(tmp_path):
    with pytest.raises(CeldaError, match="There is no cell"):
        forecast_run.train(daily(), tmp_path / "run", tiny(cell="lstn"), quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("{", "is damaged"),
        ('{"task": "translate"}', "does not describe a run"),
        ('{"task": "language", "fingerprint": 0, "data": "", "parameters": {}}', "a run of the task 'forecast'"),
        ("[]", "does not"),
        ('{"task": "forecast", "parameters": {}}', "does not describe a run"),
    ],
)
def test_a_configuration_that_is_not_one(text, answer, tmp_path):
    (tmp_path / "config.json").write_text(text)
    for call in (forecast_run.resume, forecast_run.evaluate, forecast_run.predict):
        with pytest.raises(CeldaError, match=answer):
            call(tmp_path)


@pytest.mark.parametrize("call", [forecast_run.resume, forecast_run.evaluate, forecast_run.predict])
def test_a_folder_that_is_no_run(call, tmp_path):
    with pytest.raises(CeldaError, match="holds no run: give the folder that --run named"):
        call(tmp_path)
    with pytest.raises(CeldaError, match="does not exist"):
        call(tmp_path / "nowhere")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(CeldaError, match=r"holds a model and no run: .* in Python write celda\.load\("):
        call(tmp_path)


def test_the_model_is_kept_before_anything_is_drawn(source, tmp_path, monkeypatch):
    def refuse(figure, path):
        raise OSError("no room")

    monkeypatch.setattr(forecast_run.figures, "save_figure", refuse)
    with pytest.raises(OSError, match="no room"):
        forecast_run.train(source, tmp_path / "run", forecaster(epochs=1), test_size=21, quiet=True)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
