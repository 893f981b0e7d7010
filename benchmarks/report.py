"""What was measured as Markdown: the demands first, then every row by shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks import machine
from benchmarks.arithmetic import Value, repeated
from benchmarks.measure import Times, by_shape, over_shapes
from benchmarks.rows import FirstCall, Key, Row
from benchmarks.shapes import Shape

HOW = """\
A ratio above 1 means that Celda is faster, where the demand is "at least". A time is the median of its rounds, in which
all contenders take turns; the spread is the quartiles of the ratios within each round, and for a mean as wide as if all
shapes were low, or high, together. Everything is float32 but where it says bfloat16.
Operations are counted as two for each element of a weight matrix, step and sequence, three times that in training;
point-wise work is left out. Rounds: {repeats}. Others took {others} of the machine meanwhile."""


class Outcome(NamedTuple):
    """A demand, what was measured (or why nothing was), and whether it is met."""

    what: str
    over: str
    value: Value | str
    least: float
    aim: float | None
    more_is_better: bool
    unit: str

    @property
    def verdict(self) -> str:
        """Whether the demand is met, and the aim."""
        if isinstance(self.value, str):
            return self.value
        sign = 1 if self.more_is_better else -1
        if sign * self.value.middle < sign * self.least:
            return "NOT MET"
        aimed = self.aim is not None and sign * self.value.middle >= sign * self.aim
        return "met, and the aim" if aimed else "met"


def outcomes(rows: Sequence[Row], times: Times) -> Iterator[Outcome]:
    """One for each demand of the rows."""
    for row in rows:
        values = list(by_shape(row, times).values())
        absent = ", ".join(dict.fromkeys(p for k in row.base for p in times.missing.get(k, ())))
        for demand in row.demands:
            value = (
                over_shapes(demand, row, values) if values else f"not installed: {absent}" if absent else "not measured"
            )
            unit = "%" if row.percent else "x"
            yield Outcome(row.what, demand.over, value, demand.least, demand.aim, row.more_is_better, unit)


def first_outcomes(rows: Sequence[FirstCall], seconds: dict[bool, dict[str, list[float]]]) -> Iterator[Outcome]:
    """One for each first call."""
    for row in rows:
        yield Outcome(row.what, "median", repeated(seconds[row.cached]["call"]), row.least, None, False, "s")


def write(number: float, unit: str) -> str:
    """A number with its unit, to three digits; ratios below 1 to two decimals."""
    if unit == "%":
        return f"{100 * number:.0f} %"
    if unit == "s":
        return f"{number:.2f} s" if number >= 0.1 else f"{1000 * number:.0f} ms"
    return f"{digits(number, 3) if number >= 1 else f'{number:.2f}'}{unit}"


def digits(number: float, count: int) -> str:
    """A number to so many digits, at least those before the point."""
    return f"{number:.0f}" if number >= 10 ** (count - 1) else f"{number:#.{count}g}"


def asked(number: float, unit: str) -> str:
    """A number of the table of demands, as it is written there."""
    return f"{number:g}x" if unit == "x" else write(number, unit)


def spread(value: Value, unit: str) -> str:
    """The quartiles."""
    return f"{write(value.low, unit)} to {write(value.high, unit)}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; numbers stand on the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def demands(found: Iterable[Outcome]) -> str:
    """The table of demands."""

    def line(o: Outcome) -> tuple[str, ...]:
        least = f"{'≥' if o.more_is_better else '≤'} {asked(o.least, o.unit)}"
        aim = "" if o.aim is None else asked(o.aim, o.unit)
        shown = ("", "") if isinstance(o.value, str) else (write(o.value.middle, o.unit), spread(o.value, o.unit))
        return f"{o.what}; {o.over}", *shown, least, aim, o.verdict

    return table(("what", "measured", "spread", "demanded", "aim", "verdict"), map(line, found))


def shapes(row: Row, times: Times) -> str:
    """A row by shape: what every contender took, in milliseconds or in GFLOP/s where these are compared; the ratio."""
    keys = row.subject, *row.base, *row.beside
    values = by_shape(row, times)

    def taken(shape: Shape, key: Key) -> str:
        if (shape, key) not in times.seconds:
            return "not installed"
        return f"{times.rate(shape, key):.1f}" if row.per_flop else digits(1e3 * times.middle(shape, key), 4)

    unit, measure = "%" if row.percent else "x", "GFLOP/s" if row.per_flop else "ms"
    names = [f"{key.name if key.task == row.subject.task else key}, {measure}" for key in keys]
    head = ["T, B, I, H", *names, "ratio", "spread"]
    lines = [
        [str(shape), *(taken(shape, key) for key in keys), f"**{write(value.middle, unit)}**", spread(value, unit)]
        for shape, value in values.items()
    ]
    if not row.per_flop:
        head.append("celda, GFLOP/s")
        lines = [[*line, f"{times.rate(shape, row.subject):.1f}"] for line, shape in zip(lines, values, strict=True)]
    return f"### {row.what[0].upper()}{row.what[1:]}\n\n{table(head, lines)}"


def whole(
    title: str,
    threads: int,
    repeats: int,
    others: float | None,
    found: Sequence[Outcome],
    rows: Sequence[Row],
    times: Times,
    seconds: dict[bool, dict[str, list[float]]],
) -> str:
    """The report; `others` is the share of the machine that others took, if known."""
    taken = "an unknown share" if others is None else write(others, "%")
    parts = [
        f"# {title}",
        machine.describe(threads),
        HOW.format(repeats=repeats, others=taken),
        "## What is asked",
        demands(found),
    ]
    if seconds:
        engine = repeated([s for measured in seconds.values() for s in measured["engine"]])
        parts.append(
            f"Importing the engine and its compiler takes {write(engine.middle, 's')} besides, once a process."
        )
    parts += ["## By shape", *(shapes(row, times) for row in rows)]
    return "\n\n".join(parts) + "\n"
