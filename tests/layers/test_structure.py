"""Layers whose matrices leave something out, and normalised ones, against what is written by hand."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import celda
from celda.cells import CELLS
from celda.errors import CeldaError
from celda.language import heads, layer_norm
from celda.layers import structure
from tests.contract.cases import ENGINES

F64 = torch.float64
EVERY = ("reference", *ENGINES)


@pytest.mark.parametrize("engine", EVERY)
def test_heads_are_an_lstm_whose_matrix_is_block_diagonal(engine):
    torch.manual_seed(0)
    layer = celda.LSTM(5, 12, heads=3, engine=engine, dtype=F64)
    assert layer.weight_hh_l0.shape == (48, 4)
    plain = nn.LSTM(5, 12, dtype=F64)
    gates = [torch.block_diag(*gate.split(4)) for gate in layer.weight_hh_l0.detach().split(12)]
    plain.load_state_dict(layer.state_dict() | {"weight_hh_l0": torch.cat(gates)})
    x = torch.randn(7, 3, 5, dtype=F64)
    (y, _), (wanted, _) = layer(x), plain(x)
    torch.testing.assert_close(y, wanted)
    y.square().sum().backward()
    wanted.square().sum().backward()
    parts = [torch.cat([g[k : k + 4, k : k + 4] for k in (0, 4, 8)]) for g in plain.weight_hh_l0.grad.split(12)]
    torch.testing.assert_close(layer.weight_hh_l0.grad, torch.cat(parts))


@pytest.mark.parametrize("engine", EVERY)
def test_a_clockwork_unit_waits_for_its_step_and_sees_no_faster_one(engine):
    torch.manual_seed(0)
    layer = celda.Recurrent("clockwork_rnn", 3, 8, engine=engine, dtype=F64)
    x = torch.randn(9, 2, 3, dtype=F64)
    y, _ = layer(x)
    for t in range(1, 9):
        for group, period in enumerate((1, 2, 4, 8)):
            same = torch.equal(y[t, :, 2 * group : 2 * group + 2], y[t - 1, :, 2 * group : 2 * group + 2])
            assert same == bool(t % period)
    y.square().sum().backward()
    faster = [(row, column) for row in range(8) for column in range(8) if column // 2 < row // 2]
    assert all(layer.weight_hh_l0.grad[place] == 0 for place in faster)
    assert layer.weight_hh_l0.grad.count_nonzero() == 64 - len(faster)


def test_what_inference_made_first_serves_in_training():
    structure._kept.cache_clear()
    layer, x = celda.Recurrent("clockwork_rnn", 3, 8), torch.randn(9, 2, 3)
    with torch.inference_mode():
        layer(x)
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0.grad.isfinite().all()
    layer.double()(x.double())[0].sum().backward()  # of another dtype it is another one


@pytest.mark.parametrize("engine", EVERY)
@pytest.mark.parametrize("bias", [True, False])
def test_a_normalised_lstm_is_the_paper_s_step(engine, bias):
    torch.manual_seed(0)
    layer = celda.LSTM(5, 12, layer_norm=True, bias=bias, engine=engine, dtype=F64)
    w = {name.removesuffix("_l0"): p for name, p in layer.named_parameters()}
    with torch.no_grad():
        for name in w:
            if name.startswith("norm"):
                w[name].normal_()
    x = torch.randn(6, 3, 5, dtype=F64)
    h = c = torch.zeros(3, 12, dtype=F64)
    normal = lambda a, name: F.layer_norm(a, (12,), w[f"norm_weight_{name}"], w.get(f"norm_bias_{name}"))  # noqa: E731
    wanted = []
    for t in range(6):
        maps = (x[t] @ w["weight_ih"].T + h @ w["weight_hh"].T).chunk(4, -1)
        i, f, g, o = (normal(a, name) for a, name in zip(maps, "ifgo", strict=True))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(normal(c, "c"))
        wanted.append(h)
    y, _ = layer(x)
    torch.testing.assert_close(y, torch.stack(wanted))
    weights = list(layer.parameters())
    for found, by_hand in zip(
        torch.autograd.grad(y.square().sum(), weights),
        torch.autograd.grad(torch.stack(wanted).square().sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(found, by_hand)


MISTAKES = {
    "no cell to normalise": (lambda: layer_norm("lstm"), "layer_norm takes a cell and this is 'lstm'"),
    "no cell for heads": (lambda: heads("lstm", 2), "heads takes a cell and this is 'lstm'"),
    "a bias that is none": (lambda: layer_norm(CELLS["lstm"], bias=2), r"bias=2\): write True or False"),
    "no heads": (lambda: heads(CELLS["lstm"], 0), "heads=0 cannot be"),
    "heads of heads": (lambda: heads(heads(CELLS["lstm"], 2), 2), "are cut into groups already"),
    "nothing to cut": (lambda: heads(CELLS["indrnn"], 2), "multiply no state"),
    "two layers below": (
        lambda: celda.Recurrent("depth_gated_lstm", 3, 4, bidirectional=True),
        "there are two of them: leave bidirectional out",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, told = MISTAKES[mistake]
    with pytest.raises(CeldaError, match=told):
        act()
