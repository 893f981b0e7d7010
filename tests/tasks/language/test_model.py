"""A language model learns from any text, says how well, and comes back from the disk."""

import json
import math
import resource
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import celda
from celda.cells import CELLS
from celda.data import StreamChunks, Tokens
from celda.data.vocabulary import Characters
from celda.errors import CeldaError
from celda.models import LanguageNetwork
from celda.models.language import next_token_loss
from celda.tasks.language import scores
from tests.tasks.language.conftest import text, tiny


@pytest.fixture(scope="module")
def counting():
    return tiny(cell="clockwork_rnn", epochs=1).fit(text())


def test_it_learns_and_says_so_beside_counting(fitted):
    assert list(fitted.scores_.columns) == ["loss", "perplexity", "bits-per-character"]
    assert fitted.scores_.index[0] == "lstm"
    assert fitted.scores_.index[-1] == "unigram"
    assert fitted.scores_.loc["lstm", "loss"] < fitted.scores_.loc["unigram", "loss"] - 0.3
    loss, perplexity, bits = fitted.scores_.loc["lstm"]
    assert perplexity == pytest.approx(math.exp(loss))
    assert bits == pytest.approx(loss / math.log(2))
    assert fitted.tested_ == pytest.approx(0.05 * len(text()), abs=1)


def test_the_parts_are_by_position_and_the_vocabulary_is_of_the_first(tmp_path):
    (tmp_path / "my.txt").write_text(text() + "Ω" * 60, encoding="utf-8")
    model = tiny(epochs=1).fit(tmp_path / "my.txt")
    assert "Ω" not in model.vocabulary_.characters
    assert any("were not in the training text" in note for note in model.notes_)
    assert model.tested_ == round(0.05 * (len(text()) + 60))


def test_a_text_and_its_file_are_the_same(fitted, tmp_path):
    (tmp_path / "my.txt").write_text(text(), encoding="utf-8", newline="")
    again = tiny().fit(str(tmp_path / "my.txt"))
    assert again.scores_.equals(fitted.scores_)
    assert again.score(tmp_path / "my.txt") == fitted.score(text())


@pytest.mark.parametrize("tokenizer", ["word", "subword"])
def test_other_tokens_are_compared_by_bits_a_character(tokenizer):
    if tokenizer == "subword":
        pytest.importorskip("tokenizers")
    model = tiny(tokenizer, vocab_size=300, epochs=6).fit(text(200))
    assert model.network_.output.weight is model.network_.embedding.weight
    assert model.scores_.loc["lstm", "perplexity"] < model.scores_.loc["unigram", "perplexity"]
    found = model.bits_per_character(text(seed=1))
    tokens = len(model.vocabulary_.encode(text(seed=1))) / len(text(seed=1))
    assert found == pytest.approx(math.log(model.perplexity(text(seed=1))) * tokens / math.log(2))
    assert set(model.sample("No ha", 200, seed=1)) <= {*text(), "\ufffd"}  # which stands for bytes of no character


def test_score_is_the_mean_log_likelihood(fitted):
    said = "No hay camino"
    ids = torch.from_numpy(fitted.vocabulary_.encode(said))
    with torch.no_grad():
        likely = fitted.network_(ids[:-1, None])[0][:, 0].log_softmax(-1)
    assert fitted.score(said) == pytest.approx(likely.gather(1, ids[1:, None]).mean().item(), rel=1e-5)
    assert fitted.evaluate(said).loc["lstm", "loss"] == pytest.approx(-fitted.score(said))


@pytest.mark.parametrize("steps", [1, 7, 256])
def test_a_cell_that_counts_its_steps_goes_on_counting(steps, counting, monkeypatch):
    monkeypatch.setattr(scores, "_STEPS", steps)
    said = text(3, seed=1)
    ids = torch.from_numpy(counting.vocabulary_.encode(said))[:, None]
    with torch.no_grad():
        at_once = counting.network_(ids[:-1])[0]
    assert -counting.score(said) == pytest.approx(next_token_loss(at_once, ids[1:]).item(), rel=1e-5)
    sampler = counting.sampler()
    sampler.read(said[:-1])
    at_once[-1, 0, 0] = -torch.inf  # the unknown is never written
    torch.testing.assert_close(sampler.probabilities(), at_once[-1, 0].softmax(-1), atol=1e-5, rtol=1e-4)


