"""Tokens joined are the text again, whatever the text and the kind of token."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celda.data import vocabulary
from celda.data.vocabulary import KINDS, Characters, Subwords, Words
from celda.errors import CeldaError

TEXT = "No hay camino, se hace camino al andar.\n\n  «Caminante» -- don't... l'année 1912!\n" * 3


@pytest.fixture(params=[kind for kind in KINDS if kind != "subword"] + ["subword"])
def learnt(request):
    if request.param == "subword":
        pytest.importorskip("tokenizers")
    return KINDS[request.param].fit([TEXT[:50], TEXT[50:]], 300 if request.param == "subword" else None)


def test_tokens_joined_are_the_text(learnt):
    tokens = learnt.encode(TEXT)
    assert learnt.decode(tokens.tolist()) == TEXT
    assert 0 <= tokens.min() <= tokens.max() < learnt.size
    assert learnt.stranger(TEXT) is None


def test_json_keeps_it(learnt):
    again = type(learnt).from_json(json.loads(json.dumps(learnt.to_json())))
    assert again.size == learnt.size
    assert again.rare == learnt.rare
    assert np.array_equal(again.encode(TEXT + "?ñ"), learnt.encode(TEXT + "?ñ"))


@given(st.text(max_size=60))
def test_any_text_is_its_words(text):
    words = Words.fit([text], None)
    assert words.decode(words.encode(text).tolist()) == text


@given(st.text(max_size=60))
def test_any_text_is_its_characters(text):
    characters = Characters.fit([text + "a"], None)
    assert characters.decode(characters.encode(text).tolist()) == text


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_its_subwords(text):
    pytest.importorskip("tokenizers")
    subwords = Subwords.fit([TEXT], 260)
    assert subwords.decode(subwords.encode(text).tolist()) == text


def test_words_go_with_the_blank_before_them():
    words = Words.fit(["don't stop -- now...\n\n"], None)
    pieces = [words.decode([one]) for one in words.encode("don't stop -- now...\n\n").tolist()]
    assert pieces == ["don't", " stop", " --", " now", "...", "\n", "\n"]


def test_the_rest_is_unknown():
    words = Words.fit(["b b b a a c"], 3)  # " b" twice, "b" and "c" once, " a" twice
    assert words.rare
    assert words.words == ["<unk>", " a", " b"]
    assert words.encode(" a c b").tolist() == [1, 0, 2]
    assert words.stranger(" a c b") == " c"
    assert Characters.fit(["abc"], None).stranger("añ") == "ñ"


def test_without_the_package_it_is_told_how_to_get_it(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(vocabulary, "import_module", absent)
    with pytest.raises(CeldaError, match=r"pip install 'celda\[subword\]', or write tokenizer='word'"):
        Subwords.fit(["abc"], None)


def test_fewer_subwords_than_bytes_cannot_be():
    pytest.importorskip("tokenizers")
    with pytest.raises(CeldaError, match=r"vocab_size=200 is too few subwords.*write vocab_size=256 or more"):
        Subwords.fit(["abc"], 200)
