"""What is done in a sweep: the backward kernel over spans of steps, and after each the products of its adjoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import torch

from celda.engines.cpu.launches import Launch, Ready, Swept
from celda.engines.cpu.layout import Layout
from celda.engines.cpu.products import Matrix
from celda.engines.cpu.script import Place, Script, Word
from celda.engines.cpu.sums import Sums

CHUNK = 2**22  # bytes of adjoints that a span of the sweep makes: they are still in the cache when they are multiplied
FEWEST = 1024  # rows of a span: with fewer, the gradients of the weights are read and written too often
KNOWN = 32  # sweeps that are known, of different lengths but otherwise of the same sizes


def sweep_script(
    layout: Layout, launch: Launch, ready: Ready, sums: Sums, width: int, pairs: int, dtype: torch.dtype
) -> Swept:
    """What is done in a sweep over adjoints (rows, width), in rows of so many `pairs` besides; worked out once for
    calls of the same sizes."""
    most = max(CHUNK // max(width * dtype.itemsize, 1), FEWEST)  # there may be no adjoints, but of vectors
    key = layout, sums, most
    if (found := ready.swept.get(key)) is not None:
        return found
    spans, script = layout.spans(most), Script()
    rows = max((end - begin for *_, begin, end in spans), default=0) + layout.batch
    windows = _windows(spans, layout, Matrix("adjoint", 0, rows, width, width, 1), pairs, dtype)
    for number, ((last, count, begin, end), window, numbers) in enumerate(windows):
        if number:
            numbers["job_count"] = 0  # the panels are there
        launch.add(script, layout, numbers, last - count + 1, last + 1)
        sums.add(script, window, begin, end, fresh=number == 0)
    sums.end(script)
    found = Swept(script, rows)
    if layout.plain:  # others come once
        if len(ready.swept) >= KNOWN:
            with suppress(KeyError, RuntimeError):  # another thread was there at the same time
                ready.swept.pop(next(iter(ready.swept)))
        ready.swept[key] = found
    return found


Steps = tuple[int, int, int, int]  # see `Layout.spans`


def _windows(
    spans: list[Steps], layout: Layout, buffer: Matrix, pairs: int, dtype: torch.dtype
) -> Iterator[tuple[Steps, Matrix, dict[str, Word]]]:
    """Each span, the rows of the buffer that its adjoints go to, and what the kernel is told.

    A span reads the adjoints of the step after it, which the span before swept last: its edge. They stay there, and the
    new window is laid over them so that the step it sweeps last begins where the edge begins. A row of the edge is then
    overwritten by the same sequence, and so by the thread that read it, and not in the step that reads it, as a span
    has two (see `Layout.spans`). Forwards a step has no fewer rows than the one swept before, so the edge begins at row
    0 always; in reverse it has no more, so no window ends later than the first.

    Rows are numbered through the whole sequence, and so the kernel is given the address where row 0 would be; and that
    of row 0 of the `pairs`, which lie as the adjoints do.
    """
    edge, n_after = buffer.rows if layout.reverse else 0, 0
    for span in spans:
        last, count, begin, end = span
        step = layout.first + (last - count + 1) * layout.direction
        n = layout.begin(step + 1) - layout.begin(step)
        place = edge + n - (end - begin) if layout.reverse and n_after else edge - (end - begin) * layout.reverse
        numbers: dict[str, Word] = {"last": last, "count": count, "n_after": n_after}
        numbers |= {"base_after": begin + edge - place}
        numbers |= {"adjoint": Place(buffer.name, (place - begin) * buffer.row * dtype.itemsize)}
        if pairs:
            numbers |= {"pairs": Place("pairs", (place - begin) * pairs * dtype.itemsize)}
        yield span, buffer.cut(place, place + end - begin), numbers
        edge, n_after = place + (end - begin - n if layout.reverse else 0), n
