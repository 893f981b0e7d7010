"""docs/results.md, and a page in each experiment's folder, from the results' files: `python -m experiments page`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from celda.files import written_aside
from experiments.experiment import FOLDER, Check, Column, Experiment, Run, find, names, results
from experiments.result import Result

DOCS = FOLDER.parent / "docs"
HEAD = """\
# The papers' claims, run again

Written from what was run, by `python -m experiments page`: do not edit it. Each experiment has a folder in
[experiments](../experiments), with its setting, every seed's figures and the day.

```sh
make experiments                                          # the quick set: what is not marked "full" below
make experiments-full                                     # all of it
python -m experiments run 1997_hochreiter_adding --full   # one of them
python -m experiments list
```

Times are of one core, all seeds together, on a machine that had other things to do; a quiet one is faster. Figures are
the mean over the seeds, and in brackets the range. Test sets are drawn anew or set apart, and were never used to choose
a setting. Real data are read from the folder in `CELDA_DATA`, or `--data`."""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def time_of(seconds: float) -> str:
    """In words: 12 s, 3 min."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def shown(column: Column, result: Result) -> str:
    """A figure of all seeds."""
    values = result.of(column.figure)
    if column.over == "count":
        return f"{result.count(column.figure, 1)} of {len(result.seeds)}"
    if not values:
        return "–"
    if column.over == "best":
        return format(max(values), column.form)
    low, middle, high = (format(v, column.form) for v in (min(values), result.mean(column.figure), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def verdict(check: Check, experiment: Experiment, found: Mapping[str, Result]) -> str:
    """Whether it was found, or that it was not run, or not from all seeds."""
    if missing := [name for name in check.runs if name not in found]:
        return f"not run: {', '.join(missing)}"
    wanted = {run.name: run.seeds for run in experiment.runs}
    if short := [name for name in check.runs if len(found[name].seeds) < wanted[name]]:
        return f"not run to the end: {', '.join(short)}"
    return "**yes**" if check.holds(found) else "**no**"


def line(run: Run, experiment: Experiment, found: Mapping[str, Result], published: bool) -> list[str]:
    """A run's line in the table."""
    said = [f"`{run.name}`{'' if run.quick else ' (full)'}", *([run.published] if published else [])]
    if run.name not in found:
        return [*said, *("" for _ in experiment.columns), "not run", ""]
    result = found[run.name]
    seeds = len(result.seeds)
    ran = str(seeds) if seeds == run.seeds else f"{seeds} of {run.seeds}"
    return [*said, *(shown(column, result) for column in experiment.columns), ran, time_of(sum(result.seconds))]


def flowing(text: str) -> str:
    """Words without the line breaks of the source."""
    return " ".join(text.split())


def section(name: str, experiment: Experiment, found: Mapping[str, Result], pictures: str) -> str:
    """An experiment: the claim, published beside ours, what was asked, and why."""
    published = any(run.published for run in experiment.runs)
    head = ["run", *(["published"] if published else []), *(c.heading for c in experiment.columns), "seeds", "time"]
    parts = [
        f"*{experiment.source}.* `python -m experiments run {name}`",
        flowing(experiment.claim),
        f"**Ours.** {flowing(experiment.setting)}",
        table(head, [line(run, experiment, found, published) for run in experiment.runs]),
        "\n".join(f"- {check.says}: {verdict(check, experiment, found)}." for check in experiment.checks),
    ]
    if experiment.why:
        parts.append(flowing(experiment.why))
    if experiment.picture:
        parts.append(f"![{experiment.title}]({pictures}/{name}.png)")
    return "\n\n".join(parts)


def overview(found: Mapping[str, Mapping[str, Result]]) -> str:
    """All checks."""
    lines = [
        [f"[{find(name).title}](#{anchor(find(name).title)})", check.says, verdict(check, find(name), found[name])]
        for name in names()
        for check in find(name).checks
    ]
    return table(("experiment", "asked", "found"), lines)


def anchor(heading: str) -> str:
    """What a heading is called in a link."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in " -_").replace(" ", "-")


def whole(folder: Path = FOLDER) -> str:
    """docs/results.md."""
    found = {name: results(name, folder) for name in names()}
    parts = [HEAD, "## What was asked", overview(found)]
    for name in names():
        experiment = find(name)
        parts += [f"## {experiment.title}", section(name, experiment, found[name], "figures")]
        parts.append(f"[Settings and every seed](../experiments/{name}/README.md)")
    return "\n\n".join(parts) + "\n"


def detail(name: str, folder: Path = FOLDER) -> str:
    """An experiment's own page: its section, every run's setting, and every seed."""
    experiment, found = find(name), results(name, folder)
    parts = [f"# {experiment.title}", section(name, experiment, found, "../../docs/figures")]
    for run, result in found.items():
        setting = ", ".join(f"{key} {value}" for key, value in result.config.items())
        versions = ", ".join(f"{key} {value}" for key, value in result.versions.items())
        figures = list(dict.fromkeys(column.figure for column in experiment.columns))
        seeds = [
            [
                str(seed),
                *("–" if (value := one.get(f)) is None else f"{value:.5g}" for f in figures),
                f"{seconds:.0f} s",
            ]
            for seed, one, seconds in zip(result.seeds, result.figures, result.seconds, strict=True)
        ]
        parts += [f"## {run}", f"{setting}.", f"{result.date}; {versions}; {result.machine}."]
        parts.append(table(("seed", *figures, "time"), seeds))
    return "\n\n".join(parts) + "\n"


def write() -> None:
    """All pages and figures."""
    pages = {DOCS / "results.md": whole(), **{FOLDER / name / "README.md": detail(name) for name in names()}}
    for path, text in pages.items():
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
    for name in names():
        found, experiment = results(name), find(name)
        if experiment.picture and found:
            experiment.picture(found, DOCS / "figures" / f"{name}.png")
