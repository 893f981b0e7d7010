"""Truncated backpropagation through time: a stream longer than memory, a chunk at a time.

The state goes on from chunk to chunk and the gradient does not (Williams & Peng 1990; here, as in Zaremba, Sutskever &
Vinyals 2014, every step is in one chunk).
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from celda.checks import whole_number
from celda.errors import CeldaError
from celda.layers import Recurrent, doors

STEPS = 35  # of a chunk where nothing else is said: Zaremba et al.'s
Piece = tuple[Tensor, dict[str, Any], int]  # of a stream: the input, what else the layer is given, how many steps


@dataclass(frozen=True, eq=False)
class Chunk:
    """What came of one chunk of a stream."""

    output: Any  # of the layer, laid out as its input; gradients go back to the chunk's first step
    state: Any  # after the chunk, without gradients: what the next one starts from; in the structure the layer gives
    slice: builtins.slice  # which steps of the stream these are: target[chunk.slice], or target[:, chunk.slice]
    lengths: Tensor | None  # (B,) how many of the steps are within each sequence, where lengths were given


def truncated(
    layer: Callable[..., tuple[Any, Any]],
    stream: Tensor | Iterable[Tensor | tuple[Tensor, Mapping[str, Any]]],
    steps: int | None = None,
    *,
    state: Any = None,
    lengths: Tensor | Sequence[int] | None = None,
    resets: Tensor | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    batch_first: bool | None = None,
) -> Iterator[Chunk]:
    """Run a layer over a stream, chunk by chunk; compute a loss of each chunk's output and call its `backward()`.

        for chunk in truncated(layer, x, steps=35):
            loss = criterion(chunk.output, target[chunk.slice])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    All outputs together are those of the layer over the whole stream, if its weights do not change in between; the
    gradient of a chunk's loss ends at the chunk's first step. Memory holds the graph of one chunk, and of a second
    while the next is computed, however long the stream is.

    Args:
        layer: a layer, of Celda or of torch.nn, or anything that is called as `layer(x, state)` and returns (output,
            state); the state of the first call is `state`. What is learned before the layer, such as an embedding,
            belongs in there: a stream that was computed with gradients would be gone through again by every chunk.
        stream: (T, B, ...), or (B, T, ...) with `batch_first`, or for a layer (T, I), one sequence. Or the chunks
            themselves, as an iterable, read one by one: each a tensor, or a pair (tensor, arguments by name), such as
            `(x, {"resets": resets})`; they may differ in length.
        steps: the steps of a chunk, 35 if left out; the last one may be shorter. Not for an iterable of chunks.
        state: what the first chunk starts from, in the layer's own structure; gradients go into it, so that it may be
            learned. `None`: whatever the layer takes for it, zeros.
        lengths: (B,) whole numbers, as a layer takes them, for the whole stream; a sequence that has ended leaves its
            state alone.
        resets: bool, laid out as the steps of the stream, as a layer takes them: the sequence starts anew at that step.
        inputs: the further inputs of a layer's cell, by name, each (B, width), constant over time, or laid out as the
            stream.
        batch_first: whether the stream is (B, T, ...); left out: as the layer says, or else not.

    A layer whose cell counts its steps with `time()` goes on counting; within a callable of yours each chunk begins
    at 0, unless it passes on `start=`.

    Raises:
        CeldaError: at the call, where the arguments cannot work.
    """
    core = getattr(layer, "_orig_mod", layer)  # what torch.compile has wrapped
    if not callable(layer):
        raise CeldaError(f"A {type(layer).__name__} cannot be run: give a layer, or a function of (x, state).")
    if getattr(core, "bidirectional", False):
        raise CeldaError(
            "A bidirectional layer reads a sequence from its end too, so it cannot go through it chunk by chunk: "
            "make it with bidirectional=False, or give it whole sequences."
        )
    first = _batch_first(core, batch_first)
    if steps is not None and whole_number(steps) is None:
        raise CeldaError(f"steps={steps!r} is no length of a chunk: write a whole number of at least 1.")
    if isinstance(core, nn.RNNBase) and (lengths is not None or resets is not None or inputs):
        raise CeldaError(
            f"torch.nn.{type(core).__name__} takes neither lengths nor resets nor further inputs: "
            f"take celda.{type(core).__name__}, which is called the same way."
        )
    if inputs and not isinstance(core, Recurrent):
        raise CeldaError(
            "inputs= are those of a layer's cell, and this is a callable of yours: "
            "give it an iterable of chunks, each (x, {name: value})."
        )
    if isinstance(stream, PackedSequence) or not isinstance(stream, Iterable) or isinstance(stream, str | Mapping):
        raise CeldaError(
            f"The stream is a {type(stream).__name__}: give a tensor (steps, batch, ...), with lengths= where "
            "sequences end before it does, or an iterable of such tensors, the chunks."
        )
    if isinstance(stream, Tensor):
        pieces = _cut(core, stream, steps or STEPS, first, lengths, resets, dict(inputs or {}))
    elif steps is not None or lengths is not None or resets is not None:
        raise CeldaError(
            "The stream comes in chunks already, so steps=, lengths= and resets= have no place: "
            "give lengths and resets with each chunk, as (x, {'lengths': ..., 'resets': ...})."
        )
    else:
        pieces = _given(core, stream, first, dict(inputs or {}))
    counts = isinstance(core, Recurrent) and core.cell.is_timed
    return _run(layer, pieces, state, counts)


def stream_batches(tokens: Any, batch_size: int, *, batch_first: bool = False) -> Tensor:
    """Lay one long stream out as `batch_size` parallel ones: (N, ...) becomes (N // batch_size, batch_size, ...).

    Sequence b holds the b-th part of the stream, so that each goes on where it was from chunk to chunk; the last N %
    batch_size elements are left out. `tokens` is a tensor or a NumPy array, which may be mapped from a file: nothing is
    copied. With `batch_first` the result is (batch_size, N // batch_size, ...).

    Raises CeldaError where there are fewer elements than sequences.
    """
    if isinstance(tokens, str | bytes):
        raise CeldaError("A stream is a tensor or an array of numbers and was given as text: give its tokens.")
    stream: Tensor = torch.as_tensor(tokens)
    size = whole_number(batch_size)
    if size is None:
        raise CeldaError(f"batch_size={batch_size!r} cannot be: write a whole number of at least 1.")
    if stream.dim() == 0 or len(stream) < size:
        raise CeldaError(
            f"A stream of shape {doors.shape(stream)} cannot be laid out as {size} sequences: "
            "give at least as many elements as sequences, or a smaller batch_size."
        )
    length = len(stream) // size
    rows: Tensor = stream[: length * size].unflatten(0, (size, length))
    return rows if batch_first else rows.transpose(0, 1)


def _batch_first(core: object, given: bool | None) -> bool:
    own = getattr(core, "batch_first", None)
    if given is not None and isinstance(own, bool) and own != given:
        raise CeldaError(f"batch_first={given!r}, and the layer was made with batch_first={own}: leave it out here.")
    if given is not None:
        doors.check_flags(batch_first=given)
    return bool(own if given is None else given)


def _axis(core: object, x: Tensor, batch_first: bool) -> int:
    """Which dimension of a stream is time: for a layer, two dimensions are one sequence."""
    return 0 if x.dim() == 2 and _is_layer(core) else int(batch_first)


def _is_layer(core: object) -> bool:
    return isinstance(core, Recurrent | nn.RNNBase)


def _steps(core: object, x: Tensor, batch_first: bool) -> int:
    axis = _axis(core, x, batch_first)
    if x.dim() <= axis:
        raise CeldaError(f"The stream has shape {doors.shape(x)}: give (steps, batch, ...), or (batch, steps, ...).")
    steps: int = x.shape[axis]
    doors.check_steps(steps, x)
    return steps


def _cut(
    core: object,
    stream: Tensor,
    steps: int,
    batch_first: bool,
    lengths: Tensor | Sequence[int] | None,
    resets: Tensor | None,
    inputs: dict[str, Tensor],
) -> Iterator[Piece]:
    """Check what belongs to a stream; its chunks."""
    total, axis = _steps(core, stream, batch_first), _axis(core, stream, batch_first)
    single = stream.dim() == 1 or (stream.dim() == 2 and _is_layer(core))  # one sequence, without a batch
    layout = stream.new_empty(0).expand(*stream.shape[: 2 - single], 0)
    lengths = None if lengths is None else doors.check_lengths(lengths, layout, batch_first)
    resets = None if resets is None else doors.check_resets(resets, layout, batch_first)
    if isinstance(core, Recurrent) and (inputs or len(core.input_sizes) > 1):
        batch = None if single else stream.shape[1 - axis]
        doors.check_further(inputs, core.input_sizes, core.cell, stream, batch)
    moving = {name for name, value in inputs.items() if value.dim() == stream.dim()}

    def piece(start: int) -> Piece:
        count = min(steps, total - start)
        options: dict[str, Any] = {
            name: value.narrow(axis, start, count) if name in moving else value for name, value in inputs.items()
        }
        if lengths is not None:
            options["lengths"] = (lengths - start).clamp(0, count)
        if resets is not None:
            options["resets"] = resets.narrow(axis, start, count)
        return stream.narrow(axis, start, count), options, count

    return (piece(start) for start in range(0, total, steps))


def _given(core: object, chunks: Iterable[Any], batch_first: bool, inputs: dict[str, Tensor]) -> Iterator[Piece]:
    """Chunks that are there already, or come one by one."""
    for number, chunk in enumerate(chunks):
        x, options = chunk if isinstance(chunk, tuple) and len(chunk) == 2 else (chunk, {})
        if not isinstance(x, Tensor) or not isinstance(options, Mapping):
            raise CeldaError(
                f"Chunk {number} is a {type(chunk).__name__}: give a tensor, or a pair of a tensor and of arguments by "
                "name, (x, {'resets': resets})."
            )
        yield x, {**inputs, **options}, _steps(core, x, batch_first)


def _run(layer: Callable[..., Any], pieces: Iterator[Piece], state: Any, counts: bool) -> Iterator[Chunk]:
    start = 0
    for x, options, steps in pieces:
        if counts:
            options = {"start": start, **options}
        chunk = _one(layer, x, state, options, slice(start, start + steps))
        state, start = chunk.state, start + steps
        yield chunk
        del chunk  # and its graph, before the next one is made


def _one(layer: Callable[..., Any], x: Tensor, state: Any, options: dict[str, Any], where: builtins.slice) -> Chunk:
    result = layer(x, state, **options)
    if not isinstance(result, tuple) or len(result) != 2:
        raise CeldaError(f"The layer returned a {type(result).__name__}: it must return a pair (output, state).")
    output, after = result
    return Chunk(output, _carried(after), where, options.get("lengths"))


def _carried(state: Any) -> Any:
    """A state without its past, in its own structure; a copy, which keeps no larger array alive and may be changed."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, Mapping):
        return {name: _carried(value) for name, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(_carried, state))
    if isinstance(state, tuple | list):
        return type(state)(map(_carried, state))
    return state
