"""The `.ts` files of the UEA and UCR archive: a case a line, its features parted by colons, its class last."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from celda.data.labelled import Labelled
from celda.errors import CeldaError

_PAIR = re.compile(r"\(([^(),]+),([^(),]+)\)")


def read_ts(path: Path, text: str) -> Labelled:
    """Read the text of a `.ts` file: series (T_i, D), their classes and, where the file has them, the times of steps.

    `?` stands for a missing value. Raises CeldaError with the line of what cannot be read.
    """
    head, cases = _split(path, text)
    stamped = head.get("timestamps", "false").lower() == "true"
    classed = head.get("classlabel", "false").lower().startswith("true")
    if not classed:
        raise CeldaError(f"{path.name} has no classes (@classLabel true is not in its head): give a file with them.")
    series, labels, times = [], [], []
    for number, line in cases:
        *features, label = _features(line, stamped)
        where = f"{path.name}, line {number}"
        if not features or not label.strip():
            raise CeldaError(f"{where}: a case is its features and its class, parted by colons.")
        read = [_stamped(where, one) if stamped else (None, _numbers(where, one)) for one in features]
        times.append(read[0][0])
        lengths = {len(values) for _, values in read}
        if len(lengths) > 1 or any(not _same(when, read[0][0]) for when, _ in read):
            raise CeldaError(f"{where}: its features have not the same steps: fill up what is missing with ?.")
        series.append(np.stack([values for _, values in read], axis=1))
        labels.append(label.strip())
    if not series:
        raise CeldaError(f"{path.name} holds no case after @data: it is cut off, or empty.")
    widths = {one.shape[1] for one in series}
    if len(widths) > 1:
        raise CeldaError(f"{path.name}: its cases have {min(widths)} to {max(widths)} features: all need the same.")
    clocks = [when for when in times if when is not None]
    return Labelled("series", series, np.array(labels), path.name, times=clocks if stamped else None)


def _split(path: Path, text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    head: dict[str, str] = {}
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    for place, (_, line) in enumerate(lines):
        if line.lower() == "@data":
            return head, [(n, case) for n, case in lines[place + 1 :] if case and not case.startswith("#")]
        if line.startswith("@"):
            key, _, value = line[1:].partition(" ")
            head[key.lower()] = value.strip()
    raise CeldaError(f"{path.name} is no .ts file of the UEA and UCR archive, as it has no line @data.")


def _features(line: str, stamped: bool) -> list[str]:
    """The parts of a line; a time stamp, in brackets, may hold colons."""
    return re.split(r":(?![^()]*\))", line) if stamped else line.split(":")


def _numbers(where: str, text: str) -> np.ndarray:
    try:
        return np.array([np.nan if cell.strip() in ("?", "NaN") else float(cell) for cell in text.split(",")])
    except ValueError as error:
        raise CeldaError(f"{where}: {error}: values are numbers, or ? where they are missing.") from error


def _stamped(where: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = _PAIR.findall(text)
    if not pairs:
        raise CeldaError(f"{where}: with time stamps each step is written (time,value).")
    stamps = [stamp.strip() for stamp, _ in pairs]
    try:
        when = np.array([float(stamp) for stamp in stamps])
    except ValueError:
        seconds = pd.to_datetime(pd.Series(stamps), format="ISO8601", errors="coerce")
        if seconds.isna().any():
            raise CeldaError(f"{where}: the time stamp {stamps[0]!r} cannot be read.") from None
        when = (seconds - pd.Timestamp(0)).dt.total_seconds().to_numpy()
    return when, _numbers(where, ",".join(value for _, value in pairs))


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))