def test_in_training_it_goes_on_counting_too(monkeypatch):
    found, forward = [], LanguageNetwork.forward

    def seen(self, x, state=None, start=0):
        found.append((self.training, start, state is None))
        return forward(self, x, state, start)

    monkeypatch.setattr(LanguageNetwork, "forward", seen)
    tiny(cell="clockwork_rnn", epochs=1, steps=30).fit(text())
    train = [start for training, start, _ in found if training]
    assert train == [30 * number for number in range(len(train))]
    assert len(train) > 10
    assert {256, 30} <= {start for training, start, _ in found if not training}  # of the test and the validation
    assert all(fresh == (start == 0) for _, start, fresh in found)


def test_a_long_text_is_scored_as_parallel_streams(fitted, tmp_path, monkeypatch):
    tokens = Tokens.write(tmp_path / "tokens", [text(300)], fitted.vocabulary_)
    whole = scores.score(fitted.network_, tokens)
    monkeypatch.setattr(scores, "_STREAM", 5_000)
    parallel = scores.score(fitted.network_, tokens)
    assert whole.tokens - 3 <= parallel.tokens <= whole.tokens
    assert parallel.loss == pytest.approx(whole.loss, abs=0.01)


def test_the_likeliest_to_come(fitted):
    likely = fitted.predict("Camin", 3)
    assert likely["token"].tolist()[0] in "oa"
    assert likely["probability"].is_monotonic_decreasing
    assert fitted.predict("Camin", 1000)["probability"].sum() == pytest.approx(1)


@pytest.mark.parametrize("options", [{"tokenizer": "word"}, {"cell": "gru", "num_layers": 2}, {"tied": True}])
def test_what_was_saved_is_what_was_learnt(options, tmp_path):
    model = tiny(**{"epochs": 1, **options}).fit(text())
    model.save(tmp_path / "model")
    again = celda.load(tmp_path / "model")
    assert isinstance(again, celda.LanguageModel)
    assert again.get_params() == model.get_params()
    assert again.score(text(seed=1)) == model.score(text(seed=1))
    assert again.sample("No", 50, seed=3) == model.sample("No", 50, seed=3)
    pd.testing.assert_frame_equal(again.scores_, model.scores_)
    assert f"{model.scores_.iloc[0, 0]:.4g}" in (tmp_path / "model" / "README.md").read_text()
    again.save(tmp_path / "model")
    assert celda.load(tmp_path / "model").score("No hay") == model.score("No hay")


