import pytest

from benchmarks import cpu, report
from benchmarks.arithmetic import Value
from benchmarks.drawing import draw
from benchmarks.measure import Times, by_shape
from benchmarks.rows import FIRST_CALLS, Demand, Key, Row
from benchmarks.shapes import Shape

ONE, TWO = Shape(1, 2, 3, 4), Shape(5, 6, 7, 8)
US, THEM, OTHERS = Key("task", "celda"), Key("task", "peer"), Key("task", "other peer")


def _row(**options):
    demands = Demand("geometric mean", 2.0, 3.0), Demand("worst shape", 0.5)
    usual = {"base": (THEM, OTHERS), "shapes": (ONE, TWO), "demands": demands}
    return Row("key", "us against them", US, **{**usual, **options})


def _times():
    times = Times()
    for shape, us, them, others in ((ONE, 1.0, 8.0, 9.0), (TWO, 2.0, 5.0, 2.0)):
        for key, seconds in ((US, us), (THEM, them), (OTHERS, others)):
            times.seconds[shape, key], times.flops[shape, key] = [seconds] * 3, 1e9 if key == US else 2e9
    return times


def _middles(row):
    return [value.middle for value in by_shape(row, _times()).values()]


def test_more_is_better_against_the_fastest_peer_at_each_shape():
    assert _middles(_row()) == [8.0, 1.0]


def test_less_is_better_is_the_other_way_round():
    assert _middles(_row(more_is_better=False)) == [1 / 8, 1.0]


def test_times_per_flop_are_divided_by_the_operations_of_each():
    assert _middles(_row(per_flop=True)) == [4.0, 0.5]
    assert _middles(_row(per_flop=True, more_is_better=False)) == [1 / 4, 2.0]


def test_what_stands_beside_does_not_count():
    assert _middles(_row(base=(THEM,), beside=(OTHERS,))) == [8.0, 2.5]


def test_demands_are_judged():
    mean, worst = report.outcomes([_row()], _times())
    assert mean.value.middle == pytest.approx(8**0.5)
    assert (mean.verdict, worst.verdict) == ("met", "met")
    assert worst.value.middle == 1.0
    (mean,) = report.outcomes([_row(demands=(Demand("geometric mean", 0.5, 0.4),), more_is_better=False)], _times())
    assert mean.verdict == "met, and the aim"
    (mean,) = report.outcomes([_row(demands=(Demand("geometric mean", 3.0),))], _times())
    assert mean.verdict == "NOT MET"


def test_what_could_not_be_measured_says_why():
    times = Times(missing={THEM: ("peer",), OTHERS: ("peer",)})
    assert {o.verdict for o in report.outcomes([_row()], times)} == {"not installed: peer"}
    assert {o.verdict for o in report.outcomes([_row()], Times())} == {"not measured"}


def test_first_calls_are_judged():
    seconds = {False: {"call": [0.9, 0.8, 2.0], "engine": [0.3]}, True: {"call": [0.06], "engine": [0.3]}}
    fresh, cached = report.first_outcomes(FIRST_CALLS, seconds)
    assert (fresh.value.middle, fresh.verdict) == (0.9, "met")
    assert (cached.value.middle, cached.verdict) == (0.06, "NOT MET")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [(1.347, "x", "1.35x"), (0.9471, "x", "0.95x"), (147.2, "x", "147x"), (12.34, "x", "12.3x"), (2046.0, "x", "2046x"),
     (0.725, "%", "72 %"), (0.05, "s", "50 ms"), (1.0, "s", "1.00 s")],
)  # fmt: skip
def test_numbers_are_written_with_as_many_digits_as_they_deserve(number, unit, text):
    assert report.write(number, unit) == text


def test_the_report_and_the_figure_name_what_they_show(tmp_path):
    rows, times = [_row()], _times()
    text = report.whole("A title", 2, 3, None, list(report.outcomes(rows, times)), rows, times, {})
    assert text.startswith("# A title\n")
    assert "| us against them; geometric mean | 2.83x | 2.83x to 2.83x | ≥ 2x | 3x | met |" in text
    assert "| 5, 6, 7, 8 | 2000 | 5000 | 2000 | **1.00x** | 1.00x to 1.00x | 0.5 |" in text
    draw("A title", rows, times, tmp_path / "cpu.png")
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")


def test_a_spread_is_shown_as_two_numbers():
    assert report.spread(Value(1.0, 0.5, 2.0), "x") == "0.50x to 2.00x"


def test_nothing_is_printed_where_the_contract_tests_are_red(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cpu"])
    monkeypatch.setattr(cpu, "contract_holds", lambda: False)
    monkeypatch.setattr(cpu, "measure", lambda *_: pytest.fail("it measured"))
    assert cpu.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "contract tests are red" in said.err


def test_skipping_the_contract_tests_is_in_the_title(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cpu", "--without-contract", "--only", "gemm", "--threads", "1"])
    monkeypatch.setattr(cpu, "contract_holds", lambda: pytest.fail("it ran them"))
    monkeypatch.setattr(cpu, "confine", lambda threads: None)
    monkeypatch.setattr(cpu, "measure", lambda *_: Times())
    assert cpu.main() == 0
    assert "CONTRACT TESTS NOT RUN" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("given", [["--only", "speed"], ["--repeats", "0"], ["--threads", "4096"], ["--threads", "0"]])
def test_what_cannot_be_measured_is_refused(given, capsys):
    with pytest.raises(SystemExit) as stopped:
        cpu.arguments(given)
    assert stopped.value.code == 2
    assert given[1] in capsys.readouterr().err
