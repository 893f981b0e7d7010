"""The speed of Celda's CPU engine beside its peers: `python -m benchmarks.cpu`; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys

from benchmarks import first_call, report
from benchmarks.command import RED, check, confine, contract_holds, parser, remarks, say
from benchmarks.machine import QUIET, Watch
from benchmarks.measure import measure
from benchmarks.rows import FIRST_CALLS, NAMES, ROWS
from benchmarks.shapes import QUICK


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    made = parser("cpu", __doc__, "cpu.md and cpu.png")
    made.add_argument("--only", type=lambda text: text.split(","), default=NAMES, help=f"some of {','.join(NAMES)}")
    chosen = made.parse_args(given)
    if unknown := set(chosen.only) - set(NAMES):
        made.error(f"there is no {', '.join(sorted(unknown))}: write some of {', '.join(NAMES)}")
    check(made, chosen)
    return chosen


def main() -> int:
    """Run, print, and write the report and its figure where a folder was named."""
    chosen = arguments()
    if not chosen.without_contract and not contract_holds():
        say(RED)
        return 1
    confine(chosen.threads)
    rows = [row for row in ROWS if row.key in chosen.only]
    firsts = [row for row in FIRST_CALLS if row.key in chosen.only]
    shapes = [s for s in dict.fromkeys(s for row in rows for s in row.shapes) if s in QUICK or not chosen.quick]
    repeats = min(chosen.repeats, 3) if chosen.quick else chosen.repeats
    seconds = first_call.measure(min(repeats, 5), chosen.threads) if firsts else {}
    watch = Watch()
    times = measure(rows, shapes, repeats, say)
    others = watch.others()

    title = "Celda on the CPU" + remarks(chosen, others is not None and others > QUIET)
    found = [*report.outcomes(rows, times), *report.first_outcomes(firsts, seconds)]
    text = report.whole(title, chosen.threads, repeats, others, found, rows, times, seconds)
    sys.stdout.write(text)
    if chosen.out:
        from benchmarks.drawing import draw

        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "cpu.md").write_text(text, encoding="utf-8")
        draw(title, rows, times, chosen.out / "cpu.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
