"""What an engine must do right: a call with everything in it that a caller may choose, and the comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import sqrt

import pytest
import torch
from torch import Tensor

from celda.engines import NAMES, Call, Plan, Result
from celda.engines.cpu import kernels, sweeps
from celda.language import Cell, Pattern
from tests.calls import proper
from tests.contract.covering import covering
from tests.tolerances import TOLERANCES

ENGINES = tuple(name for name in NAMES if name not in ("reference", "gpu"))  # what runs on the CPU is held to all of it

# What a kernel is compiled for, besides its cell: nearly all the time goes there, so that cases share kernels.
HIDDEN = (1, 7, 16, 17, 33, 64, 130)
KERNELS = {"dtype": (torch.float32, torch.float64), "resets": (False, True), "few": (False, True)}
BATCHES = {True: (1, 2), False: (7, 20)}  # few sequences are computed in another way
OPTIONS = {
    "larger": (0, 1),
    "steps": (1, 2, 7),
    "width": (1, 5, 40),
    "threads": (1, 2, 3),
    "lengths": (False, True),
    "given": (False, True),
    "bias": (False, True),
    "reverse": (False, True),
    "constant": (False, True),
    "loss": ("y", "states", "both"),
    "cut": (False, True),
    "units": (False, True),
}


@dataclass(frozen=True)
class Case:
    """One choice of everything.

    `given`: there is an initial state; `constant`: further inputs stay the same over time; `loss`: what is
    differentiated, nothing if empty; `cut`: the sweep takes two steps a launch; `units`: threads share the units even
    of many sequences.
    """

    hidden: int = 7
    dtype: torch.dtype = torch.float64
    resets: bool = False
    batch: int = 2
    steps: int = 7
    width: int = 5
    threads: int = 1
    lengths: bool = False
    given: bool = True
    bias: bool = True
    reverse: bool = False
    constant: bool = True
    loss: str = "both"
    cut: bool = False
    units: bool = False

    def __str__(self) -> str:
        options = [f.name for f in fields(self) if getattr(self, f.name) is True]
        sizes = f"T{self.steps}-B{self.batch}-I{self.width}-H{self.hidden}-{self.threads}"
        return "-".join([str(self.dtype).removeprefix("torch."), sizes, *options, self.loss or "inference"])


def cases(
    cells: Sequence[str],
    hidden: Sequence[int],
    gradients: bool = True,
    factors: Mapping[str, Sequence] = KERNELS,
    choices: Mapping[str, Sequence] = OPTIONS,
) -> list[tuple[str, Case]]:
    """Cells by name and cases for them.

    Any two of cell, hidden size, dtype, with or without resets, few or many sequences are in one kernel; any two of a
    kernel and the options are in one case.
    """
    kernels, found = covering({"cell": cells, "hidden": hidden, **factors}, seed=0), []
    for number, name in enumerate(cells):
        own = [k for k in kernels if k["cell"] == name]
        options = choices | ({} if gradients else {"loss": ("",), "cut": (False,)})
        for chosen in covering({"kernel": own, **options}, seed=number):
            all_of_it = chosen.pop("kernel") | chosen
            batch = BATCHES[all_of_it.pop("few")][all_of_it.pop("larger")]
            del all_of_it["cell"]
            found.append((name, Case(batch=batch, **all_of_it)))
    return found


def make(cell: Cell, case: Case, seed: int = 0) -> Call:
    """The call of a case; what a gradient may be asked for wants one."""
    g = torch.Generator().manual_seed(seed)
    widths = {name: 2 + k for k, name in enumerate(cell.inputs)} | {cell.inputs[0]: case.width}
    steps = dict.fromkeys(cell.inputs, 1 if case.constant else case.steps) | {cell.inputs[0]: case.steps}

    def normal(*size: int, scale: float = 1.0) -> Tensor:
        return (
            (scale * torch.randn(size, generator=g, dtype=torch.float64)).to(case.dtype).requires_grad_(bool(case.loss))
        )

    inputs = {name: normal(steps[name], case.batch, width) for name, width in widths.items()}
    inputs |= {name: normal(steps[cell.inputs[0]], case.batch, case.hidden) for name in cell.below}
    for name, mask in cell.masks.items():
        size = (case.steps if mask.every_step else 1, case.batch, case.hidden)
        inputs[name] = torch.rand(size, generator=g) < mask.probability
    zeros = torch.zeros(case.batch, case.hidden, dtype=case.dtype)
    states = tuple(normal(case.batch, case.hidden) if case.given else zeros for _ in cell.states)
    if case.given:
        pairs = zip(cell.states, states, strict=True)
        states = tuple(proper(cell, n, s.detach()).requires_grad_(s.requires_grad) for n, s in pairs)
    weights = {}
    for w in cell.weights:
        if case.bias or not w.is_bias:
            columns = {"hidden": case.hidden, **widths}[w.columns] if w.columns else None
            size = (w.blocks * case.hidden, *([columns] if columns else []))
            weights[w.name] = normal(*size, scale=1 / sqrt(columns or 4))
            if w.pattern:
                weights[w.name].data *= seen(w.pattern, case.hidden).repeat(w.blocks, 1)
    for name, count in cell.constants.items():
        weights[name] = (torch.arange(case.hidden) * count // case.hidden).to(case.dtype)
    lengths = torch.randint(0, case.steps + 1, (case.batch,), generator=g) if case.lengths else None
    anew = torch.rand(case.steps, case.batch, generator=g) < 0.3 if case.resets else None
    if anew is not None and lengths is not None:
        anew &= torch.arange(case.steps).unsqueeze(1) < lengths
    return Call(cell, inputs, states, weights, lengths, anew, case.reverse, start=3)


def seen(pattern: Pattern, hidden: int) -> Tensor:
    """Where a unit, a row, sees another."""
    rows = torch.zeros(hidden, hidden, dtype=torch.bool)
    for unit in range(hidden):
        begin, end = pattern.sees(unit, unit, hidden)
        rows[unit, begin:end] = True
    return rows


def arrange(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the engine run as a case says: on so many threads, cut, by units."""
    torch.set_num_threads(case.threads)
    if case.cut:
        monkeypatch.setattr(sweeps, "CHUNK", 0)
        monkeypatch.setattr(sweeps, "FEWEST", 2 * case.batch)
    if case.units:
        monkeypatch.setattr(kernels, "FEW", 10**9)
        monkeypatch.setattr(kernels, "LARGE", -1)


