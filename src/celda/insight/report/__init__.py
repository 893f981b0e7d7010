"""`explain`: a report on a trained network, as one HTML page and as pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from celda.errors import CeldaError
from celda.files import written_aside
from celda.insight.report.content import write
from celda.insight.report.page import figures_of
from celda.insight.subject import Subject

REPORT = "report.html"


def explain(
    subject: Subject, folder: str | Path, *, step: int = -1, tell: Callable[[str], object] = lambda line: None
) -> dict[str, Path]:
    """Write a report on a trained network into a folder: `report.html`, which needs nothing else, and its figures.

    Args:
        subject: what a task tells of its model, such as `celda.tasks.explained.subject("runs/demo")`.
        folder: a new or an empty one, or one that holds such a report: its files are replaced, and others left.
        step: the step of the shown sequence that is walked through the cell, from 0, or from the end, -1 the last.
        tell: is told a line of what is being done.

    Returns:
        What was written, by name.

    Raises:
        CeldaError: something else stands at `folder`, or there is no such step.
    """
    folder = Path(folder)
    former = _former(folder)
    page = write(subject, step, tell)
    written = {"report": folder / REPORT} | {name: _picture(folder, name) for name in page.pictures}
    if theirs := [path.name for path in written.values() if path.exists() and path not in former]:
        raise CeldaError(
            f"{folder} holds {', '.join(theirs)}, which no report of Celda's wrote: name another folder, so that "
            "nothing is lost."
        )
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CeldaError(
            f"Cannot make the folder {folder} ({error.strerror}): name another, in a folder that there is."
        ) from error
    with written_aside(written["report"]) as aside:  # first: it says which other files are Celda's
        aside.write_text(page.html(), encoding="utf-8")
    for name, picture in page.pictures.items():
        with written_aside(written[name]) as aside:
            aside.write_bytes(picture)
    for path in former - set(written.values()):
        path.unlink(missing_ok=True)
    return written


def _former(folder: Path) -> set[Path]:
    """The files of the report that stands in a folder. Raises CeldaError where something else does."""
    if folder.is_dir() and not any(folder.iterdir()):
        return set()
    report, figures = folder / REPORT, None
    if report.is_file():
        figures = figures_of(report.read_text(encoding="utf-8", errors="replace"))
    if figures is None and folder.exists():
        raise CeldaError(
            f"{folder} exists and holds no report of Celda's: name another folder, so that nothing is lost."
        )
    return set() if figures is None else {report, *(_picture(folder, name) for name in figures)}


def _picture(folder: Path, name: str) -> Path:
    return folder / f"{name}.png"


__all__ = ["explain"]
