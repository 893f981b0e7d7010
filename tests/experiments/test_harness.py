"""Experiments run, their results are kept whole, and the pages are what the results say."""

import dataclasses
import importlib

import pytest
import torch

from experiments import page
from experiments.__main__ import main, perform
from experiments.experiment import FOLDER, Column, Run, find, names, results
from experiments.learning import Network, Training, learn
from experiments.result import Result

EXACT = importlib.import_module("experiments.1997_hochreiter_temporal_order.experiment")
CONTINUAL = importlib.import_module("experiments.2000_gers_continual_reber.experiment")
GRADIENT = importlib.import_module("experiments.1991_hochreiter_gradient_by_lag.experiment")
LAGS = importlib.import_module("experiments.1997_hochreiter_long_lags.experiment")


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_smallest_experiment_from_end_to_end(tmp_path, capfd):
    assert main(["run", "2015_karpathy_hola", "--seeds", "2", "--jobs", "2", "--out", str(tmp_path)]) == 0
    found = results("2015_karpathy_hola", tmp_path)
    assert list(found) == ["rnn", "gru", "lstm"]
    for result in found.values():
        assert result.seeds == [0, 1]
        assert result.count("writes", 1) == 2
        assert result.config["hidden_size"] == 4
    assert "lstm, seed 1" in capfd.readouterr().out  # written by another process
    written = page.section("2015_karpathy_hola", find("2015_karpathy_hola"), found, "figures")
    assert "| `lstm` | 2 of 2 |" in written
    assert "| 2 of 10 |" in written
    assert "not run to the end: rnn, gru, lstm" in written


def test_the_pages_are_what_the_results_say():
    assert (page.DOCS / "results.md").read_text(encoding="utf-8") == page.whole()
    for name in names():
        assert (FOLDER / name / "README.md").read_text(encoding="utf-8") == page.detail(name)


def test_every_result_is_of_the_setting_that_stands_there():
    for name in names():
        runs = {run.name: run for run in find(name).runs}
        for run, result in results(name).items():
            assert result.is_of(runs[run].config), (name, run)
            assert result.seeds == list(range(len(result.figures)))
        assert {path.stem for path in (FOLDER / name / "results").glob("*.json")} <= set(runs)


@pytest.mark.parametrize("name", names())
def test_checks_and_columns_name_runs_and_figures_that_are_there(name):
    experiment, found = find(name), results(name)
    runs = {run.name for run in experiment.runs}
    assert all(set(check.runs) <= runs for check in experiment.checks)
    figures = {key for result in found.values() for one in result.figures for key in one}
    assert not found or {column.figure for column in experiment.columns} <= figures | {"weights"}  # a chain has none


def test_a_stopped_run_leaves_its_seeds_and_goes_on_from_them(tmp_path):
    ran, path, columns = [], tmp_path / "some.json", [Column("n", "n")]

    def once(config, seed):
        ran.append(seed)
        if ran == [0, 1, 2]:
            raise KeyboardInterrupt
        return {"n": seed, "never": None}

    run = Run("some", Training("lstm", 4, 0.01, 100), once, seeds=4)
    with pytest.raises(KeyboardInterrupt):
        perform(run, columns, path)
    result = Result.read(path)
    assert (result.seeds, result.of("n"), result.of("never")) == ([0, 1], [0, 1], [])
    assert [path.name for path in tmp_path.iterdir()] == ["some.json"]
    assert page.shown(Column("n", ""), result) == "0 (0 to 1)"
    assert page.shown(Column("never", ""), result) == "–"
    assert page.shown(Column("n", "", over="best"), result) == "1"
    perform(run, columns, path, resume=True)
    assert ran == [0, 1, 2, 2, 3]
    assert Result.read(path).of("n") == [0, 1, 2, 3]
    perform(dataclasses.replace(run, config=Training("gru", 4, 0.01, 100)), columns, path, seeds=1, resume=True)
    assert (ran[5:], Result.read(path).seeds) == ([0], [0])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["run", "1997_nobody"], "There is no experiment 1997_nobody: write some of 1991_hochreiter"),
        (["run", "1997_hochreiter_adding", "--only", "gru_100"], "has no run gru_100: write some of lstm_100"),
        (["run", "--only", "lstm"], "--only names runs of one experiment"),
        (["run", "2014_chung_chorales", "--data", "/nowhere", "--out", "/nowhere"], "no folder music_jsb in /nowhere"),
    ],
)
def test_mistakes_are_answered(given, told, capsys, monkeypatch):
    monkeypatch.setenv("CELDA_DATA", "/elsewhere")
    assert main(given) == 1
    assert told in capsys.readouterr().err


def test_learning_ends_where_it_is_solved():
    torch.manual_seed(0)
    net, asked = Network("gru", 2, 4, 1), []
    training = Training("gru", 4, 0.01, limit=100, batch_size=2, check=20)
    x = torch.randn(5, 2, 2)

    def solved(mean):
        asked.append(mean)
        return len(asked) == 3

    assert learn(net, training, lambda: net.last(x).square().mean(), solved) == 60
    assert asked[-1] < asked[0]
    assert learn(net, training, lambda: net.last(x).square().mean(), lambda _: False) is None


def test_the_cell_of_1997_starts_as_in_the_paper_and_learns():
    torch.manual_seed(0)
    net = EXACT.Net1997(EXACT.Exact("lstm_1997_truncated"))
    assert net.layer.bias_ih_l0[:4].tolist() == [-2, -4, -2, -4]
    found = EXACT.exact(EXACT.Exact("lstm_1997_truncated", limit=5), 0)
    assert found["solved"] == 0
    assert found["sequences"] is None
    assert 0 <= found["accuracy"] <= 1


def test_the_outer_symbols_of_a_stream():
    strings = ["BTBTXSETE", "BPBPVPSEPE"]
    stream = "".join(strings)
    assert [stream[place + 1] for place in CONTINUAL.outer_places(strings)] == ["T", "P"]
    assert CONTINUAL.once(CONTINUAL.Stream("lstm_without_forget_gates", chunks=2), 0)["memory"] > 0


def test_the_sequences_of_the_long_lag():
    one, two = LAGS.sequences().T.tolist()
    assert one[0] == one[-1] != two[0] == two[-1]
    assert one[1:-1] == two[1:-1] == list(range(99))


def test_without_weights_the_memory_s_gradient_shrinks_by_the_forget_gate():
    layer = GRADIENT.layer_of(GRADIENT.Untrained("lstm", forget_bias=1.0, hidden_size=8, input_size=1))
    with torch.no_grad():
        for array in layer.parameters():
            array.zero_()
        layer.bias_ih_l0[8:16] = 1.0  # the forget gate's
        layer.bias_ih_l0[16:24] = 1.0  # the candidate's, lest the memory be 0
    found = GRADIENT.by_lag(layer, 2)
    kept = torch.sigmoid(torch.tensor(1.0)).item()
    assert found["c1"] == 1
    assert found["c2"] == pytest.approx(kept)
    assert found["c99"] == pytest.approx(kept**98)
    assert found["h1"] == 0