def tensors(call: Call) -> dict[str, Tensor]:
    """The tensors of a call by name; states at the start are called "h at 0"."""
    states = {f"{name} at 0": state for name, state in zip(call.cell.states, call.states, strict=True)}
    return {**call.inputs, **states, **call.weights}


def exact(call: Call) -> Call:
    """The same call in float64."""

    def double(tensor: Tensor) -> Tensor:
        return tensor.detach().double().requires_grad_(tensor.requires_grad)

    inputs = {name: double(value) for name, value in call.inputs.items()}
    weights = {name: double(value) for name, value in call.weights.items()}
    return replace(call, inputs=inputs, states=tuple(map(double, call.states)), weights=weights)


def values(call: Call, engine: str, loss: str = "both") -> dict[str, Tensor]:
    """All that comes out of a call: outputs, final states, and the gradient of every tensor that wants one."""
    wanted = {name: tensor for name, tensor in tensors(call).items() if tensor.requires_grad}
    with torch.set_grad_enabled(bool(wanted)):
        result: Result = Plan(engine, "the test asks for it").run(call)
    found = {"y": result.output, **dict(zip(call.cell.states, result.states, strict=True))}
    if wanted:
        ends = {"y": ("y",), "states": call.cell.states, "both": ("y", *call.cell.states)}[loss]
        g = torch.Generator().manual_seed(1)
        above = [torch.randn(found[n].shape, generator=g, dtype=torch.float64).to(found[n]) for n in ends]
        pairs = [(found[n], a) for n, a in zip(ends, above, strict=True) if found[n].requires_grad]
        gradients = [None] * len(wanted)  # nothing that is wanted may have come into it
        if pairs:
            outputs, adjoints = zip(*pairs, strict=True)
            gradients = torch.autograd.grad(outputs, list(wanted.values()), adjoints, allow_unused=True)
        patterns = {w.name: seen(w.pattern, call.states[0].shape[1]) for w in call.cell.weights if w.pattern}
        for (name, tensor), d in zip(wanted.items(), gradients, strict=True):
            found[f"d {name}"] = torch.zeros_like(tensor) if d is None else d
            if name in patterns:  # what a matrix leaves out has no gradient that is wanted
                found[f"d {name}"] = found[f"d {name}"] * patterns[name].repeat(tensor.shape[0] // tensor.shape[1], 1)
    return {name: value.detach() for name, value in found.items()}


def same(found: dict[str, Tensor], wanted: dict[str, Tensor], engine: str, slack: float = 1.0) -> None:
    """What an engine found is what the reference found in float64; `atol` counts for numbers of the size of 1.

    `slack` times the tolerance is for cells that make much of a rounding.
    """
    assert found.keys() == wanted.keys()
    for name in wanted:
        allowed = TOLERANCES[engine, found[name].dtype]
        scale = max(1.0, wanted[name].abs().max().item()) if wanted[name].numel() else 1.0
        torch.testing.assert_close(
            found[name].double(),
            wanted[name],
            rtol=slack * allowed["rtol"],
            atol=slack * allowed["atol"] * scale,
            msg=lambda text, name=name: f"{name}: {text}",
        )
