"""A layer one step at a time: streaming, with a state that can be looked at, saved and restored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from celda.engines import Call, Plan, Stream, onlooker, working_dtype
from celda.errors import CeldaError
from celda.files import written_aside
from celda.language import Cell
from celda.layers import changes, structure
from celda.layers.doors import as_states, check_further, check_kind, check_rows, check_states, positive, shape

if TYPE_CHECKING:
    from celda.layers.recurrent import Recurrent

_REMOVERS = {"WeightNorm": "remove_weight_norm", "SpectralNorm": "remove_spectral_norm"}  # of hooks that torch has
_STEPS = re.compile("[0-9]{1,18}")  # how many are done, in a file


class Stepper:
    """Runs a layer on one step at a time, in evaluation mode and without gradients.

    `y_t = stepper(x_t)` takes (B, I) and gives (B, H); `stepper.state` is a tuple with one (layers, B, H) tensor a
    state (with a projection the output and h are P wide), and may be assigned: it is copied both ways. Feeding a
    sequence step by step gives what the layer gives for all of it: where a layer of half precision computes in float32,
    the states are of float32 between the steps and in what `save` writes, and `state` shows them rounded.

    Where the engine can, a step is a direct call of machine code on weights that were laid out for it beforehand, and
    `plan` says whether. They are laid out anew when torch says that a weight was changed or replaced, after a step of
    any of torch's optimizers, and at `reset`. torch does not count what is written through `weight.data` or a NumPy
    view: after that, call `reset`.

    `torch.compile` and `torch.export` cannot look into a stepper: a step is a direct call already, and its state is no
    tensor of the graph. Compile the layer instead, and give it the state: `y, state = layer(x_t.unsqueeze(0), state)`.

    Weights that torch computes by a hook of the layer (`torch.nn.utils.prune`, the old norms) are refused, as a step is
    no call of the layer.

    Steppers are independent of one another, also those of one layer; each may be used by one thread at a time.
    """

    _state: tuple[Tensor, ...] | None  # what the next step goes on from; None: what the stream holds
    _stream: Stream | None

    def __init__(self, layer: Recurrent, batch_size: int = 1) -> None:
        if layer.bidirectional:
            raise CeldaError(
                "A bidirectional layer needs the end of a sequence first, so it cannot be stepped: use one direction."
            )
        batch_size = positive("batch_size", batch_size)
        self.layer, self.batch_size = layer, batch_size
        self._further = layer.cell.inputs[1:]
        self._whole = layer.cell.states[0] not in layer.cell.narrow
        self._size, *self._further_sizes = (torch.Size((batch_size, width)) for width in layer.input_sizes.values())
        self.reset()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layer}, batch_size={self.batch_size}, steps={self.steps})"

    @property
    def _leading(self) -> tuple[int, int]:
        return (self.layer.num_layers, self.batch_size)

    def reset(self, rows: int | Sequence[int] | Tensor | None = None) -> None:
        """Forget everything: zero states, step 0.

        With `rows`, the numbers of some sequences or a bool (B,), these alone start anew, another stream in the place
        of one that has ended: their states are zero, and `steps` counts on.
        """
        if rows is not None:
            anew = check_rows(rows, self.batch_size)
            self._state = tuple(state.index_fill(1, anew.to(state.device), 0) for state in self._current())
            return
        self.steps = 0
        cell, hidden = self.layer.cell, self.layer.hidden_size
        zeros = tuple(self._like.new_zeros(*self._leading, cell.units(name, hidden)) for name in cell.states)
        self._state = zeros
        self._stream = None
        self._bind()

    @property
    def state(self) -> tuple[Tensor, ...]:
        """Copies of the states, one (layers, B, H) tensor each."""
        dtype = self.layer._like.dtype
        return tuple(state.to(dtype, copy=True) for state in self._current())

    @state.setter
    def state(self, states: Tensor | Sequence[Tensor]) -> None:
        given = as_states(states, self.layer.cell.states)
        self._take(given, self.layer._like)

    def _take(self, given: tuple[Tensor, ...], like: Tensor) -> None:
        """Go on from states of the kind of `like`."""
        check_states(given, self.layer.cell, self._leading, self.layer.hidden_size, like)
        self._state = tuple(s.detach().to(self._like, copy=True) for s in given)

    @property
    def _like(self) -> Tensor:
        """Of the kind of the states between steps: that in which the layer computes, so that no step rounds them."""
        like = self.layer._like
        return like.new_empty(0, dtype=working_dtype(self.layer.engine, like))

    def _current(self) -> tuple[Tensor, ...]:
        """The states, which nobody else holds."""
        if self._state is not None:
            return self._state
        assert self._stream is not None  # it took the state
        cell = self.layer.cell
        return tuple(map(structure.narrowed, (cell,) * len(cell.states), cell.states, self._stream.read()))

    def __call__(self, x: Tensor, **inputs: Tensor) -> Tensor:
        """The output of the next step: (B, I) in, (B, H) out; further inputs are (B, width)."""
        if len(inputs) != len(self._further) or self.layer._trace is not None or onlooker() is not None:
            return self._layer(x, inputs)
        stream, kind = self._bound(), self._kind  # in this order: the layer may have another dtype by now
        if stream is None or not _fits(x, self._size, kind):
            return self._layer(x, inputs)
        given: tuple[Tensor, ...] = (x,)
        if inputs:
            given = (x, *map(inputs.get, self._further))  # type: ignore[arg-type]  # what is missing does not fit
            if not all(map(_fits, given[1:], self._further_sizes, repeat(kind))):
                return self._layer(x, inputs)
        if self._state is not None:
            stream.write(structure.widened(self.layer.cell, self._state, self.layer.hidden_size))
            self._state = None
        y = stream.step(given, self.steps)
        self.steps += 1
        return y if self._whole else structure.narrowed(self.layer.cell, self.layer.cell.states[0], y)

    def plan(self) -> Plan:
        """Which engine would run the next step, how, and why; print it."""
        self._check_hooks()
        plan, hindrance = self.layer.plan(), self._hindrance()
        if plan.engine == "reference":
            return plan
        if hindrance is None and self._bound() is not None:
            return replace(plan, reason=f"{plan.reason}, called directly on weights laid out beforehand")
        return replace(plan, reason=f"{plan.reason}, for a sequence of one step at a time, because {hindrance}")

    def _hindrance(self) -> str | None:
        """Why a step is a call of the layer, or None where the engine decides."""
        arrays, dtype = self.layer._parameters, self.layer._like.dtype
        if working_dtype(self.layer.engine, self.layer._like) is not dtype:
            return f"its weights are {dtype} and are converted at every call"
        if computed := self._computed():
            return f"{computed[0]} is no parameter, and is computed or looked up anew at every call"
        if any(array is not None and array.is_inference() for array in arrays.values()):
            return "torch counts no changes of weights that were made in inference mode"
        if self.layer.connections and self.layer.num_layers > 1:
            return f"{self.layer.connections} connections are computed between its layers"
        if self.layer.cell.below:
            return "its cell sees the layer below"
        return "the gates are traced" if self.layer._trace is not None else onlooker()

    def _computed(self) -> list[str]:
        """The arrays of the layer that are no parameters."""
        arrays = self.layer._parameters
        return [name for names in self.layer._names for name in names.values() if name not in arrays]

    def _check_hooks(self) -> None:
        """Raise CeldaError where torch computes an array by a hook, which runs when the layer is called."""
        for hook in self.layer._forward_pre_hooks.values():
            name = getattr(hook, "_tensor_name", None) or getattr(hook, "name", None)  # of pruning; of norms
            if type(hook).__module__.startswith("torch.nn.utils.") and name in self._computed():
                remove = _REMOVERS.get(type(hook).__name__, "prune.remove")
                raise CeldaError(
                    f"{name} is computed by a hook when the layer is called, and a step is no such call: keep what it "
                    f"computes, with torch.nn.utils.{remove}(layer, {name!r}), or use torch.nn.utils.parametrizations, "
                    "which a stepper follows."
                )

    def _bound(self) -> Stream | None:
        """The stream with the weights as they are now, if there is one."""
        if self._stream is None or self._optimised != changes.steps:
            return self._bind()
        arrays = self.layer._parameters
        for name, array, address, version in self._held:  # every microsecond is felt here
            if arrays.get(name) is not array or array.data_ptr() != address or array._version != version:
                return self._bind()
        return self._stream

    def _bind(self) -> Stream | None:
        """Have the stream made, where the engine has one."""
        self._check_hooks()
        layer, self._state, self._stream = self.layer, self._current(), None
        self._kind = layer._like.dtype
        if self._hindrance() is not None:
            return None
        cell, like, calls = layer.cell.evaluation, layer._like, []
        state = like.new_zeros(self.batch_size, layer.hidden_size)
        for number in range(layer.num_layers):
            widths = layer.input_sizes | ({cell.inputs[0]: layer.output_size} if number else {})
            given = {name: like.new_zeros(1, self.batch_size, width) for name, width in widths.items()}
            calls.append(
                Call(
                    cell,
                    given,
                    (state,) * len(cell.states),
                    structure.whole(cell, layer._weights(number), layer.hidden_size),
                )
            )
        arrays = [(name, array) for name, array in layer._parameters.items() if array is not None]
        self._held = [(name, array, array.data_ptr(), array._version) for name, array in arrays]
        self._memory = [array.detach() for _, array in arrays]  # so that no other comes to the same address
        changes.watch()
        self._optimised = changes.steps
        self._stream = layer.plan().stream(calls)
        return self._stream

    @torch.no_grad()
    def _layer(self, x: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """A step as a call of the layer."""
        layer, like = self.layer, self.layer._like
        self._check_hooks()
        if torch.compiler.is_compiling():
            raise CeldaError(
                "A stepper cannot be compiled or exported, as its state is no tensor of the graph: compile the layer "
                "and give it the state, y, state = layer(x.unsqueeze(0), state); or call the stepper as it is, outside "
                "of what is compiled."
            )
        if not isinstance(x, Tensor) or x.shape != self._size:
            given = shape(x) if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise CeldaError(f"A step is ({self.batch_size}, {layer.input_size}), one row a sequence; given: {given}.")
        check_kind("input", x, like)
        check_further(inputs, layer.input_sizes, layer.cell, x, self.batch_size)
        state = tuple(s.to(self._like) for s in self._current())
        y, self._state = layer._run(x.unsqueeze(0), state, None, None, inputs, False, self.steps, rounded=False)
        self.steps += 1
        return y[0]

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the state, and makes a stream of its own."""
        state = tuple(state.clone() for state in self._current())
        return self.__dict__ | {"_state": state, "_stream": None, "_held": [], "_memory": []}

    def save(self, path: str | Path) -> None:
        """Write the state to a safetensors file, aside first, then renamed."""
        tensors = dict(zip(self.layer.cell.states, (s.contiguous() for s in self._current()), strict=True))
        cell = self.layer.cell
        content = to_bytes(tensors, {"cell": cell.name, "equations": _equations(cell), "steps": str(self.steps)})
        with written_aside(Path(path)) as aside:
            aside.write_bytes(content)

    def restore(self, path: str | Path) -> None:
        """Take up the state that `save` wrote.

        Raises:
            CeldaError: the file was not written by `save`, or is of a cell with other equations, other sizes or another
                dtype. Nothing has changed then. Initial values of weights and what is dropped in training may differ.
        """
        cell, like = self.layer.cell, self._like
        if not isinstance(path, str | Path):
            raise CeldaError(
                f"restore takes the path of a file that `stepper.save` wrote, and was given a {type(path).__name__}: "
                "states that are tensors are set as stepper.state = (h, c), one for each state of the cell."
            )
        try:
            with safe_open(str(path), "pt") as file:
                about = file.metadata() or {}
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
        except (OSError, SafetensorError) as error:
            raise CeldaError(f"{path} is no saved state that can be read: {error}") from None
        same = about.get("equations") == _equations(cell)
        whole = {"cell", "equations", "steps"} <= set(about) and _STEPS.fullmatch(about["steps"])
        if not whole or (same and set(stored) != set(cell.states)):
            raise CeldaError(f"{path} was not written by a stepper of this version: give a file of `stepper.save`.")
        if not same:
            told = "one of other equations" if about["cell"] == cell.name else f"and this is {cell.name}"
            raise CeldaError(
                f"{path} holds the state of the cell {about['cell']}, {told}: give the state of a stepper of this cell."
            )
        try:
            self._take(tuple(stored[name].to(like.device) for name in cell.states), like)
        except CeldaError as error:
            raise CeldaError(f"{path} does not fit this stepper. {error}") from None
        self.steps = int(about["steps"])


def _fits(value: Tensor, size: torch.Size, kind: torch.dtype) -> bool:
    """Whether a stream takes a value as it is."""
    return type(value) is Tensor and value.shape == size and value.dtype is kind and value.is_cpu


def _equations(cell: Cell) -> str:
    """A digest of what has a part in the meaning of a state: a step in evaluation, not the first values of weights."""
    cell = cell.evaluation
    bare = replace(cell, weights=tuple(replace(w, initial=(None,) * w.blocks) for w in cell.weights))
    return bare.fingerprint.rpartition("-")[2]
