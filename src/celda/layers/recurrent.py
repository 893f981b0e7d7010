"""Any cell as a torch module: stacked, bidirectional, over padded, packed and reset sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from celda import cells, language
from celda.checks import suggesting, warn
from celda.engines import Call, Plan, Result, check_engine, choose, know, working_dtype
from celda.errors import CeldaError
from celda.language import Cell
from celda.layers import between, doors, inference, packed, structure
from celda.layers.initial import check_init, initialise
from celda.layers.masks import draw, drop_weights
from celda.layers.stepper import Stepper
from celda.layers.tracing import Trace

State = Tensor | tuple[Tensor, ...]

# What is said where one of the functions from cell to cell is given as an option.
ELSEWHERE = {
    name: f"it is a function from cell to cell. Write celda.Recurrent({name}(cell, ...), ...), with {name} and a cell, "
    f"lstm for example, from celda.language and celda.cells."
    for name in ("candidate_dropout", "clip_state", "couple", "weight_drop")
} | {
    "projection": "write proj_size=, the width of the output.",
    "input_sizes": "write input_size={'x': 3, 'image': 4} for example, a width for each input of the cell.",
}


class Recurrent(nn.Module):
    """A recurrent layer over whole sequences, of any cell.

    Names, shapes, gate order and `state_dict` keys are those of `torch.nn.LSTM`; what a cell learns besides is called
    after its gates (`diagonal_f_l0`, the forget gate's peephole in layer 0).

    Args:
        cell: the name of a cell (`celda.cells.CELLS`) or a cell of your own (`celda.language.cell`).
        input_size: width I of the input; for a cell with further inputs a mapping, `{"x": 10, "image": 512}`.
        hidden_size: width H of the hidden state.
        num_layers: layers stacked on one another.
        bias: whether linear maps have biases.
        batch_first: whether batches are (B, T, I) rather than (T, B, I); states are (layers x directions, B, H) always.
        dropout: probability of dropping an output between layers, in training.
        bidirectional: whether a second set of weights runs from the end to the start; outputs are then (T, B, 2H).
        proj_size: width P of the output and of the state h, where they are brought to fewer units than H by a learned
            map (`celda.language.projection`); 0: they are not. The other states stay H wide.
        heads: in how many groups the hidden units are cut, of which none sees another in a recurrent matrix
            (`celda.language.heads`); it divides H.
        layer_norm: whether linear maps are normalised over the hidden units (`celda.language.layer_norm`).
        recurrent_dropout: probability of dropping a unit from what recurrent matrices multiply, in training; one mask
            a sequence (`celda.language.recurrent_dropout`).
        zoneout: probability that a unit of a state keeps its old value, in training (`celda.language.zoneout`).
        init: how the weights start, drawn from torch's generator. "torch": uniform within 1 / sqrt(H).
            "glorot_orthogonal": Keras's, with a forget bias of 1. "identity": recurrent matrices are the identity (Le,
            Jaitly & Hinton 2015). "chrono:784": gates that remember for up to 784 steps (Tallec & Ollivier 2018). What
            the cell itself says, with `gate(..., bias=)` or `parameter(..., init=)`, goes before all of them.
        engine: "auto", or the name of an engine; `plan` says which runs and why.
        connections: past each layer but the first, whose input is of another kind and may be of another width. None;
            "residual": what comes from below is added to its output (He et al. 2016); "highway": a learned gate mixes
            both (Srivastava et al. 2015), `highway_weight_l1` (H', H') and `highway_bias_l1` (H',) for layer 1, with H'
            the width of the output. `dropout` acts on what enters the layer and not on what goes past it. States are
            those of the cells: the last output is then not the last `h`.

    `torch.compile` and `torch.export` see one operator a layer and direction; where a saved program is loaded,
    `celda.layers` must have been imported and, for a cell of your own, a layer of it made. `torch.func` and derivatives
    in forward mode are taken through the reference. Under `torch.autocast` an input of float32 or less is taken and
    outputs and states have the dtype of autocast, as with torch.nn.LSTM; in between a layer computes in the dtype of
    its weights. float64 is left alone. On a CPU a layer of bfloat16 or float16 computes in float32, and rounds what it
    gives, but by engine="reference". Where bfloat16 is asked for, by weights or by autocast, and the processor can
    multiply in it, the products of the cell are of bfloat16, summed up in float32, but with projections, heads and the
    clockwork network.
    """

    @suggesting(elsewhere=ELSEWHERE)
    def __init__(
        self,
        cell: str | Cell,
        input_size: int | Mapping[str, int],
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: bool = False,
        heads: int = 1,
        init: str = "torch",
        engine: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        connections: str | None = None,
    ) -> None:
        super().__init__()
        hidden_size = doors.positive("hidden_size", hidden_size)
        num_layers = doors.positive("num_layers", num_layers)
        doors.check_dropout(dropout)
        doors.check_flags(bias=bias, batch_first=batch_first, bidirectional=bidirectional, layer_norm=layer_norm)
        doors.check_dtype(dtype)
        check_engine(engine)
        between.check_connections(connections)
        for name, given in {"dropout": dropout, "connections": connections}.items():
            if given and num_layers == 1:
                warn(f"{name}={given!r} has no effect with num_layers=1: it acts between layers.")
        self.cell = cells.find(cell)
        if proj_size != 0:
            self.cell = language.projection(self.cell, doors.positive("proj_size", proj_size))
        if heads != 1:
            self.cell = language.heads(self.cell, doors.positive("heads", heads))
        if layer_norm:
            self.cell = language.layer_norm(self.cell, bias)
        if recurrent_dropout != 0:
            self.cell = language.recurrent_dropout(self.cell, recurrent_dropout)
        if zoneout != 0:
            self.cell = language.zoneout(self.cell, zoneout)
        structure.check(self.cell, hidden_size, bidirectional)
        check_init(init, self.cell, bias)
        know(self.cell, self.cell.evaluation)
        self.input_sizes = doors.input_sizes(self.cell, input_size)
        self.input_size = self.input_sizes[self.cell.inputs[0]]
        self.hidden_size, self.num_layers, self.bias = hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self.proj_size = self.cell.narrow.get(self.cell.states[0], 0)
        self.init, self.engine, self.connections = init, engine, connections
        if not bias and any(value for w in self.cell.weights if w.is_bias for value in w.initial):
            warn(
                f"bias=False leaves out the initial biases that the cell {self.cell.name} asks for with "
                "gate(..., bias=...)."
            )
        self._trace: Trace | None = None
        self._names: list[dict[str, str]] = []  # of each layer and direction: what an array is called here
        for layer in range(num_layers):
            for suffix in self._suffixes:
                sizes = self._arrays(layer)
                self._names.append({name: f"{name}_l{layer}{suffix}" for name in sizes})
                for name, size in sizes.items():
                    array = torch.empty(size, device=device, dtype=dtype)
                    self.register_parameter(self._names[-1][name], nn.Parameter(array))
        for name, size in self._between().items():
            self.register_parameter(name, nn.Parameter(torch.empty(size, device=device, dtype=dtype)))
        self._first = next(iter(self._names[0].values()))
        self.reset_parameters()

    @property
    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    @property
    def output_size(self) -> int:
        """The width of the output: H, or P with a projection, and twice that in both directions."""
        return self.cell.units(self.cell.states[0], self.hidden_size) * len(self._suffixes)

    def _arrays(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Name and shape of what one direction of a layer learns."""
        first = self.input_size if layer == 0 else self.output_size
        widths = {**self.input_sizes, self.cell.inputs[0]: first}
        return {
            w.name: structure.shape(w, widths, self.hidden_size)
            for w in self.cell.weights
            if self.bias or not w.is_bias
        }

    def _between(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of what the connections between layers learn."""
        return between.arrays(self.connections, self.num_layers, self.output_size)

    def _weights(self, place: int) -> dict[str, Tensor]:
        """What one layer and direction learns; `place` counts directions first."""
        arrays = self._parameters  # a parametrized one is not among them
        return {
            name: arrays[mine] if mine in arrays else getattr(self, mine)  # type: ignore[misc]  # none of them is None
            for name, mine in self._names[place].items()
        }

    def _all_weights(self, dtype: torch.dtype) -> list[dict[str, Tensor]]:
        """What every layer and direction learns, to be computed with in `dtype`."""
        weights = [self._weights(place) for place in range(len(self._names))]
        if dtype is self._like.dtype:
            return weights
        self._check_weights(weights)
        return [{name: array.to(dtype) for name, array in each.items()} for each in weights]

    def _check_weights(self, weights: Sequence[Mapping[str, Tensor]]) -> None:
        pairs = zip(self._names, weights, strict=True)
        doors.check_weights({m: array[n] for names, array in pairs for n, m in names.items()}, self._like)

    def reset_parameters(self) -> None:
        """Draw the weights anew, in the order and from the numbers that torch.nn.LSTM would use."""
        for place in range(len(self._names)):
            initialise(self.cell, self._weights(place), self.hidden_size, self.init)
        for name in self._between():
            between.initialise(name, getattr(self, name))

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
        start: int = 0,
        **inputs: Tensor,
    ) -> tuple[Any, State]:
        """Run over a batch of sequences.

        Args:
            x: (T, B, I), or (B, T, I) with `batch_first`, or (T, I) for one sequence, or a `PackedSequence`.
            state: initial states, one (layers x directions, B, H) tensor each, a projected one (..., B, P); without B
                for one sequence; zeros by default.
            lengths: (B,) whole numbers; steps past the end leave the state alone and give zeros.
            resets: bool, laid out as the steps of `x`: the sequence starts anew at that step, with zero states. In the
                reverse direction, too, nothing crosses from that step to the one before it. `time()` counts on.
            start: the place of the first step in its sequence, where `x` is a later part of it; only a cell that counts
                its steps with `time()` can tell.
            inputs: the cell's further inputs, each (B, width), constant over time, or laid out as `x`, one a step.

        Returns:
            The outputs, laid out as `x`, (T, B, H) or (T, B, 2H), with a projection P for H; and the final states (a
            bare tensor where there is one).

        Raises:
            CeldaError: a shape, dtype or device that does not fit; the message says what would.
        """
        doors.check_start(start)
        states = None if state is None else doors.as_states(state, self.cell.states)
        if isinstance(x, PackedSequence):
            if lengths is not None or resets is not None or inputs:
                raise CeldaError(
                    "A PackedSequence holds its lengths: give a padded tensor with lengths=, resets= or inputs."
                )
            doors.check_packed(x, self.input_size, self._like, self.cell)
            self._check_states(states, int(x.batch_sizes[0]))
            result, new = packed.through(x, states, lambda x, s, n: self._run(x, s, n, None, {}, self.training, start))
            return result, self._bare(new)
        self._check_input(x)
        batched, time_axis = x.dim() == 3, int(self.batch_first and x.dim() == 3)
        batch = x.shape[1 - time_axis] if batched else 1
        if inputs or len(self.input_sizes) > 1:
            doors.check_further(inputs, self.input_sizes, self.cell, x, batch if batched else None)
        self._check_states(states, batch if batched else None)
        resets = None if resets is None else doors.check_resets(resets, x, self.batch_first)
        checked = None if lengths is None else doors.check_lengths(lengths, x, self.batch_first)
        if not batched:  # one sequence: a batch of one
            states = None if states is None else tuple(s.unsqueeze(1) for s in states)
            inputs = {
                name: value.unsqueeze(0) if value.dim() == 1 else value.unsqueeze(1) for name, value in inputs.items()
            }
            x, resets = x.unsqueeze(1), None if resets is None else resets.unsqueeze(1)
        elif self.batch_first:
            inputs = {name: value.transpose(0, 1) if value.dim() == 3 else value for name, value in inputs.items()}
            x, resets = x.transpose(0, 1), None if resets is None else resets.transpose(0, 1)
        if checked is not None and resets is not None:  # past its end a sequence has nothing to reset
            resets = resets & (torch.arange(x.shape[0], device=x.device).unsqueeze(1) < checked)
        y, new = self._run(x, states, checked, resets, inputs, self.training, start)
        if not batched:
            return y.squeeze(1), self._bare(tuple(s.squeeze(1) for s in new))
        return y.transpose(0, 1) if self.batch_first else y, self._bare(new)

    def _check_input(self, x: Tensor) -> None:
        doors.check_input(x, self.input_size, self._like)
        doors.check_steps(x.shape[int(self.batch_first and x.dim() == 3)], x)

    def _check_states(self, states: tuple[Tensor, ...] | None, batch: int | None) -> None:
        if states is not None:
            wanted = (len(self._names), *(() if batch is None else (batch,)))
            doors.check_states(states, self.cell, wanted, self.hidden_size, self._like)

    def _run(
        self,
        x: Tensor,
        states: tuple[Tensor, ...] | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        inputs: Mapping[str, Tensor],
        training: bool,
        start: int = 0,
        rounded: bool = True,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Every layer and direction over (T, B, I); what it gives has the dtype of autocast, or else of the weights;
        the states that of the computation, if they are not to be `rounded`."""
        lower, like = doors.autocast(self._like), self._like
        inside = working_dtype(self.engine, like)
        if lower is None and inside is like.dtype:
            return self._layers(x, states, lengths, resets, inputs, training, start)
        outside = lower or like.dtype
        states = states and tuple(state.to(inside) for state in states)
        inputs = {name: value.to(inside) for name, value in inputs.items()}
        with torch.autocast(like.device.type, enabled=False):
            low = outside is torch.bfloat16
            y, new = self._layers(x.to(inside), states, lengths, resets, inputs, training, start, low)
        return y.to(outside), tuple(state.to(outside) for state in new) if rounded else new

    def _layers(
        self,
        x: Tensor,
        states: tuple[Tensor, ...] | None,
        lengths: Tensor | None,
        resets: Tensor | None,
        inputs: Mapping[str, Tensor],
        training: bool,
        start: int,
        bfloat16: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Every layer and direction over (T, B, I), in its dtype; see `celda.engines.Call` for what is passed on."""
        cell = self.cell if training else self.cell.evaluation
        names, directions = cell.states, len(self._suffixes)
        weights = self._all_weights(x.dtype)
        plan, y = self._plan(x, weights, *(states or ()), *inputs.values()), x
        at_random = training and (cell.draws or self.dropout)
        special = inputs or (start and cell.is_timed) or at_random or self.connections
        traced = tuple(cell.named) if self._trace is not None else ()
        if not (torch.is_grad_enabled() or special or lengths is not None or resets is not None):
            passes = inference.bound(plan, cell, x, weights, self.hidden_size, directions, traced, bfloat16)
            if passes is not None:
                y, new, kept = inference.run(passes, x, states, weights, directions)
                if self._trace is not None:
                    self._trace.record(kept)
                return y, new
        zeros = (x.new_zeros(x.shape[1], self.hidden_size),) * len(names) if states is None else ()
        further = {name: value.unsqueeze(0) if value.dim() == 2 else value for name, value in inputs.items()}
        keep = traced or tuple(n.removesuffix("_below") for n in cell.below)
        results: list[Result] = []
        for layer in range(self.num_layers):
            below = y
            into = between.drop(below, self.dropout, lengths) if layer and self.dropout and training else below
            given = {cell.inputs[0]: into, **further}
            if cell.below:
                given |= structure.below(cell, results, x, self.hidden_size)
            for direction in range(directions):
                place = layer * directions + direction
                first = zeros
                if states is not None:
                    first = structure.widened(cell, [state[place] for state in states], self.hidden_size)
                drawn = given | draw(plan, cell, x, self.hidden_size) if cell.masks and training else given
                used = structure.whole(cell, weights[place], self.hidden_size)
                used = drop_weights(cell, used) if training else used
                call = Call(cell, drawn, first, used, lengths, resets, direction == 1, start, keep, bfloat16)
                results.append(plan.run(call))
            outputs = [structure.narrowed(cell, names[0], r.output) for r in results[-directions:]]
            y = torch.cat(outputs, -1) if directions > 1 else outputs[0]
            if layer and self.connections:
                learned = lambda what, number=layer: getattr(self, f"highway_{what}_l{number}").to(x.dtype)  # noqa: E731
                y = between.connect(self.connections, below, y, learned)
        if self._trace is not None:
            self._trace.record([{n: structure.narrowed(cell, n, r.kept[n]) for n in traced} for r in results])
        final = (torch.stack([r.states[k] for r in results]) for k in range(len(names)))
        return y, tuple(map(structure.narrowed, (cell,) * len(names), names, final))

    def _bare(self, states: tuple[Tensor, ...]) -> State:
        return states[0] if len(states) == 1 else states

    @property
    def _like(self) -> Tensor:
        """The first array of the layer: its dtype and device are the layer's."""
        name = self._first
        like: Tensor = self._parameters[name] if name in self._parameters else getattr(self, name)  # type: ignore[assignment]
        return like

    def plan(self, x: Tensor | PackedSequence | None = None) -> Plan:
        """Which engine would run the input `x` (default: one like the weights), and why; print it.

        Raises:
            CeldaError: the layer would not take `x`; the message is that of the call.
        """
        if x is None:
            x = self._like
        elif isinstance(x, PackedSequence):
            doors.check_packed(x, self.input_size, self._like, self.cell)
            x = x.data
        else:
            self._check_input(x)
        like = self._like
        inside = working_dtype(self.engine, like)
        plan, outside = self._plan(x.to(inside), self._all_weights(inside)), doors.autocast(like) or like.dtype
        if inside is outside:
            return plan
        products = outside is torch.bfloat16 and plan.multiplies_bfloat16(self.cell)
        how = f"in {inside}, with products of torch.bfloat16," if products else f"in {inside},"
        return replace(plan, reason=f"{plan.reason}, {how} and rounded to {outside} at the end")

    def _plan(self, x: Tensor, weights: Sequence[Mapping[str, Tensor]], *others: Tensor) -> Plan:
        given = list(others)
        for each in weights:
            given += each.values()
        plan = choose(self.engine, x, given)
        if plan.engine == "reference" and x.dtype is self._like.dtype:  # others were checked when they were converted
            self._check_weights(weights)  # the fused kernels run tensors of one kind only
        return plan

    def stepper(self, batch_size: int = 1) -> Stepper:
        """The layer one step at a time, for streams; see `Stepper`."""
        return Stepper(self, batch_size)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        know(self.cell, self.cell.evaluation)

    def extra_repr(self) -> str:
        """The arguments that differ from the defaults."""
        size = self.input_size if len(self.input_sizes) == 1 else self.input_sizes
        parts = [self.cell.name, str(size), str(self.hidden_size)]
        defaults: dict[str, object] = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        defaults |= {"bidirectional": False, "connections": None}
        return ", ".join(parts + [f"{k}={v}" for k, d in defaults.items() if (v := getattr(self, k)) != d])
