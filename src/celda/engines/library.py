"""The fused kernels as operators of torch, for all that looks into a model instead of running it.

`torch.compile`, `torch.export`, fake tensors and dispatch modes see one operator a layer and direction,
`celda::sequence`, and its gradient, `celda::sequence_backward`. A plain call takes a shorter way, an autograd.Function.

A cell goes by its fingerprint. It is found again where it is known: the cells of `celda.cells` wherever `celda.layers`
is imported, and the cell of every layer that was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from celda.engines.call import Call, Result
from celda.engines.reference import run as reference
from celda.errors import CeldaError
from celda.language import Cell

_CALL = (
    "str cell, Tensor[] inputs, Tensor[] states, Tensor[] weights, Tensor? lengths, Tensor? resets, bool reverse, "
    "SymInt start, str keep, bool bfloat16"
)
PLAIN = frozenset({Tensor, torch.nn.Parameter})
TRACED = (FakeTensor, FunctionalTensor)  # kinds of tensor that hold no numbers: a model is being traced
_PARTS = 10  # of a call, as they are above
_cells: dict[str, Cell] = {}

torch.library.define(
    "celda::sequence",
    f"({_CALL}, bool training) -> (Tensor output, Tensor last, Tensor kept, Tensor saved)",
    tags=torch.Tag.pt2_compliant_tag,
)
torch.library.define(
    "celda::sequence_backward",
    f"({_CALL}, Tensor output, Tensor saved, Tensor? d_output, Tensor? d_last, Tensor? d_kept, bool[] wanted)"
    " -> Tensor[]",
    tags=torch.Tag.pt2_compliant_tag,
)


def know(*cells: Cell) -> None:
    """Let operators find these cells."""
    for cell in cells:
        _cells[cell.fingerprint] = cell  # worked out now: a compiler finds it as a string


def seen(tensors: Sequence[Tensor]) -> bool:
    """Whether something looks on: a compiler or an exporter, a dispatch mode, hooks on what is saved for gradients."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
        or not PLAIN.issuperset(map(type, tensors))
    )


def run(call: Call) -> Result:
    """The outputs and states of `call`, by the operator."""
    cell, states, weights = call.cell, list(call.states), list(call.weights.values())
    inputs = [call.inputs[name] for name in (*cell.inputs, *cell.masks, *cell.below)]
    # an exported program may be run for its output alone: what a gradient needs is then found when it is asked for
    training = torch.is_grad_enabled() and not torch.compiler.is_exporting()
    training = training and any(t.requires_grad for t in (*inputs, *states, *weights))
    output, last, kept, _ = torch.ops.celda.sequence(
        cell.fingerprint,
        inputs,
        states,
        weights,
        call.lengths,
        call.resets,
        call.reverse,
        call.start,
        ",".join(call.keep),
        call.bfloat16,
        training,
    )
    return Result(output, last.unbind(), dict(zip(call.keep, kept.unbind(), strict=True)) if call.keep else {})


def _call(
    cell: str,
    inputs: list[Tensor],
    states: list[Tensor],
    weights: list[Tensor],
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    start: int,
    keep: str,
    bfloat16: bool,
) -> Call:
    """The call that an operator was given."""
    if cell not in _cells:
        name = cell.rpartition("-")[0]
        raise CeldaError(
            f"This program runs a cell {name!r} ({cell}) that is not known in this process: "
            f"make a layer of the same cell first, celda.Recurrent({name}, ...)."
        )
    known = _cells[cell]
    all_of_them = len(weights) == len(known.weights) + len(known.constants)
    names = [*(w.name for w in known.weights if all_of_them or not w.is_bias), *known.constants]
    return Call(
        known,
        dict(zip((*known.inputs, *known.masks, *known.below), inputs, strict=True)),
        tuple(states),
        dict(zip(names, weights, strict=True)),
        lengths,
        resets,
        reverse,
        start,
        tuple(keep.split(",")) if keep else (),
        bfloat16,
    )


