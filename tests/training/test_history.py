"""The history and its lines in metrics.jsonl."""

import json
from dataclasses import asdict

from celda.training.history import Epoch, History, append_metrics, rewrite_metrics


def epoch(number, valid_loss=None):
    return Epoch(number, 10 * number, 1 / number, valid_loss, 1e-3, 0.5, 0.1)


def test_the_best_epoch_is_the_first_of_the_lowest_validation_loss():
    history = History()
    assert [history.add(epoch(n, loss)) for n, loss in enumerate([3.0, 2.0, 2.0, 2.5, 1.0], 1)] == [
        True, True, False, False, True,
    ]  # fmt: skip
    assert (history.best_epoch, history.best_loss) == (5, 1.0)


def test_without_validation_no_epoch_is_the_best():
    history = History()
    assert not history.add(epoch(1))
    assert history.best_epoch is history.best_loss is None


def test_a_history_survives_json():
    history = History([epoch(1, 2.0), epoch(2)], best_epoch=1, best_loss=2.0, seconds=0.1 + 0.2)
    assert History.from_dict(json.loads(json.dumps(asdict(history)))) == history


def test_rewriting_keeps_other_phases_and_drops_what_is_torn_or_repeated(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rewrite_metrics(path, "fit", [])
    assert path.read_text() == ""
    for n in (1, 2):
        append_metrics(path, "window-1", epoch(n))
    for n in (1, 2, 3):
        append_metrics(path, "fit", epoch(n))
    with path.open("a") as file:
        file.write('{"phase": "fit", "epo')
    rewrite_metrics(path, "fit", [epoch(1), epoch(2)])
    append_metrics(path, "fit", epoch(3))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["phase"], line["epoch"]) for line in lines] == [
        ("window-1", 1), ("window-1", 2), ("fit", 1), ("fit", 2), ("fit", 3),
    ]  # fmt: skip
    assert lines[-1] == {"phase": "fit", **asdict(epoch(3))}
