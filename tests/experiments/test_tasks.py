"""What the experiments learn from is what the papers describe, and right answers are taken for right."""

import random
from itertools import pairwise

import pytest
import torch

from experiments.tasks import counting, metro, reber
from experiments.tasks.marked import adding, multiplication
from experiments.tasks.order import PLACES, SYMBOLS, temporal_order, wrong
from experiments.tasks.reber import Strings


def test_reber_strings_are_of_the_grammar_and_remember_the_second_symbol():
    rng = random.Random(0)
    strings = [reber.embedded(rng) for _ in range(500)]
    for string in strings:
        after = reber.legal(string)  # raises where a string is none of the grammar
        assert all(symbol in following for symbol, following in zip(string[1:], after, strict=False))
        assert after[-3] == {string[1]}
        assert after[-1] == set()
    assert {string[1] for string in strings} == {"T", "P"}
    assert len(min(strings, key=len)) == 9  # BT BTXSE TE


def test_the_grammar_as_it_is_drawn_in_the_paper():
    assert reber.legal("BTBTXSETE") == [
        {"T", "P"},
        {"B"},
        {"T", "P"},
        {"S", "X"},
        {"X", "S"},
        {"E"},
        {"T"},
        {"E"},
        set(),
    ]
    assert reber.legal("BPBPVPSEPE")[4] == {"P", "V"}


@pytest.mark.parametrize("string", ["BTBTXSEPE", "BTBTXSE", "BTBTXXSETE", "TBTXSET", "BTBTXSETEE", ""])
def test_what_is_none_of_the_grammar_is_refused(string):
    with pytest.raises(ValueError, match=r"of the embedded grammar|cannot stand"):
        reber.legal(string)


def test_a_reber_string_is_right_where_legal_symbols_are_the_most_active():
    strings = Strings(["BTBTXSETE", "BPBPVPSEPE"])
    scores = strings.legal.float()
    assert strings.right(scores).tolist() == [True, True]
    scores[6, 0] = torch.nn.functional.one_hot(torch.tensor(reber.SYMBOLS.index("P")), 7)  # forgot the T
    assert strings.right(scores).tolist() == [False, True]


def test_adding_asks_for_the_sum_of_two_marked_values():
    torch.manual_seed(0)
    for _ in range(20):
        x, target = adding(100, 64)
        values, markers = x.unbind(-1)
        assert 100 <= len(x) <= 110
        assert values.min() >= -1
        assert (markers[0] == -1).all()
        assert (markers[-1] == -1).all()
        marked = markers == 1
        assert set(marked.sum(0).tolist()) <= {1, 2}  # 1 where the first pair was drawn: its value counts as 0
        assert not marked[50:].any()
        torch.testing.assert_close(target, 1 + (values * marked).sum(0) / 2)
        assert marked[1:10].any(0).float().mean() > 0.8


def test_multiplication_asks_for_the_product():
    torch.manual_seed(0)
    x, target = multiplication(100, 64)
    values, markers = x.unbind(-1)
    two = (markers == 1).sum(0) == 2
    assert values.min() >= 0
    torch.testing.assert_close(target[two], torch.where(markers == 1, values, 1.0).prod(0)[two])
    assert (target[~two] == 0).all()


@pytest.mark.parametrize("marks", [2, 3])
def test_temporal_order(marks):
    torch.manual_seed(0)
    x, classes = temporal_order(marks, 200)
    strings = ["".join(SYMBOLS[i] for i in column) for column in x.argmax(-1).T.tolist()]
    for string, number in zip(strings, classes.tolist(), strict=True):
        assert 100 <= len(string) <= 110
        assert (string[0], string[-1]) == ("E", "B")
        assert set(string[1:-1]) <= set("abcdXY")
        places = [place for place, symbol in enumerate(string) if symbol in "XY"]
        assert all(low <= place <= high for place, (low, high) in zip(places, PLACES[marks], strict=True))
        assert number == int("".join("01"[string[place] == "Y"] for place in places), 2)
    assert set(classes.tolist()) == set(range(2**marks))


def test_a_sequence_is_wrong_where_one_output_is_off():
    assert (
        wrong(torch.tensor([[0.8, 0.1, 0.1, 0.2], [0.8, 0.31, 0.0, 0.0], [0.69, 0.0, 0.0, 0.0]]), torch.zeros(3).long())
        == 2
    )


def test_next_symbols_of_the_counting_languages():
    a, b, c, end = {"a"}, {"b"}, {"c"}, {"T"}
    assert counting.legal(1, "ab") == [a, a | b, end]
    assert counting.legal(3, "ab") == [a, a | b, a | b, a | b, b, b, end]
    assert counting.legal(2, "abc") == [a, a | b, a | b, b, c, c, end]
    for n in range(1, 6):
        string = counting.string(n, "abc")
        assert all(s in after for s, after in zip(string[1:], counting.legal(n, "abc"), strict=True))
        x, legal = counting.encoded(n, "abc")
        assert x.shape == legal.shape == (3 * n + 1, 5)


LINES = metro.Network({"1": ["a", "b", "c", "d"], "2": ["x", "b", "y"], "3": ["y", "z", "d"]})


def test_journeys_are_the_quickest():
    assert LINES.transfers == {"b", "y", "d"}
    assert LINES.neighbours["b"] == {"a", "c", "x", "y"}
    found = LINES.journeys_from("a")
    assert found["d"] == ("a", "b", "c", "d")
    assert found["y"] == ("a", "b", "y")  # two stations and a change
    assert found["z"] == ("a", "b", "c", "d", "z")  # one change, where by b and y there are two
    assert set(found) == {"b", "c", "d", "x", "y", "z"}


def test_the_metro_as_it_is(shared_data, monkeypatch):
    monkeypatch.setenv("CELDA_DATA", str(shared_data))
    metro.read.cache_clear()
    found = metro.read()
    assert (len(found.lines), len(found.stations), len(found.transfers)) == (12, 163, 28)
    assert found.lines_of("Pantitlán") == ["1", "5", "9", "A"]
    journey = found.journeys_from("Observatorio")["Zapata"]
    assert len(set(journey)) == len(journey)
    assert all(two in found.neighbours[one] for one, two in pairwise(journey))
