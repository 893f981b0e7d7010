"""What engines with gradients of their own do alike: a call without its tensors, derivatives by the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celda.engines.call import Call, Engine


@dataclass(frozen=True)
class Upstream:
    """What comes to a gradient from above: for the output, the final states, and the kept values of states by name."""

    output: Tensor | None
    final: tuple[Tensor | None, ...]
    kept: Mapping[str, Tensor]

    @staticmethod
    def of(call: Call, d_output: Tensor | None, d_last: Tensor | None, d_kept: Tensor | None) -> Upstream:
        """From the gradients of the final states, (states, B, H), and of what is kept, (kept, T, B, H).

        Of what is kept those of gates are left out: nothing but a trace, which is detached, looks at them.
        """
        kept = {} if d_kept is None else {n: d for n, d in zip(call.keep, d_kept, strict=True) if n in call.cell.states}
        return Upstream(d_output, (None,) * len(call.states) if d_last is None else tuple(d_last), kept)


def without_tensors(call: Call) -> Call:
    """The call with its tensors' names and places alone: they are kept by what may give them back."""
    nothing = torch.empty(0)
    states = (nothing,) * len(call.states)
    return replace(
        refilled(call, [nothing] * (len(call.inputs) + len(states) + len(call.weights))), lengths=None, resets=None
    )


def refilled(call: Call, tensors: Sequence[Tensor]) -> Call:
    """The call on other tensors: inputs, states, weights."""
    i, s = len(call.inputs), len(call.inputs) + len(call.states)
    inputs = dict(zip(call.inputs, tensors[:i], strict=True))
    weights = dict(zip(call.weights, tensors[s:], strict=True))
    return replace(call, inputs=inputs, states=tuple(tensors[i:s]), weights=weights)


def again(call: Call, reference: Engine, wanted: Sequence[bool], upstream: Upstream) -> list[Tensor | None]:
    """The gradients that are wanted through `reference`: they can be differentiated once more, and batched."""
    twice = torch.is_grad_enabled()
    with torch.enable_grad():
        # aliases: one tensor may be computed from another, and the way between them is the caller's to count
        tensors = [t.view_as(t) for t in (*call.inputs.values(), *call.states, *call.weights.values())]
        result = reference(replace(refilled(call, tensors), keep=tuple(upstream.kept)))
    values, above = (result.output, *result.states), (upstream.output, *upstream.final)
    pairs = [(value, d) for value, d in zip(values, above, strict=True) if d is not None]
    pairs += [(result.kept[name], d) for name, d in upstream.kept.items()]
    leaves = [t for t, want in zip(tensors, wanted, strict=True) if want]
    outputs, adjoints = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, leaves, adjoints, create_graph=twice, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def batched(*gradients: Tensor | None) -> bool:
    """Whether gradients are asked for inside a transform of torch.func, or stand for many (`is_grads_batched`)."""
    many = torch._C._functorch.is_legacy_batchedtensor
    return torch._C._are_functorch_transforms_active() or any(d is not None and many(d) for d in gradients)
