"""A folder with a folder for each class, which holds texts or recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from celda.data.audio import log_mel
from celda.data.labelled import Labelled
from celda.data.reading import bytes_of, decode
from celda.errors import CeldaError

_SUFFIXES = {".txt", ".wav"}


def read_class_folders(folder: Path) -> Labelled:
    """Read `folder/CLASS/*.txt` as texts (UTF-8), or `folder/CLASS/*.wav` as log-mel frames."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not paths:
        raise CeldaError(
            f"{folder} has no folder with .txt or .wav files in it: make one for each class, named after it."
        )
    suffixes = {path.suffix.lower() for path in paths}
    if len(suffixes) > 1:
        raise CeldaError(f"{folder} holds texts (.txt) and recordings (.wav): keep one kind in it.")
    labels = np.array([path.parent.name for path in paths])
    ids = [f"{path.parent.name}/{path.name}" for path in paths]
    if suffixes == {".wav"}:
        frames, rates = zip(*(log_mel(path) for path in paths), strict=True)
        if len(set(rates)) > 1:
            raise CeldaError(f"{folder} holds recordings of {min(rates)} and of {max(rates)} Hz: bring all to one.")
        return Labelled("series", list(frames), labels, folder.name, ids=ids)
    texts = [decode(name, bytes_of(path)) for name, path in zip(ids, paths, strict=True)]
    return Labelled("text", texts, labels, folder.name, ids=ids)
