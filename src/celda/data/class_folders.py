"""A folder of texts or recordings, with a folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from celda.data.audio import log_mel
from celda.data.labelled import Labelled
from celda.data.reading import bytes_of, decode
from celda.errors import CeldaError

_SUFFIXES = {".txt", ".wav"}


def read_class_folders(folder: Path, *, labelled: bool = True) -> Labelled:
    """Read `folder/CLASS/*.txt` as texts (UTF-8), or `folder/CLASS/*.wav` as log-mel frames.

    Without labels the files may lie in the folder itself.
    """
    paths, flat = _files(folder, "*/*"), False
    if not paths and not labelled:
        paths, flat = _files(folder, "*"), True
    if not paths:
        raise CeldaError(
            f"{folder} has no folder with .txt or .wav files in it: make one for each class, named after it."
        )
    suffixes = {path.suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise CeldaError(f"{folder} holds texts (.txt) and recordings (.wav): keep one kind in it.")
    labels = None if flat else np.array([path.parent.name for path in paths])
    ids = [path.relative_to(folder).as_posix() for path in paths]
    if suffixes == {".wav"}:
        return read_recordings(paths, ids, folder.name, labels)
    texts = [decode(name, bytes_of(path)) for name, path in zip(ids, paths, strict=True)]
    return Labelled("text", texts, labels, folder.name, ids=ids)


def read_recordings(paths: list[Path], ids: list[str], name: str, labels: np.ndarray | None = None) -> Labelled:
    """Read WAV files of one rate as log-mel frames; `name`: of where they came from."""
    frames, rates = zip(*(log_mel(path) for path in paths), strict=True)
    if len(set(rates)) > 1:
        raise CeldaError(f"{name} holds recordings of {min(rates)} and of {max(rates)} Hz: bring all to one.")
    return Labelled("series", list(frames), labels, name, ids=ids, rate=rates[0])


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in _SUFFIXES and path.is_file())