def test_a_damaged_model_is_told(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / "preprocessor.json"
    path.write_text(path.read_text().replace('"tokenizer": "character"', '"tokenizer": "word"'))
    with pytest.raises(CeldaError, match="was changed after the model was saved"):
        celda.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(CeldaError, match=r"incomplete: preprocessor\.json is missing"):
        celda.load(tmp_path / "model")


def test_a_cell_of_ones_own_is_given_again(tmp_path):
    own = replace(CELLS["gru"], name="mine")
    tiny(cell=own, epochs=1).fit(text()).save(tmp_path / "model")
    with pytest.raises(CeldaError, match="trained with a cell of yours, 'mine'"):
        celda.load(tmp_path / "model")
    with pytest.raises(CeldaError, match="of other equations"):
        celda.load(tmp_path / "model", cell=CELLS["lstm"])
    assert celda.load(tmp_path / "model", cell=own).scores_.index[0] == "mine"


def test_it_has_the_manners_of_scikit_learn(fitted):
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert not hasattr(again, "network_")
    assert again.set_params(hidden_size=7).hidden_size == 7
    with pytest.raises(TypeError, match="There is no option 'hiden_size': did you mean 'hidden_size'"):
        celda.LanguageModel(hiden_size=3)
    for call in (lambda m: m.sample(), lambda m: m.score("abc"), lambda m: m.save("x")):
        with pytest.raises(CeldaError, match="This LanguageModel is not fitted yet: call fit first"):
            call(again)


def test_averaged_descent_learns_too():
    model = tiny(optimizer="asgd", learning_rate=5.0, clip_norm=0.25, weight_decay=0.0, epochs=4).fit(text())
    assert model.scores_.loc["lstm", "loss"] < model.scores_.loc["unigram", "loss"]


def test_the_callers_random_numbers_are_left_alone(fitted):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    tiny(epochs=1).fit(text())
    fitted.sample(length=5, seed=1)
    assert torch.rand(1).equal(expected)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units")
def test_memory_is_flat_along_a_long_stream(tmp_path):
    block = np.random.default_rng(0).integers(97, 123, 1 << 20, dtype=np.uint8).tobytes().decode()
    tokens = Tokens.write(tmp_path / "tokens", (block for _ in range(48)), Characters.fit([block], None))
    network = LanguageNetwork("lstm", 27, embedding_size=4, hidden_size=4)
    peaks, state = [], None
    with torch.no_grad():
        for number, chunk in enumerate(StreamChunks(tokens, 32, 4096).all()):
            if number % 64 == 0:
                _, state = network(chunk["x"][:64], state)
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # kB
    assert tokens.count == 48 << 20
    assert peaks[-1] - peaks[1] < 10_000


BAD = [
    ({"tokenizer": "letters"}, "There is no tokenizer 'letters': write one of 'character', 'word', 'subword'"),
    ({"optimizer": "lbfgs"}, "There is no optimizer 'lbfgs': write one of 'adam', 'asgd'"),
    ({"vocab_size": 1}, "vocab_size=1 cannot be used: it is a whole number of at least 2"),
    ({"steps": 0}, "steps=0 cannot be used"),
    ({"hidden_size": 1.5}, r"hidden_size=1\.5 cannot be used"),
    ({"output_dropout": 1.0}, r"output_dropout=1\.0 is no probability below 1"),
    ({"weight_drop": "half"}, "weight_drop='half' is no probability"),
    ({"val_size": 0}, "val_size=0 is no share of the text below a half: write for example val_size=0.05"),
    ({"test_size": 0.5}, r"test_size=0\.5 is no share"),
    ({"cell": "lstn"}, "There is no cell 'lstn'"),
    ({"cell": "image_rnn"}, r"wants a further input \(image\), which a text has not"),
    ({"learning_rate": -1.0}, "learning_rate=-1"),
    ({"clip_norm": 0}, "clip_norm=0 cannot be used"),
    *(({"seed": seed}, f"seed={seed!r} cannot be used") for seed in (-1, None, 1.5, 1.0, "1", True, 2**31)),
    ({"encoding": "utf-9"}, "encoding='utf-9' is unknown"),
    ({"batch_size": 1000}, "The text is too short: 5,139 characters are left to learn from, and 20,001 are needed"),
    ({"tokenizer": "word", "batch_size": 100}, "tokens are left to learn from, and 2,001 are needed, with batch_size="),
    ({"val_size": 0.0001}, r"too short: val_size=0\.0001 of it leaves 1 characters, .*write a larger val_size"),
]


@pytest.mark.parametrize(("options", "answer"), BAD, ids=[str(options) for options, _ in BAD])
def test_what_cannot_be_is_told_in_one_line(options, answer, tmp_path):
    source = text()
    if "encoding" in options:
        source = tmp_path / "my.txt"
        source.write_text(text(), encoding="utf-8")
    with pytest.raises(CeldaError, match=answer) as error:
        tiny(**options).fit(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "answer"), [("", "is empty"), ("absent.txt", "absent.txt does not exist"), ("a", "is one token")]
)
def test_what_cannot_be_scored_is_told(source, answer, fitted):
    with pytest.raises(CeldaError, match=answer):
        fitted.score(source)


def test_the_model_directory_holds_no_program(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    names = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "preprocessor.json"]
    assert json.loads((tmp_path / "model" / "preprocessor.json").read_text())["tokenizer"] == "character"
