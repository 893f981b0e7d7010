"""The two passes of the kernels, as torch is given them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from celda.engines.call import Call
from celda.engines.cpu.given import through
from celda.engines.cpu.passes import Passed, Wanted, forward, sweep
from celda.engines.derivatives import Passes, Upstream


def gradients(passed: Passed, call: Call, wants: Sequence[bool], upstream: Upstream) -> list[Tensor | None]:
    """The gradients of inputs, states and weights, those that `wants` says at least; None: zero."""
    names = (*call.inputs, *(None for _ in call.states), *call.weights)
    asked = frozenset(name for name, want in zip(names, wants, strict=True) if want and name is not None)
    states = any(wants[len(call.inputs) : len(call.inputs) + len(call.states)])
    wanted = Wanted(asked.intersection(call.inputs), asked.intersection(call.weights), states)
    d_given, d_states, found = sweep(passed, call, upstream, wanted)
    found |= through(passed.program, call, passed.layout, d_given)
    return [*map(found.get, call.inputs), *d_states, *map(found.get, call.weights)]


PASSES = Passes(
    forward=lambda call, wants: forward(call, any(wants)),
    output=lambda passed: passed.layout.output(passed.output),
    gradients=gradients,
)
