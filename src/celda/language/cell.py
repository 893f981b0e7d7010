"""A traced cell: its graph, its gates and the weights it learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import NoReturn

from celda.language.errors import CellError
from celda.language.expression import HIDDEN, Node, topological
from celda.language.patterns import Narrow, Pattern


@dataclass(frozen=True)
class Weight:
    """An array a cell learns, in one layer and direction.

    A matrix stacks one block of `hidden_size` rows a linear map that uses it, in the order of the definition (as
    `torch.nn.LSTM` stacks its gates); a bias stacks vectors the same way; a diagonal or a free parameter is one vector.
    Of a recurrent matrix with a pattern less is kept: of a block-diagonal one (H, H / groups), the blocks on the
    diagonal one below the other; of one to or from a narrower state so many rows or columns.
    """

    name: str  # "weight_ih", "bias_hh", "diagonal_f", ...
    blocks: int  # how many blocks of hidden_size rows
    columns: str | None  # what a matrix multiplies: an input's name or "hidden"; None for a vector
    initial: tuple[float | None, ...]  # of each block; None: as the layer's initialisation says
    pattern: Pattern | None = None  # of a recurrent matrix: what it leaves out

    @property
    def is_bias(self) -> bool:
        """Whether this is the bias of linear maps, which a layer without biases leaves out."""
        return self.name.startswith("bias_")

    @property
    def is_shift(self) -> bool:
        """Whether this is what is added to a normalised value, which starts at 0."""
        return self.name.startswith("norm_bias_")

    @property
    def is_projection(self) -> bool:
        """Whether this brings the output to fewer units; it multiplies what is new, not a state."""
        return isinstance(self.pattern, Narrow) and self.pattern.rows is not None

    @property
    def is_recurrent(self) -> bool:
        """Whether this is a matrix that multiplies a state, or what a gate made of one."""
        return self.columns == HIDDEN and not self.is_projection


@dataclass(frozen=True)
class Term:
    """One product of a linear map: block `block` of the matrix `weight`, times `operand`."""

    operand: Node
    weight: str
    block: int


@dataclass(frozen=True)
class LinearMap:
    """A learned affine map: the sum of its terms and of its biases, each (array, block)."""

    gate: str
    terms: tuple[Term, ...]
    biases: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Mask:
    """What a cell draws in training, for each unit and sequence: 1 with this probability, else 0.

    Anew at every step, or once a sequence. In evaluation the probability itself, its mean, takes its place.
    """

    probability: float
    every_step: bool


def in_order(masks: Mapping[str, Mask], roots: Iterable[Node]) -> dict[str, Mask]:
    """The masks that `roots` need, as their nodes come.

    So two cells with the same step draw in the same order, and a kernel that was compiled for one is right for both.
    """
    return {node.name: masks[node.name] for node in topological(roots) if node.op == "mask"}


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell, traced from its equations.

    `inputs` names the input and the further (keyword-only) inputs; `states` the states, the first being the output.
    `gates` maps a gate's name to its node, `outputs` a state's name to its new value.
    """

    name: str
    doc: str
    inputs: tuple[str, ...]
    states: tuple[str, ...]
    gates: Mapping[str, Node]
    outputs: Mapping[str, Node]
    linear: Mapping[Node, LinearMap]
    vectors: Mapping[Node, str] = field(repr=False)  # a diagonal or a parameter -> its weight
    weights: tuple[Weight, ...] = field(repr=False)
    masks: Mapping[str, Mask] = field(default_factory=dict, repr=False)
    constants: Mapping[str, int] = field(default_factory=dict, repr=False)  # the vector of the units' group, of so many
    below: tuple[str, ...] = ()  # the inputs that are a state of the layer below: "c_below"
    weight_drop: float = 0.0  # the probability with which a layer drops a recurrent weight in training
    together: tuple[str, ...] = ()  # states that mean something only beside one another: options leave them alone
    narrow: Mapping[str, int] = field(default_factory=dict)  # states of fewer units than H: past them they are 0

    def __repr__(self) -> str:
        return f"<cell {self.name}({', '.join(self.inputs[:1] + self.states)})>"

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """A cell holds no numbers: a layer runs it."""
        raise CellError(
            f"The cell {self.name} is a definition without weights, so it cannot be called.\n"
            f"  write instead:  layer = celda.Recurrent({self.name}, input_size, hidden_size); y, state = layer(x)"
        )

    def __deepcopy__(self, memo: object) -> Cell:
        """A cell never changes, so copies of a layer share it."""
        return self

    @property
    def is_structured(self) -> bool:
        """Whether some of what engines are given is not just what is learned."""
        return bool(self.constants) or any(weight.pattern for weight in self.weights)

    @property
    def draws(self) -> bool:
        """Whether a layer draws at random in training: masks, or weights that are dropped."""
        return bool(self.masks or self.weight_drop)

    @cached_property
    def is_timed(self) -> bool:
        """Whether a step depends on its place in the sequence, by `time()`."""
        return any(node.op == "time" for node in self.nodes)

    def units(self, state: str, hidden_size: int) -> int:
        """How many units a state has in a layer of this hidden size."""
        return self.narrow.get(state, hidden_size)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of a step, arguments first."""
        return tuple(topological([*self.gates.values(), *self.outputs.values()]))

    @cached_property
    def named(self) -> Mapping[str, Node]:
        """The values that can be traced: every gate and every new state, in the order they are computed."""
        place = {node: number for number, node in enumerate(self.nodes)}
        together = {**self.gates, **self.outputs}
        return dict(sorted(together.items(), key=lambda item: place[item[1]]))

    @cached_property
    def evaluation(self) -> Cell:
        """The cell as it is evaluated: with the mean of what is drawn in training."""
        from celda.language.rewriting import without_masks

        return without_masks(self) if self.masks else self

    @cached_property
    def fingerprint(self) -> str:
        """The cell's name and a digest of its step: the same in every process, another for any other equations."""
        number = {node: k for k, node in enumerate(self.nodes)}
        graph = (
            self.inputs,
            self.states,
            self.weights,
            [(n.op, [number[a] for a in n.args], n.name, n.value, n.width) for n in number],
            [(number[n], [(number[t.operand], t.weight, t.block) for t in m.terms]) for n, m in self.linear.items()],
            [(number[n], m.biases) for n, m in self.linear.items()],
            [(number[n], name) for n, name in self.vectors.items()],
            [(name, number[n]) for name, n in self.named.items()],
            list(self.masks.items()),
        )
        return f"{self.name}-{sha256(repr(graph).encode()).hexdigest()[:16]}"

    def count(self, input_size: int | Mapping[str, int], hidden_size: int, bias: bool = True) -> int:
        """How many numbers one layer of this cell learns, each bias counted as often as it is stored."""
        counts = self.counts(input_size, hidden_size)
        return sum(n for weight, n in counts.items() if bias or not weight.is_bias)

    def counts(self, input_size: int | Mapping[str, int], hidden_size: int) -> dict[Weight, int]:
        """How many numbers there are in each array, those alone that have an effect."""
        sizes = {self.inputs[0]: input_size} if isinstance(input_size, int) else input_size
        if missing := [name for name in self.inputs if name not in sizes]:
            raise CellError(f"{self.name} has inputs without a size ({', '.join(missing)}): give {{name: size, ...}}.")
        columns: dict[str | None, int] = {None: 1, HIDDEN: hidden_size}
        columns.update(sizes)

        def block(weight: Weight) -> int:
            pattern = weight.pattern
            return hidden_size * columns[weight.columns] if pattern is None else pattern.learned(hidden_size)

        return {weight: weight.blocks * block(weight) for weight in self.weights}

    def equations(self) -> str:
        """The equations of a step as text, one a line: `i_t = σ(W_i x_t + R_i h_{t-1} + b_i)`."""
        from celda.language.equations import text

        return text(self)

    def latex(self) -> str:
        """The equations of a step as a LaTeX `aligned` block."""
        from celda.language.equations import latex

        return latex(self)

    def diagram(self) -> str:
        """A drawing of a step as an SVG document."""
        from celda.language.diagram import diagram

        return diagram(self)
