"""What is written: the same for the same seed, from the likeliest where that is asked, and it goes on after a break."""

import itertools
import time

import pytest
import torch

from celda.data.vocabulary import Characters, Words
from celda.errors import CeldaError
from celda.models import LanguageNetwork
from celda.tasks.language import Sampler
from tests.tasks.language.conftest import text, tiny


def test_the_same_seed_writes_the_same(fitted):
    assert fitted.sample("En", 80, seed=1) == fitted.sample("En", 80, seed=1) != fitted.sample("En", 80, seed=2)
    assert len(fitted.sample(length=33)) == 33
    assert "<unk>" not in fitted.sample(length=300, temperature=5.0, seed=0)


def test_without_warmth_it_is_the_likeliest(fitted):
    cold = fitted.sample("Camin", 30, temperature=0)
    assert cold == fitted.sample("Camin", 30, top_k=1, seed=3) == fitted.sample("Camin", 30, top_p=1e-9, seed=4)
    assert cold[0] == fitted.predict("Camin")["token"][0]


def test_draws_follow_the_scores(fitted):
    sampler = fitted.sampler(temperature=0.5, top_k=3, seed=0)
    scores = torch.tensor([0.0, 1.0, 2.0, 3.0])
    drawn = torch.bincount(torch.tensor([sampler._draw(scores) for _ in range(4000)]), minlength=4) / 4000
    expected = torch.tensor([-torch.inf, 2.0, 4.0, 6.0]).softmax(0)
    torch.testing.assert_close(drawn, expected, atol=0.03, rtol=0)
    sampler.temperature, sampler.top_k, sampler.top_p = 1.0, None, 0.7
    drawn = {sampler._draw(scores) for _ in range(500)}
    assert drawn == {2, 3}  # 0.64 and 0.24


def test_it_is_what_the_network_says(fitted):
    sampler = fitted.sampler()
    sampler.read("No hay c")
    ids = torch.from_numpy(fitted.vocabulary_.encode("No hay c"))
    with torch.no_grad():
        scores = fitted.network_(ids[:, None])[0][-1, 0]
    scores[0] = -torch.inf  # the unknown is never written
    torch.testing.assert_close(sampler.probabilities(), scores.softmax(-1), atol=1e-5, rtol=1e-4)


def test_a_text_goes_on_from_where_it_was_saved(fitted, tmp_path):
    sampler = fitted.sampler(seed=1)
    sampler.read("¿Qué")
    "".join(sampler.write(20))
    sampler.save(tmp_path / "state.safetensors")
    expected = "".join(sampler.write(40))
    other = fitted.sampler(seed=7)
    other.read("En un")
    other.restore(tmp_path / "state.safetensors")
    assert "".join(other.write(40)) == expected


def test_what_was_not_saved_by_it_is_refused(fitted, tmp_path):
    sampler = fitted.sampler(seed=1)
    (tmp_path / "state").write_text("no state")
    with pytest.raises(CeldaError, match="is no saved text that can be read"):
        sampler.restore(tmp_path / "state")
    Sampler(LanguageNetwork("lstm", 5, hidden_size=24), Characters("abcd")).save(tmp_path / "other")
    with pytest.raises(CeldaError, match="was not saved by a sampler of this model"):
        sampler.restore(tmp_path / "other")


def test_what_the_model_has_not_seen_is_told(fitted):
    with pytest.raises(CeldaError, match=r"The model does not know 'Ω'.*leave it out of the prime"):
        fitted.sample("aΩ")


def test_letters_and_their_accents_may_come_apart(fitted):
    assert fitted.sample("nin\u0303a", 10, seed=1) == fitted.sample("niña", 10, seed=1)


def test_a_rare_word_is_read_as_an_unknown_one():
    model = tiny("word", vocab_size=Words.fit([text()], None).size - 2, epochs=1).fit(text())
    sampler = model.sampler()
    sampler.read("No zarpamos")
    assert sampler.notes == ("' zarpamos' is not among the words that the model knows, and is read as an unknown one.",)
    sampler.read("No")


def test_no_character_comes_in_half():
    pytest.importorskip("tokenizers")
    model = tiny("subword", vocab_size=256, epochs=3).fit("niña ñandú 🐎\n" * 300)
    pieces = list(itertools.islice(model.sampler(temperature=0.1, seed=0), 60))
    assert "ñ" in "".join(pieces)
    assert all(piece for piece in pieces)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"temperature": -1}, "temperature=-1 cannot be used"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"top_k": 0}, "top_k=0 cannot be used"),
        ({"top_p": 1.5}, r"top_p=1\.5 cannot be used"),
        ({"top_p": 0}, "top_p=0"),
        ({"seed": -1}, "seed=-1"),
        ({"length": -1}, "length=-1 cannot be used"),
    ],
)
def test_a_wrong_option_is_told(options, answer, fitted):
    with pytest.raises(CeldaError, match=answer):
        fitted.sample(**options)


def test_it_writes_two_thousand_characters_a_second():
    network = LanguageNetwork("lstm", 66, embedding_size=128, hidden_size=256)
    sampler = Sampler(network, Characters.fit([text()], None), seed=0)
    sampler.vocabulary = Characters("".join(map(chr, range(40, 105))))
    "".join(sampler.write(50))
    begun = time.process_time()
    "".join(sampler.write(1000))
    assert 1000 / (time.process_time() - begun) > 2000  # two threads count twice
