"""What engines with gradients of their own do alike: a function that torch differentiates, twice by the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from celda.engines.call import Call, Engine, Result
from celda.language import Cell


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


class Frame(NamedTuple):
    """A call without its tensors: they are kept by what may give them back."""

    cell: Cell
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    reverse: bool
    start: int
    keep: tuple[str, ...]
    bfloat16: bool

    @staticmethod
    def of(call: Call) -> Frame:
        """The frame of a call."""
        rest = call.reverse, call.start, call.keep, call.bfloat16
        return Frame(call.cell, tuple(call.inputs), tuple(call.weights), *rest)

    def filled(self, tensors: Sequence[Tensor], lengths: Tensor | None, resets: Tensor | None) -> Call:
        """The call with these inputs, states and weights, in this order."""
        i, s = len(self.inputs), len(self.inputs) + len(self.cell.states)
        inputs = dict(zip(self.inputs, tensors[:i], strict=True))
        weights = dict(zip(self.weights, tensors[s:], strict=True))
        rest = lengths, resets, self.reverse, self.start, self.keep, self.bfloat16
        return Call(self.cell, inputs, tuple(tensors[i:s]), weights, *rest)


class Passes(NamedTuple):
    """The two passes of an engine. What the first leaves for the second has `final`, the last states, which are taken
    from it, and `shown(node)`, a value that was kept, in memory of its own."""

    forward: Callable[[Call, Sequence[bool]], Any]  # which inputs, states and weights want a gradient
    output: Callable[[Any], Tensor]  # (T, B, H), no view of another tensor
    gradients: Callable[[Any, Call, Sequence[bool], Upstream], list[Tensor | None]]


def differentiable(call: Call, passes: Passes, reference: Engine) -> Result | None:
    """The result of a call, to be differentiated; None where no gradient will be asked for."""
    tensors = (*call.inputs.values(), *call.states, *call.weights.values())
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors):
        return None
    output, *rest = Fused.apply(call, passes, reference, *tensors)
    final, shown = rest[: len(call.states)], rest[len(call.states) :]
    return Result(output, tuple(final), dict(zip(call.keep, shown, strict=True)))


class Fused(torch.autograd.Function):
    """apply(call, passes, reference, *inputs, *states, *weights) -> output, final states, kept values; shapes: `Call`.

    `call` holds the same tensors. A gradient that shall itself be differentiated is taken through `reference`.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, passes: Passes, reference: Engine, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the kernels, keeping what a gradient needs."""
        passed = passes.forward(call, ctx.needs_input_grad[3:])
        output = passes.output(passed)
        ctx.save_for_backward(*tensors, call.lengths, call.resets, output)
        # What is returned holds on to this object: kept here, they would hold each other for ever.
        ctx.frame, ctx.passed = Frame.of(call), passed
        final, passed.final = passed.final, ()
        ctx.passes, ctx.reference = passes, reference
        shown = {name: passed.shown(call.cell.named[name]) for name in call.keep}
        ctx.mark_non_differentiable(*(value for name, value in shown.items() if name not in call.cell.states))
        ctx.set_materialize_grads(False)
        return output, *final, *shown.values()

    @staticmethod
    def backward(ctx: Any, d_output: Tensor | None, *d_rest: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of every tensor that wants one."""
        *tensors, lengths, resets, _ = ctx.saved_tensors  # torch says where one was changed in place since
        call, wants = ctx.frame.filled(tensors, lengths, resets), ctx.needs_input_grad[3:]
        count = len(call.states)
        kept = {name: d for name, d in zip(call.keep, d_rest[count:], strict=True) if d is not None}
        upstream = Upstream(d_output, d_rest[:count], kept)
        if torch.is_grad_enabled() or batched(d_output, *d_rest):
            return (None, None, None, *again(call, ctx.reference, wants, upstream))
        passed, ctx.passed = ctx.passed, None
        if passed is None:  # a second time through the same graph
            passed = ctx.passes.forward(replace(call, keep=()), wants)
        return (None, None, None, *ctx.passes.gradients(passed, call, wants, upstream))


def alone(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """The same memory as a tensor that is no view of another, so that a caller may change it in place."""
    place = tensor.untyped_storage(), tensor.storage_offset()
    found: Tensor = tensor.new_empty(0).set_(*place, size)  # type: ignore[call-overload]
    return found


def again(call: Call, reference: Engine, wanted: Sequence[bool], upstream: Upstream) -> list[Tensor | None]:
    """The gradients that are wanted through `reference`: they can be differentiated once more, and batched."""
    twice = torch.is_grad_enabled()
    with torch.enable_grad():
        # aliases: one tensor may be computed from another, and the way between them is the caller's to count
        tensors = [t.view_as(t) for t in (*call.inputs.values(), *call.states, *call.weights.values())]
        frame = Frame.of(call)._replace(keep=tuple(upstream.kept))
        result = reference(frame.filled(tensors, call.lengths, call.resets))
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
