import torch

from benchmarks import language
from benchmarks.language import Size


def test_both_networks_say_the_same_and_every_contender_runs():
    size = Size(6, 2, 8, 2)
    language.check_same(size)
    for theirs in (False, True):
        step = language.training(size, theirs)
        step()
        step()
    language.sampling(size)()
    assert isinstance(language.network(size, theirs=True).recurrent, torch.nn.LSTM)


def test_what_is_reported(monkeypatch):
    monkeypatch.setattr(language, "SIZES", (Size(6, 2, 8, 1),))
    monkeypatch.setattr(language, "WRITTEN", 20)
    text = language.report("A language model", language.arguments(["--quick", "--threads", "1"]), 2)
    assert "a quick run, not to be quoted" in text
    assert "| 6, 2, 8, 1 |" in text
    assert "| 8, 1 |" in text
