"""Layers on every engine are layers on the reference: stacked, in both directions, with what they learn and trace."""

from typing import Any

import pytest
import torch
from torch import Tensor

import celda
from celda.cells import CELLS
from tests.calls import proper
from tests.contract.cases import ENGINES, same
from tests.contract.covering import covering
from tests.contract.options import OPTED

FACTORS = {
    "cell": list(CELLS),
    "layers": (1, 2, 3),
    "bidirectional": (False, True),
    "batch_first": (False, True),
    "lengths": (False, True),
    "resets": (False, True),
    "given": (False, True),
    "bias": (False, True),
    "threads": (1, 2, 3),
}
STEPS, BATCH, HIDDEN = 6, 7, 7


def _layer(name: str, engine: str, **options: Any) -> celda.Recurrent:
    cell = (CELLS | OPTED)[name]
    sizes = {name: 5 + k for k, name in enumerate(cell.inputs)}
    return celda.Recurrent(cell, sizes, HIDDEN, engine=engine, dtype=torch.float64, **options)


def _normal(*size: int) -> Tensor:
    return torch.randn(size, dtype=torch.float64)


def _values(layer: celda.Recurrent, x: Tensor, state: list[Tensor], **options: Tensor) -> dict[str, Tensor]:
    """Outputs, final states, and the gradients of a sum of all with random weights."""
    wanted = {"x": x.clone().requires_grad_(), **dict(layer.named_parameters())}
    wanted |= {f"state {k}": s.clone().requires_grad_() for k, s in enumerate(state)}
    y, final = layer(wanted["x"], [wanted[f"state {k}"] for k in range(len(state))] or None, **options)
    found = {"y": y, "final": torch.cat([s.flatten() for s in (final if isinstance(final, tuple) else [final])])}
    g = torch.Generator().manual_seed(3)
    loss = sum((v * torch.randn(v.shape, generator=g, dtype=torch.float64)).sum() for v in found.values())
    gradients = torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)
    found |= {f"d {name}": d for name, d in zip(wanted, gradients, strict=True)}
    return {name: value.detach() for name, value in found.items()}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chosen", covering(FACTORS, seed=0), ids=lambda c: "-".join(map(str, c.values())))
def test_a_layer_is_the_reference(engine, chosen):
    torch.manual_seed(4)
    torch.set_num_threads(chosen["threads"])
    options = {"num_layers": chosen["layers"]} | {k: chosen[k] for k in ("bidirectional", "batch_first", "bias")}
    options["bidirectional"] &= not CELLS[chosen["cell"]].below  # where the layer below is one
    layer = _layer(chosen["cell"], engine, **options)
    reference = _layer(chosen["cell"], "reference", **options)
    reference.load_state_dict(layer.state_dict())
    directions = 1 + options["bidirectional"]
    size = (chosen["layers"] * directions, BATCH, HIDDEN)
    state = [proper(layer.cell, name, _normal(*size)) for name in layer.cell.states] if chosen["given"] else []
    lengths = torch.tensor([STEPS - 1, 0, 2, 3, 1, 5, 2])
    given = {"lengths": lengths} if chosen["lengths"] else {}
    x, resets = _normal(STEPS, BATCH, 5), torch.rand(STEPS, BATCH) < 0.3
    if chosen["resets"]:
        given["resets"] = resets.T if chosen["batch_first"] else resets
    given |= {name: _normal(BATCH, 5 + k) for k, name in enumerate(layer.cell.inputs) if k}
    x = x.transpose(0, 1) if chosen["batch_first"] else x
    same(_values(layer, x, state, **given), _values(reference, x, state, **given), engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CELLS)
def test_a_trace_is_the_reference(engine, name):
    torch.manual_seed(4)
    options = {"num_layers": 2, "bidirectional": not CELLS[name].below}
    layer, reference = (_layer(name, e, **options) for e in (engine, "reference"))
    reference.load_state_dict(layer.state_dict())
    x, lengths = _normal(STEPS, BATCH, 5), torch.tensor([2, STEPS, 0, 4, 1, 2, 3])
    further = {n: _normal(BATCH, 5 + k) for k, n in enumerate(layer.cell.inputs) if k}
    traces = []
    for each in (layer, reference):
        with torch.no_grad(), celda.trace(each) as t:
            each(x, lengths=lengths, **further)
        traces.append({key: t[key] for key in each.cell.named})
    same(*traces, engine)


DRAWING = [name for name, cell in OPTED.items() if cell.masks]


@pytest.mark.parametrize("name", DRAWING)
def test_in_evaluation_a_cell_reads_what_it_has_learnt(name):
    cell = OPTED[name].evaluation
    vectors = {node for node in cell.nodes if node.op in ("parameter", "diagonal") and node.name not in cell.constants}
    assert vectors == set(cell.vectors)
    assert {weight.name for weight in cell.weights} == {weight.name for weight in OPTED[name].weights}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in DRAWING if name.startswith(("lstm, ", "indrnn, ", "gru_2014, "))])
def test_evaluation_is_the_reference(engine, name):
    torch.manual_seed(4)
    layer, reference = (_layer(name, e).eval() for e in (engine, "reference"))
    reference.load_state_dict(layer.state_dict())
    x = _normal(STEPS, BATCH, 5)
    same(_values(layer, x, []), _values(reference, x, []), engine)
    stepped = layer.stepper(BATCH)
    same({"y": torch.stack([stepped(step) for step in x])}, {"y": reference(x)[0].detach()}, engine)
