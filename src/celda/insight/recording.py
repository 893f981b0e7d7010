"""What a recurrent layer was given in a call, every gate and state of it, and every other value that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from celda.engines.operations import TORCH
from celda.errors import CeldaError
from celda.language import Cell
from celda.language.expression import SCALAR, Node
from celda.language.roles import Polynomial
from celda.layers import Recurrent, between, structure
from celda.layers.tracing import trace


@dataclass(frozen=True)
class Recording:
    """One call of a recurrent layer in evaluation.

    `name`: of the layer in its module. `x` (T, B, I); `inputs`: the cell's further ones, each (T or 1, B, width).
    `first`: the initial states, (places, B, H) each, where places are layers x directions. `traced`: every gate and
    state by name, (places, T, B, H), from the kernels that ran the call. `lengths` (B,), `resets` (T, B) or None.
    """

    name: str
    layer: Recurrent
    x: Tensor
    inputs: Mapping[str, Tensor]
    first: Mapping[str, Tensor]
    traced: Mapping[str, Tensor]
    lengths: Tensor | None = None
    resets: Tensor | None = None
    start: int = 0

    @property
    def cell(self) -> Cell:
        """The cell that ran: the layer's, as it is evaluated."""
        return self.layer.cell.evaluation

    @property
    def places(self) -> int:
        """Layers x directions."""
        return len(next(iter(self.traced.values())))

    def where(self, place: int) -> str:
        """A place in words, "layer 2, backwards"; "" where there is no other."""
        directions = 2 if self.layer.bidirectional else 1
        number, way = divmod(range(self.places)[place], directions)
        said = [f"layer {number + 1}"] if self.places > directions else []
        return ", ".join([*said, *((("forwards", "backwards")[way],) if directions > 1 else ())])

    @cached_property
    def mask(self) -> Tensor:
        """(T, B) bool: the steps that lie within their sequence."""
        steps, batch = self.x.shape[:2]
        ends = torch.full((batch,), steps) if self.lengths is None else self.lengths
        return torch.arange(steps).unsqueeze(1) < ends

    def within(self, values: Tensor) -> Tensor:
        """The values (T, B, H) of all real steps, one row each: (N, H)."""
        return values[self.mask]

    def values(self, place: int = 0) -> Values:
        """Every value of the graph of one layer and direction."""
        return Values(self, range(self.places)[place])


class Values:
    """The values of a cell's nodes at all steps, (T, B, H) each: with all states known, nothing recurs any more.

    Named ones are those of the kernels; the others are worked out from them when they are asked for.
    """

    def __init__(self, recording: Recording, place: int) -> None:
        self.recording, self.place = recording, place
        layer = recording.layer
        directions = 2 if layer.bidirectional else 1
        self.number, self.reverse = place // directions, place % directions == 1
        learned = {name: array.detach().to(recording.x) for name, array in layer._weights(place).items()}
        self.weights = structure.whole(recording.cell, learned, layer.hidden_size)
        named = recording.cell.named.items()
        self._found = {node: self._wide(recording.traced[name][place]) for name, node in named if node.op != "state"}

    def __getitem__(self, node: Node) -> Tensor:
        if node not in self._found:
            self._found[node] = self._value(node)
        return self._found[node]

    def of(self, polynomial: Polynomial) -> Tensor:
        """A sum of products of nodes: (T, B, H)."""
        total = self._wide(torch.zeros_like(next(iter(self.recording.traced.values()))[self.place]))
        for factors, number in polynomial.items():
            product = torch.full_like(total, number)
            for node in factors:
                product = product * self[node]
            total = total + product
        return total

    def parts(self, node: Node) -> list[Tensor]:
        """The products of a linear map and the sum of its biases, where it has any."""
        linear, hidden = self.recording.cell.linear[node], self.recording.layer.hidden_size
        block = lambda name, number: self.weights[name][number * hidden : (number + 1) * hidden]  # noqa: E731
        found = [self[term.operand] @ block(term.weight, term.block).T for term in linear.terms]
        biases = [block(name, number) for name, number in linear.biases if name in self.weights]
        return [*found, *([torch.stack(biases).sum(0).expand_as(found[0])] if biases else [])]

    def _value(self, node: Node) -> Tensor:
        recording, like = self.recording, self.recording.x
        match node.op:
            case "linear":
                return torch.stack(torch.broadcast_tensors(*self.parts(node))).sum(0)
            case "diagonal":
                return self.weights[recording.cell.vectors[node]] * self[node.args[0]]
            case "state":
                return self._wide(self.before(node.name))
            case "input" | "below":
                return self._given(node.name)
            case "parameter":
                return self.weights[node.name]
            case "number":
                return like.new_tensor(node.value)
            case "time":
                return torch.arange(recording.start, recording.start + len(like)).to(like).view(-1, 1, 1)
        operands = [self[arg] for arg in node.args]
        if node.width != SCALAR:
            operands = [o.to(like.dtype) if o.is_floating_point() else o for o in operands]
        return TORCH[node.op](*operands)

    def before(self, state: str) -> Tensor:
        """A state at the step before, in the order of running."""
        recording = self.recording
        now, first = recording.traced[state][self.place], recording.first[state][self.place]
        if not self.reverse:
            return self.crossing(torch.cat([first.unsqueeze(0), now[:-1]]))
        before = self.crossing(torch.cat([now[1:], first.unsqueeze(0)]))
        last = recording.mask & ~torch.cat([recording.mask[1:], torch.zeros_like(recording.mask[:1])])
        return torch.where(last.unsqueeze(-1), first, before)

    def crossing(self, values: Tensor) -> Tensor:
        """Values (T, B, H) of which each comes from the step before, in the order of running: 0 past a reset."""
        if self.recording.resets is None:
            return values
        resets = self.recording.resets.unsqueeze(-1)
        if self.reverse:
            resets = torch.cat([resets[1:], torch.zeros_like(resets[:1])])
        return torch.where(resets, 0.0, values)

    def _wide(self, value: Tensor) -> Tensor:
        """A state of fewer units with 0 past them, as the matrices see it."""
        lacking = self.recording.layer.hidden_size - value.shape[-1]
        return F.pad(value, (0, lacking)) if lacking else value

    def _given(self, name: str) -> Tensor:
        recording = self.recording
        if name in recording.cell.below:
            if not self.number:
                return self._wide(torch.zeros_like(recording.traced[recording.cell.states[0]][0]))
            return self._wide(recording.traced[name.removesuffix("_below")][self.place - 1])
        return self._input() if name == recording.cell.inputs[0] else recording.inputs[name]

    def _input(self) -> Tensor:
        """What this layer of the stack was given by the one below: (T, B, width)."""
        layer, h = self.recording.layer, self.recording.traced[self.recording.cell.states[0]]
        directions, below = 2 if layer.bidirectional else 1, self.recording.x
        for number in range(self.number):
            y = torch.cat([*h[number * directions : (number + 1) * directions]], -1)
            if number and layer.connections:
                learned = lambda what, at=number: getattr(layer, f"highway_{what}_l{at}")  # noqa: E731
                y = between.connect(layer.connections, below, y, learned)
            below = y
        return below


