"""CoNLL columns: a token a line, its label in the last column, an empty line after each sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from celda.data.labelled import Labelled
from celda.errors import CeldaError


def read_conll(path: Path, text: str, *, labelled: bool = True) -> Labelled:
    """Read the text of a file of columns, parted by tabs or blanks. The first is the token, the last the label.

    Lines that begin with `# ` or `-DOCSTART-` are passed over. Without labels a line may be a token alone.
    Raises CeldaError with the line of what cannot be read.
    """
    tokens: list[list[str]] = [[]]
    labels: list[list[str]] = [[]]
    width = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("# ", "-DOCSTART-")):
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            if tokens[-1]:
                tokens.append([])
                labels.append([])
            continue
        if labelled and len(cells) < 2:
            raise CeldaError(
                f"{path.name}, line {number} has one column ({line.strip()[:30]!r}): write a token and its label on "
                "each line, parted by a tab, and an empty line after each sentence."
            )
        width = width or len(cells)
        if len(cells) != width:
            raise CeldaError(f"{path.name}, line {number} has {len(cells)} columns, and the lines before it {width}.")
        tokens[-1].append(cells[0])
        labels[-1].append(cells[-1])
    if not tokens[-1]:
        tokens.pop()
        labels.pop()
    if not tokens:
        raise CeldaError(f"{path.name} is empty: write a token and its label on each line, parted by a tab.")
    ids = [str(place) for place in range(1, len(tokens) + 1)]
    found = [np.array(tags) for tags in labels] if labelled else None
    return Labelled("words", tokens, found, path.name, ids=ids)
