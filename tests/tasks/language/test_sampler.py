"""What is written: the same for the same seed, from the likeliest where that is asked, and it goes on after a break."""

import itertools
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import celda
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
    with pytest.raises(CeldaError, match="was saved by a sampler of another model"):
        sampler.restore(tmp_path / "other")
    sampler.stepper.save(tmp_path / "stepper")
    with pytest.raises(CeldaError, match="was not written by a sampler of this version"):
        sampler.restore(tmp_path / "stepper")


def test_the_state_of_other_weights_is_refused(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = celda.load(tmp_path / "model")
    again.sampler().save(tmp_path / "state")
    fitted.sampler().restore(tmp_path / "state")
    with torch.no_grad():
        again.network_.output.bias[1] += 1
    with pytest.raises(CeldaError, match="was saved by a sampler of another model"):
        again.sampler().restore(tmp_path / "state")


@pytest.mark.parametrize("name", ["generator", "scores", "rest", "steps"])
def test_a_damaged_state_changes_nothing(name, fitted, tmp_path):
    sampler = fitted.sampler(seed=1)
    sampler.read("En un")
    sampler.save(tmp_path / "state")
    with safe_open(str(tmp_path / "state"), "pt") as file:
        header = file.metadata()
    damaged = load_file(tmp_path / "state")
    damaged[name] = torch.ones(3, dtype=damaged[name].dtype)
    save_file(damaged, tmp_path / "damaged", header)
    twin = fitted.sampler(seed=1)
    twin.read("En un")
    with pytest.raises(CeldaError, match="was changed after it was saved"):
        sampler.restore(tmp_path / "damaged")
    assert "".join(sampler.write(30)) == "".join(twin.write(30))


def test_random_numbers_of_another_torch_change_nothing(fitted, tmp_path, monkeypatch):
    class Other(torch.Generator):
        def get_state(self):
            return torch.zeros(7, dtype=torch.uint8)

    sampler = fitted.sampler(seed=1)
    sampler._generator = Other()
    sampler.save(tmp_path / "state")
    other, before = fitted.sampler(seed=2), fitted.sampler(seed=2)
    with pytest.raises(CeldaError, match="random numbers that torch cannot take up"):
        other.restore(tmp_path / "state")
    assert "".join(other.write(30)) == "".join(before.write(30))


def test_to_look_and_to_save_leave_no_trace(fitted, tmp_path):
    plain, looked_at = fitted.sampler(seed=1), fitted.sampler(seed=1)
    looked_at.save(tmp_path / "state")
    first = looked_at.probabilities()
    restored = fitted.sampler(seed=5)
    restored.restore(tmp_path / "state")
    for one in (plain, looked_at, restored):
        one.read("En un")
    assert plain.probabilities().equal(looked_at.probabilities())
    assert "".join(plain.write(30)) == "".join(looked_at.write(30)) == "".join(restored.write(30))
    begun = fitted.sampler()
    begun.read("\n")  # what a text begins after that goes on from nothing
    assert first.equal(begun.probabilities())


def test_a_text_written_in_parts_is_the_text_written_at_once(tmp_path):
    model = tiny("word", epochs=1).fit(text())
    at_once, in_parts = model.sampler(seed=3), model.sampler(seed=3)
    for one in (at_once, in_parts):
        one.read("No ha")
    expected = "".join(at_once.write(60))
    begun = "".join("".join(in_parts.write(7)) for _ in range(5))
    in_parts.save(tmp_path / "state")
    restored = model.sampler(seed=8)
    restored.restore(tmp_path / "state")
    assert begun + "".join(restored.write(25)) == begun + "".join(in_parts.write(25)) == expected
    while not in_parts._rest:
        "".join(in_parts.write(1))
    in_parts.read(" mucho")  # stands in the place of the rest
    assert in_parts._rest == ""


@pytest.mark.parametrize("options", [{"temperature": 1e-39}, {"temperature": 5e-324}, {"top_p": 5e-324}])
def test_as_cold_as_can_be_is_the_likeliest(options, fitted):
    assert fitted.sample("Camin", 30, **options, seed=1) == fitted.sample("Camin", 30, temperature=0)


def test_as_hot_as_can_be_is_chance(fitted):
    sampler = fitted.sampler(temperature=1e308, seed=0)
    scores = torch.tensor([-torch.inf, 0.0, 50.0])
    drawn = [sampler._draw(scores) for _ in range(1000)]
    assert set(drawn) == {1, 2}
    assert 400 < drawn.count(1) < 600


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
        ({"seed": 2**64}, r"seed=18446744073709551616 cannot be used.*below 2\^64"),
        ({"length": -1}, "length=-1 cannot be used"),
        ({"temperature": 10**400}, "temperature=10+ cannot be used"),
        ({"temperature": float("nan")}, "temperature=nan cannot be used"),
        ({"prime": None}, "None is no text to go on from"),
    ],
)
def test_a_wrong_option_is_told(options, answer, fitted):
    with pytest.raises(CeldaError, match=answer):
        fitted.sample(**options)


@pytest.mark.parametrize("most", [0, -1, 2.5])
def test_so_many_rows_cannot_be(most, fitted):
    with pytest.raises(CeldaError, match=rf"most={most} cannot be used: it is a whole number of at least 1"):
        fitted.predict("En", most)


def test_it_writes_two_thousand_characters_a_second():
    network = LanguageNetwork("lstm", 66, embedding_size=128, hidden_size=256)
    sampler = Sampler(network, Characters.fit([text()], None), seed=0)
    sampler.vocabulary = Characters("".join(map(chr, range(40, 105))))
    "".join(sampler.write(50))
    begun = time.process_time()
    "".join(sampler.write(1000))
    assert 1000 / (time.process_time() - begun) > 2000  # two threads count twice
