"""CoNLL columns: a token a line, its label in the last column, an empty line after each sentence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from celda.data.labelled import Labelled
from celda.errors import CeldaError

_COMMENT, _DOCUMENT = "# ", "-DOCSTART-"


def read_conll(path: Path, text: str, *, labelled: bool = True) -> Labelled:
    """Read the text of a file of columns, parted by tabs or blanks. The first is the token, the last the label.

    Lines that begin with `-DOCSTART-` are passed over, and so are comments: lines that begin with `# ` and have not the
    columns of the others. Without labels a line may be a token alone. No other character parts lines or columns: a
    blank that does not break is of its token. Raises CeldaError with the line of what cannot be read.
    """
    tokens: list[list[str]] = [[]]
    labels: list[list[str]] = [[]]
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    plain = [line for line in lines if _cells(line) and not line.startswith((_COMMENT, _DOCUMENT))]
    width, tabs = (len(_cells(plain[0])), "\t" in plain[0]) if plain else (0, False)
    for number, line in enumerate(lines, 1):
        cells = _cells(line)
        odd = len(cells) != width or ("\t" in line) != tabs
        if line.startswith(_DOCUMENT) or (line.startswith(_COMMENT) and odd):
            continue
        if not cells:
            if tokens[-1]:
                tokens.append([])
                labels.append([])
            continue
        if labelled and len(cells) < 2:
            raise CeldaError(
                f"{path.name}, line {number} has one column ({line.strip()[:30]!r}): write a token and its label on "
                "each line, parted by a tab, and an empty line after each sentence."
            )
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


def _cells(line: str) -> list[str]:
    """The columns of a line; none of an empty one."""
    if not line.strip(" \t"):
        return []
    return line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
