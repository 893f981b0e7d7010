"""The norm of the gradient by lag: does it vanish, or explode, on its way back through time?

Pascanu, Mikolov & Bengio (2013), "On the difficulty of training recurrent neural networks".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from celda.checks import whole_number
from celda.errors import CeldaError
from celda.insight.lags import by_lag, root_mean
from celda.insight.recording import Recording, evaluation
from celda.layers import Recurrent, doors


@dataclass(frozen=True)
class GradientByLag:
    """How strongly the last output depends on what was k steps before, for k = 0, 1, ...: Frobenius norms.

    `inputs` (T,): of d h_T / d x_{T-k}. `states`: of d h_T / d s_{T-k} for every state s, summed over the layers: (T,).
    `state` (T,): of all states together. Root mean squares over the sequences; NaN where none is so long.
    """

    inputs: Tensor
    states: Mapping[str, Tensor]

    @property
    def state(self) -> Tensor:
        """Of all states together."""
        return torch.stack([norm.square() for norm in self.states.values()]).sum(0).sqrt()

    def factor(self, lag: int) -> float:
        """What is left of the gradient of the states after `lag` steps, as a part of that at lag 0."""
        steps = len(self.state)
        if whole_number(lag, 0) is None or lag >= steps:
            raise CeldaError(f"lag={lag!r}: the gradient is known for the lags 0 to {steps - 1}; write one of them.")
        return float(self.state[lag] / self.state[0])

    def reach(self, share: float = 0.1) -> int:
        """The effective memory by gradient: the largest lag at which the input still counts `share` of the most."""
        return reach(self.inputs, share)


def reach(norms: Tensor, share: float = 0.1) -> int:
    """The largest lag whose norm is at least `share` of the largest one; 0 where all are 0.

    `norms` (T,): NaN where no sequence is so long, so at the end only. Raises CeldaError for other NaN, and infinity.
    """
    if not 0 < share <= 1:
        raise CeldaError(f"share={share} is no part of the largest norm: write a number above 0, 1 at most.")
    if norms.dim() != 1 or not len(norms):
        raise CeldaError(f"Norms of shape {tuple(norms.shape)} hold no lag: give a tensor (T,), one a lag.")
    known = norms[: int((~norms.isnan()).sum())]
    if not len(known) or not torch.isfinite(known).all():
        raise CeldaError(
            "The norms by lag hold NaN or infinity, of which none is the largest: look for them in the input and the "
            "weights of the layer."
        )
    largest = known.max()
    return int((known >= share * largest).nonzero().max()) if largest > 0 else 0


def gradient_by_lag(
    layer: Recurrent,
    x: Tensor,
    state: Tensor | tuple[Tensor, ...] | None = None,
    *,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    start: int = 0,
    probes: int | None = 8,
    seed: int = 0,
    **inputs: Tensor,
) -> GradientByLag:
    """The norm of the gradient of the last output by lag, of a layer as it is now: before, during or after training.

    Nothing about the layer changes, its gradients neither. The layer runs step by step on its own engine, in
    evaluation, and one backward pass gives the gradients of all lags.

    Args:
        layer: in one direction.
        x: (T, B, I), or (B, T, I) with `batch_first`; state, lengths, resets, start, inputs: as the layer takes them.
            Past a reset the gradient is 0.
        probes: the squared norm is the mean of so many random projections of h_T (Hutchinson 1989), drawn with `seed`:
            without bias, and for 8 probes of 8 sequences good to a tenth or so. None: every unit, so exact.

    Raises:
        CeldaError: the layer is none of Celda's, or runs in both directions, where "how long ago" has two meanings;
            or what is given does not fit it.
    """
    if not isinstance(layer, Recurrent):
        raise CeldaError(
            f"{type(layer).__module__}.{type(layer).__name__} is no recurrent layer of Celda's: give celda.Recurrent, "
            "LSTM, GRU or RNN."
        )
    if layer.bidirectional:
        raise CeldaError(
            "The gradient by lag is that of a layer that reads from the past to the future, and this one reads in both "
            "directions: give a layer with bidirectional=False."
        )
    layer._check_input(x)
    if x.dim() != 3:
        raise CeldaError(f"The input has {x.dim()} dimensions: give (steps, batch, {layer.input_size}).")
    axis = int(layer.batch_first)
    sequences = x.shape[1 - axis]
    if not sequences:
        raise CeldaError("The input holds no sequence to take a gradient of: give one or more.")
    if probes is not None and whole_number(probes) is None:
        raise CeldaError(f"probes={probes!r} is no number of projections: write 1 or more, or None for the exact norm.")
    doors.check_start(start)
    if inputs or len(layer.input_sizes) > 1:
        doors.check_further(inputs, layer.input_sizes, layer.cell, x, sequences)
    states = None if state is None else doors.as_states(state, layer.cell.states)
    layer._check_states(states, sequences)
    lengths = None if lengths is None else doors.check_lengths(lengths, x, layer.batch_first)
    resets = None if resets is None else doors.check_resets(resets, x, layer.batch_first)
    count = layer.output_size if probes is None else probes
    x = x.detach().repeat(*((count, 1, 1) if axis else (1, count, 1)))
    batch, steps = x.shape[1 - axis], x.shape[axis]
    moved = [piece.clone().requires_grad_() for piece in x.split(1, axis)]
    wide = {name: value.detach().repeat(*_times(value, count, axis)) for name, value in inputs.items()}
    now = None if states is None else tuple(s.detach().repeat(1, count, 1) for s in states)
    ends = None if lengths is None else lengths.repeat(count)
    anew = None if resets is None else resets.repeat(*((count, 1) if axis else (1, count)))
    counts = any(node.op == "time" for node in layer.cell.nodes)
    seen: list[tuple[Tensor, ...]] = []
    with evaluation(layer), torch.enable_grad():
        for t, piece in enumerate(moved):
            further = {n: v.narrow(axis, t, 1) if v.dim() == 3 else v for n, v in wide.items()}
            place = {"start": start + t} if counts else {}
            alive = {} if ends is None else {"lengths": (t < ends).long()}
            begins = {} if anew is None else {"resets": anew.narrow(axis, t, 1)}
            _, new = layer(piece, now, **alive, **begins, **place, **further)
            now = (new,) if isinstance(new, Tensor) else new
            seen.append(now)
    output = seen[-1][0][-1]
    flat = [*moved, *(s for step in seen for s in step)]
    found = torch.autograd.grad(output, flat, _probes(output, probes, seed), allow_unused=True)
    names, whole = layer.cell.states, 1.0 if probes is not None else float(count)

    def lagged(gradients: Sequence[Tensor | None], sequences: int) -> Tensor:
        """Gradients of every step, with the sequences in dimension `sequences`, to norms by lag."""
        others = [d for d in range(3) if d != sequences]
        squares = [x.new_zeros(batch) if g is None else g.square().sum(others) for g in gradients]
        each = by_lag(torch.stack(squares), ends).unflatten(1, (count, -1))
        return root_mean(whole * each.mean(1)).cpu()

    by_state = {name: lagged(found[steps + k :: len(names)], 1) for k, name in enumerate(names)}
    return GradientByLag(lagged(found[:steps], 1 - axis), by_state)


def gradient_of(recording: Recording, probes: int | None = 8) -> GradientByLag:
    """The gradient by lag of the call of a layer that was recorded."""
    layer = recording.layer
    lay = lambda value: value.transpose(0, 1) if layer.batch_first else value  # noqa: E731
    inputs: dict[str, Any] = {n: v[0] if len(v) == 1 else lay(v) for n, v in recording.inputs.items()}
    first = tuple(recording.first.values())
    told: dict[str, Any] = {"lengths": recording.lengths, "start": recording.start, "probes": probes}
    told["resets"] = None if recording.resets is None else lay(recording.resets)
    return gradient_by_lag(layer, lay(recording.x), first, **told, **inputs)


def untrained(recording: Recording, seed: int = 0) -> GradientByLag:
    """The same of a layer with fresh weights, drawn as the layer drew its own: what the training began with."""
    layer = copy.deepcopy(recording.layer)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        layer.reset_parameters()
    return gradient_of(replace(recording, layer=layer))


def _probes(output: Tensor, probes: int | None, seed: int) -> Tensor:
    """What the outputs of the repeated batch (probes x B, H) are projected on."""
    if probes is not None:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(output.shape, generator=generator, dtype=output.dtype).to(output.device)
    hidden = output.shape[1]
    return torch.eye(hidden, dtype=output.dtype, device=output.device).repeat_interleave(len(output) // hidden, 0)


def _times(value: Tensor, count: int, axis: int) -> tuple[int, ...]:
    if value.dim() == 2:
        return (count, 1)
    return (count, 1, 1) if axis else (1, count, 1)
