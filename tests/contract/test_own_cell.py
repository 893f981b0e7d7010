"""A user's own cell, which is in no paper, through the public face alone: all that a shipped cell can do."""

import pytest
import torch

import celda
from celda.language import cell, diagonal, gate, linear, sigmoid, tanh, time, where
from tests.contract.cases import ENGINES, same

T, B, I, H = 7, 5, 3, 8  # noqa: E741
LENGTHS = torch.tensor([T, 3, 0, 6, 1])


@cell
def tidal(x, h, level, wreck):
    """Two stages, three states, a comparison and the time: what is thrown ashore at every third step."""
    moon = gate("moon", sigmoid, linear(x, h) + diagonal(level))
    wave = gate("wave", tanh, linear(x, moon * level))  # a product that waits for the one before
    level = where(wave > level, level + moon * (wave - level), 0.9 * level)
    wreck = where(time() % 3 == 2, 0.5 * wreck + wave, wreck)
    return moon * tanh(level) + (1 - moon) * tanh(wreck), level, wreck


CHOICES = {
    "plain": {},
    "stacked, both ways": {"num_layers": 2, "bidirectional": True, "dropout": 0.2},
    "options": {"layer_norm": True, "zoneout": 0.2, "recurrent_dropout": 0.3, "heads": 2},
    "projected": {"num_layers": 2, "proj_size": 3, "connections": "residual", "zoneout": 0.2},
}


def layer_on(engine: str, **options: object) -> celda.Recurrent:
    torch.manual_seed(0)
    return celda.Recurrent(tidal, I, H, engine=engine, dtype=torch.float64, **options)  # type: ignore[arg-type]


def values(layer: celda.Recurrent) -> dict[str, torch.Tensor]:
    """Outputs, states, traces and gradients of a call with lengths, resets and initial states, from one seed."""
    torch.manual_seed(1)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    resets = (torch.rand(T, B) < 0.2) & (torch.arange(T).unsqueeze(1) < LENGTHS)
    _, state = layer(x)
    state = [torch.randn_like(s).requires_grad_() for s in state]
    with celda.trace(layer) as t:
        y, final = layer(x, state, lengths=LENGTHS, resets=resets, start=4)
    found = {"y": y, **dict(zip(tidal.states, final, strict=True))}
    wanted = {"x": x, **dict(zip(("h0", "level0", "wreck0"), state, strict=True)), **dict(layer.named_parameters())}
    loss = sum((v * torch.randn_like(v)).sum() for v in found.values())
    gradients = torch.autograd.grad(loss, [*wanted.values()])
    found |= {f"d {name}": d for name, d in zip(wanted, gradients, strict=True)}
    return {name: v.detach() for name, v in found.items()} | {f"trace {name}": t[name] for name in t}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("choice", CHOICES)
def test_it_is_the_reference(choice, engine):
    layer = layer_on(engine, **CHOICES[choice])
    assert layer.plan().engine == engine
    same(values(layer), values(layer_on("reference", **CHOICES[choice])), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_its_gradients_are_those_of_finite_differences(engine):
    layer, x = layer_on(engine), torch.randn(4, 2, I, dtype=torch.float64, requires_grad=True)
    leaves = (x, *layer.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], leaves, fast_mode=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_stepped_cut_saved_and_drawn(engine, tmp_path):
    layer, x = layer_on(engine).eval(), torch.randn(T, B, I, dtype=torch.float64)
    y, final = layer(x)
    stepper, other = layer.stepper(B), layer.stepper(B)
    steps = [stepper(x_t) for x_t in x[:4]]
    stepper.save(tmp_path / "state")
    other.restore(tmp_path / "state")
    steps += [other(x_t) for x_t in x[4:]]
    first, state = layer(x[:4])
    second, last = layer(x[4:], state, start=4)
    for found, ends in ((torch.stack(steps), other.state), (torch.cat([first, second]), [s[:] for s in last])):
        torch.testing.assert_close((found, *ends), (y, *final), rtol=1e-12, atol=1e-12)
    assert "level_t = (level_{t-1} + moon_t" in tidal.equations()
    assert tidal.latex().startswith(r"\begin{aligned}")
    assert tidal.diagram().startswith("<svg")
    assert celda.Recurrent(tidal, I, H, init="torch").state_dict().keys() == layer.state_dict().keys()
