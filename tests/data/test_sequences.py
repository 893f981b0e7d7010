"""Words, series, padding and recordings as a network reads them."""

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from celda.data.audio import filters, frames, log_mel
from celda.data.padded import Padded
from celda.data.series import SeriesEncoder, as_series
from celda.data.words import Vocabulary, WordEncoder, shape_of, words_of
from celda.errors import CeldaError


def test_the_words_of_a_text():
    assert words_of("Don't stop, Señor!") == ["don't", "stop", ",", "señor", "!"]


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("cat", "lower"),
        ("Cat", "Title"),
        ("USA", "UPPER"),
        ("iPod", "mixed"),
        ("B2", "digits"),
        ("A", "Title"),
        ("…", "mark"),
    ],
)
def test_how_a_word_is_written(word, shape):
    assert shape_of(word) == shape


def test_a_vocabulary_counts_and_knows_what_it_does_not_know():
    table = Vocabulary.fit([["b", "a", "b"], ["c", "a", "b"]], min_count=2)
    assert table.words == ("b", "a")
    assert table.numbers(["a", "b", "c"]) == [3, 2, 1]
    assert len(table) == 4


def test_of_a_long_text_both_ends_are_read():
    encoder = WordEncoder.fit([list("abcdefg")], max_length=4)
    (sample,) = encoder.encode([list("abcdefg")])
    known = dict(zip("abcdefg", range(2, 9), strict=True))
    assert sample["tokens"][:, 0].tolist() == [known[one] for one in "abfg"]
    assert encoder.encode([[]])[0]["tokens"].tolist() == [[1]]


def test_a_bag_of_words_by_hand():
    encoder = WordEncoder.fit([["a", "b"], ["a"], ["a", "a", "b", "z"]], min_count=2, bag=True)
    bag = encoder.encode([["a", "z", "a", "b"]])[0]
    assert bag["bag"].tolist() == [2, 3]  # a and b
    tf_idf = np.array([(1 + np.log(2)) * (np.log(4 / 4) + 1), np.log(4 / 3) + 1])
    common = np.sqrt(np.array([3, 2]) / 2.5)
    assert bag["weight"].tolist() == pytest.approx(common * tf_idf / np.linalg.norm(tf_idf))
    assert WordEncoder.from_dict(encoder.to_dict()) == encoder
    assert encoder.encode([["z"]])[0]["weight"].tolist() == [0]


def test_encoders_come_back_from_json():
    words = WordEncoder.fit([["a", "B"], ["a"]], ("word", "shape"), max_length=3)
    assert WordEncoder.from_dict(words.to_dict()) == words
    series = SeriesEncoder.fit([np.array([[1.0, 2], [3, 9]])], masks=True)
    again = SeriesEncoder.from_dict(series.to_dict())
    assert again.to_dict() == series.to_dict()


def test_series_are_scaled_by_what_was_seen():
    encoder = SeriesEncoder.fit([np.array([[0.0, 7], [np.nan, 7]]), np.array([[2.0, 7]])])
    assert encoder.shift.tolist() == [1, 7]
    assert encoder.scale.tolist() == [1, 1]  # a feature that does not vary keeps its scale
    assert encoder.encode([np.array([[3.0, 7]])])[0]["values"].tolist() == [[2, 0]]


def test_masks_and_gaps_by_hand():
    nan = np.nan
    encoder = SeriesEncoder(np.zeros(2), np.ones(2), masks=True, step=2.0)
    values, times = np.array([[nan, 1], [5, nan], [nan, nan], [6, 2]]), np.array([0.0, 2, 6, 8])
    (sample,) = encoder.encode([values], [times])
    assert sample["values"].tolist() == [[0, 1], [5, 1], [5, 1], [6, 2]]
    assert sample["seen"].tolist() == [[0, 1], [1, 0], [0, 0], [1, 1]]
    assert sample["gaps"].tolist() == [[0, 0], [1, 1], [2, 3], [3, 4]]  # since seen before, in steps of two


def test_the_ways_to_give_series():
    table = np.arange(6.0).reshape(2, 3)
    for given in (table, table.tolist(), list(table), [row[:, None] for row in table], table[..., None]):
        assert [one.tolist() for one in as_series(given)] == [[[0], [1], [2]], [[3], [4], [5]]]
    assert [len(one) for one in as_series([[1, 2, 3], [4]])] == [3, 1]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ([], "There is no series"),
        ([[1.0], []], "Series 1 is empty"),
        ([np.ones((3, 2)), np.ones((3, 1))], "Series 1 has 1 features and series 0 has 2"),
        ([["a", "b"], ["c"]], "Series 0 does not hold numbers alone"),
        ([np.array([1.0, np.nan]), np.array([1.0])], r"Series 0 holds NaN \(step 1, feature 0\).*missing='mask'"),
        (np.array([[1.0, np.nan]]), "missing='mask' takes NaN"),
        (3, "not a int"),
    ],
)
def test_what_are_no_series(given, answer):
    with pytest.raises(CeldaError, match=answer):
        as_series(given)
    if "NaN" in answer:
        assert len(as_series(given, missing=True)) == len(given)


def test_a_batch_is_filled_up():
    samples = [{"values": torch.ones(2, 1)}, {"values": torch.ones(1, 1)}]
    batch = Padded(samples, [torch.tensor([1, 2]), torch.tensor([3])]).__getitems__([1, 0])
    assert batch["values"].squeeze(-1).tolist() == [[1, 0], [1, 1]]
    assert batch["lengths"].tolist() == [1, 2]
    assert batch["target"].tolist() == [[3, -100], [1, 2]]


def test_a_tone_is_loudest_in_its_band(tmp_path):
    rate, time = 8000, np.arange(8000) / 8000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time)
    found = frames(tone, rate)
    assert found.shape == (98, 40)  # a frame each 10 ms, of 25
    centre = filters(rate, 256, 40)[found.mean(0).argmax()]
    assert abs(centre.argmax() * rate / 256 - 1000) < 60
    for kind, name in ((np.int16, "16"), (np.uint8, "8")):
        whole = (tone * 32767).astype(np.int16) if kind is np.int16 else (tone * 127 + 128).astype(np.uint8)
        wavfile.write(tmp_path / f"{name}.wav", rate, whole)
        again, found_rate = log_mel(tmp_path / f"{name}.wav")
        assert found_rate == rate
        assert abs(again - found)[:, found.mean(0).argmax()].max() < 0.1


def test_the_filters_are_triangles_without_gaps():
    bank = filters(16000, 512, 40)
    assert bank.shape == (40, 257)
    assert (bank.max(1) > 0).all()
    inside = bank.sum(0)[bank[0].argmax() + 1 : bank[-1].argmax()]
    assert inside == pytest.approx(np.ones(len(inside)))


def test_what_is_no_recording(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(CeldaError, match=r"a\.wav cannot be read as a recording"):
        log_mel(tmp_path / "a.wav")