def _checked(call: Call) -> Call:
    """The call, when it runs: a program may meet other numbers and dtypes than those it was made with."""
    steps, lengths = call.inputs[call.cell.inputs[0]].shape[0], call.lengths
    inputs = [value for name, value in call.inputs.items() if name not in call.cell.masks]
    kinds = {tensor.dtype for tensor in (*inputs, *call.states, *call.weights.values())}
    if kinds not in ({torch.float32}, {torch.float64}):
        told = ", ".join(sorted(map(str, kinds)))
        raise CeldaError(f"A layer was given tensors of {told}: all must be float32, or all float64.")
    if lengths is not None and lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise CeldaError(
            f"lengths go from {int(lengths.min())} to {int(lengths.max())} and the input has {steps} steps: "
            f"give whole numbers from 0 to {steps}."
        )
    return call


@torch.library.impl("celda::sequence", "CPU")
def _sequence(*given: Any) -> tuple[Tensor, ...]:
    from celda.engines.cpu import saved  # the compiler is started when it is first needed

    return saved.sequence(_checked(_call(*given[:_PARTS])), given[_PARTS])


def _sequence_fake(*given: Any) -> tuple[Tensor, ...]:
    from celda.engines.cpu import saved

    call, training = _call(*given[:_PARTS]), given[_PARTS]
    steps, batch = call.inputs[call.cell.inputs[0]].shape[:2]
    new, hidden = call.states[0].new_empty, call.states[0].shape[1]
    size = (steps, batch, hidden)
    return (
        new(size),
        new(len(call.states), batch, hidden),
        new(len(call.keep), *size),
        new(steps * batch * saved.width(call) if training else 0),
    )


@torch.library.impl("celda::sequence_backward", "CPU")
def _sequence_backward(*given: Any) -> list[Tensor]:
    from celda.engines.cpu import saved

    return saved.sequence_backward(_call(*given[:_PARTS]), *given[_PARTS:])


def _sequence_backward_fake(*given: Any) -> list[Tensor]:
    _, inputs, states, weights = given[:4]
    wanted = given[-1]
    return [t.new_empty(t.shape) for t, want in zip((*inputs, *states, *weights), wanted, strict=True) if want]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, given, states, weights, lengths, resets, *rest = inputs[:_PARTS]
    out, _, _, saved = output
    ctx.save_for_backward(*given, *states, *weights, lengths, resets, out, saved)
    ctx.mark_non_differentiable(saved)
    ctx.set_materialize_grads(False)
    ctx.cell, ctx.rest, ctx.counts = cell, rest, (len(given), len(states), len(weights))


def _backward(
    ctx: Any, d_output: Tensor | None, d_last: Tensor | None, d_kept: Tensor | None, _: None
) -> tuple[Any, ...]:
    from celda.engines.derivatives import Upstream, again, batched

    i, s, w = ctx.counts
    *tensors, lengths, resets, output, saved = ctx.saved_tensors
    parts = [tensors[:i], tensors[i : i + s], tensors[i + s :]]
    wanted = [want for part in ctx.needs_input_grad[1:4] for want in part]
    call = (ctx.cell, *parts, lengths, resets, *ctx.rest)
    found: list[Tensor | None]
    if d_output is None and d_last is None and d_kept is None:
        found = [None] * (i + s + w)
    elif torch.is_grad_enabled() or batched(d_output, d_last, d_kept):  # to be differentiated again, or many at once
        whole = _call(*call)
        found = again(whole, reference, wanted, Upstream.of(whole, d_output, d_last, d_kept))
    else:
        some = iter(torch.ops.celda.sequence_backward(*call, output, saved, d_output, d_last, d_kept, wanted))
        found = [next(some) if want else None for want in wanted]
    return None, found[:i], found[i : i + s], found[i + s :], *(None,) * (_PARTS - 3)


torch.library.register_fake("celda::sequence", _sequence_fake)
torch.library.register_fake("celda::sequence_backward", _sequence_backward_fake)
torch.library.register_autocast("celda::sequence", "cpu", torch.float32)
torch.library.register_autograd("celda::sequence", _backward, setup_context=_setup_context)