def record(module: nn.Module, run: Callable[[], object]) -> list[Recording]:
    """Every call of a recurrent layer in `module` while `run()` runs it, in their order.

    The module is in evaluation meanwhile, and nothing is kept for gradients.

    Raises:
        CeldaError: there is no recurrent layer in the module, or it was not called, or with a `PackedSequence`; or
            what it computed is not finite.
    """
    layers = {name: m for name, m in module.named_modules() if isinstance(m, Recurrent)}
    if not layers:
        raise CeldaError(
            f"{type(module).__name__} has no recurrent layer of Celda's (celda.Recurrent, LSTM, GRU, RNN): there are "
            "no gates to look at."
        )
    found: list[Recording] = []
    with ExitStack() as stack:
        stack.enter_context(evaluation(module))
        stack.enter_context(torch.no_grad())
        for name, layer in layers.items():
            traced = stack.enter_context(trace(layer))

            def hook(layer: nn.Module, args: tuple, kwargs: dict, _: object, name=name, traced=traced) -> None:  # type: ignore[no-untyped-def]
                assert isinstance(layer, Recurrent)
                found.append(_recording(name, layer, args, kwargs, dict(traced)))

            stack.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
        run()
    if not found:
        raise CeldaError(f"None of the recurrent layers ({', '.join(layers) or 'it'}) was called: call the module.")
    return found


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Inside the block nothing is dropped; afterwards every part is in the mode that it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _recording(
    name: str, layer: Recurrent, args: tuple[Any, ...], kwargs: dict[str, Any], traced: Mapping[str, Tensor]
) -> Recording:
    given = dict(kwargs)
    x = args[0] if args else given.pop("input", given.pop("x", None))
    state = args[1] if len(args) > 1 else given.pop("hx", given.pop("state", None))
    for taken in ("x", "input", "state", "hx"):
        given.pop(taken, None)
    lengths, resets, start = given.pop("lengths", None), given.pop("resets", None), given.pop("start", 0)
    if isinstance(x, PackedSequence):
        raise CeldaError("A PackedSequence cannot be looked into: give the layer a padded tensor and lengths=.")
    _check_finite(name, layer, x, traced)
    batched, steps_first = x.dim() == 3, not (layer.batch_first and x.dim() == 3)

    def laid_out(value: Tensor) -> Tensor:  # (T, B, ...)
        return value.unsqueeze(1) if not batched else value if steps_first else value.transpose(0, 1)

    inputs = {key: value.unsqueeze(0) if value.dim() < x.dim() else laid_out(value) for key, value in given.items()}
    if not batched:
        inputs = {key: value.unsqueeze(1) if value.dim() == 2 else value for key, value in inputs.items()}
    dtype = next(iter(traced.values())).dtype  # half precision is computed in float32
    shown, inputs = laid_out(x).to(dtype), {key: value.to(dtype) for key, value in inputs.items()}
    states = layer.cell.states
    if state is None:
        size = (len(next(iter(traced.values()))), shown.shape[1])
        units = {name: layer.cell.units(name, layer.hidden_size) for name in states}
        first = {name: shown.new_zeros(*size, units[name]) for name in states}
    else:
        given_states = (state,) if isinstance(state, Tensor) else tuple(state)
        first = {n: s if batched else s.unsqueeze(1) for n, s in zip(states, given_states, strict=True)}
        first = {name: value.to(dtype) for name, value in first.items()}
    lengths = None if lengths is None else torch.as_tensor(lengths).reshape(-1)
    resets = None if resets is None else laid_out(torch.as_tensor(resets))
    return Recording(name, layer, shown, inputs, first, traced, lengths, resets, start)


def _check_finite(name: str, layer: Recurrent, x: Tensor, traced: Mapping[str, Tensor]) -> None:
    """What is not finite says nothing about gates or memory."""
    wrong = [value for value in traced if not torch.isfinite(traced[value]).all()]
    if not wrong:
        return
    who = name or type(layer).__name__
    if torch.isfinite(x).all():
        raise CeldaError(
            f"{', '.join(wrong)} of the layer {who} hold NaN or infinity, as those of a training that went astray do: "
            "train it again, with a lower learning rate."
        )
    raise CeldaError(
        f"The input of the layer {who} holds NaN or infinity, and so do its gates: fill or leave out these values."
    )
