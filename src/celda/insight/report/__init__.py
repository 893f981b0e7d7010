"""`explain`: a report on a trained network, as one HTML page and as pictures."""

from __future__ import annotations

from pathlib import Path

from celda.errors import CeldaError
from celda.files import written_aside
from celda.insight.report.content import write
from celda.insight.subject import Subject

REPORT = "report.html"


def explain(subject: Subject, folder: str | Path, *, step: int = -1) -> dict[str, Path]:
    """Write a report on a trained network into a folder: `report.html`, which needs nothing else, and its figures.

    Args:
        subject: what a task tells of its model, such as `celda.tasks.subject("runs/demo")`.
        folder: a new one, or one that holds such a report, which is replaced.
        step: the step of the shown sequence that is walked through the cell, from 0, or from the end, -1 the last.

    Returns:
        What was written, by name.

    Raises:
        CeldaError: something else stands at `folder`, or there is no such step.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / REPORT).is_file()):
        raise CeldaError(f"{folder} exists and holds no report: name another folder, so that nothing is lost.")
    page = write(subject, step)
    with written_aside(folder) as aside:
        aside.mkdir()
        (aside / REPORT).write_text(page.html(), encoding="utf-8")
        for name, picture in page.pictures.items():
            (aside / f"{name}.png").write_bytes(picture)
    return {"report": folder / REPORT} | {name: folder / f"{name}.png" for name in page.pictures}


__all__ = ["explain"]
