"""Files that are whole at every moment, whatever stops the program."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to. When the block ends without an error, that file takes `path`'s place.

    Until then a former file at `path` stands untouched; the new one is on the disk before it is renamed.
    """
    aside = path.with_name(f".{path.name}.aside")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
