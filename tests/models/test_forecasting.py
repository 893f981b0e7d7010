import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celda.language import cell, gate, linear, tanh
from celda.models import ForecastNetwork

L, H = 14, 5


def batch(size=3, past=0, known=0, static=0, h=H, seed=0):
    """A batch as `celda.data.Windows` gives it, with some values missing."""
    draw = torch.Generator().manual_seed(seed)
    y, seen = torch.randn(size, L, generator=draw) + 5, torch.rand(size, L, generator=draw) < 0.8
    seen[:, -1] = True
    level = (y * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True)
    return {
        "past_y": torch.where(seen, y, level),
        "past_mask": seen,
        "level": level,
        "past_covariates": torch.randn(size, L, past, generator=draw),
        "future_covariates": torch.randn(size, L + h, known, generator=draw),
        "static_covariates": torch.randn(size, static, generator=draw),
    }


def network(name="lstm", h=H, seed=0, **options):
    torch.manual_seed(seed)
    return ForecastNetwork(name, L, h, hidden_size=6, **options).eval()


@settings(max_examples=20)
@given(
    name=st.sampled_from(["lstm", "gru", "rnn", "peephole_lstm"]),
    layers=st.integers(1, 2),
    patch=st.integers(1, L),
    season=st.integers(1, L),
    h=st.integers(1, 20),
    widths=st.tuples(*[st.integers(0, 2)] * 3),
    quantiles=st.sampled_from([(0.5,), (0.1, 0.5, 0.9), (0.025, 0.1, 0.5, 0.9, 0.975)]),
    centre=st.booleans(),
)
def test_any_sizes_give_quantiles_in_order_and_gradients_everywhere(
    name, layers, patch, season, h, widths, quantiles, centre
):
    past, known, static = widths
    sizes = {"past_size": past, "future_size": known, "static_size": static, "num_layers": layers, "dropout": 0.1}
    net = network(name, h, season=season, patch=patch, quantiles=quantiles, centre=centre, **sizes)
    given = batch(past=past, known=known, static=static, h=h)
    out = net(given)
    assert out.shape == (3, h, len(quantiles))
    assert (out.diff(dim=-1) >= 0).all()
    out.square().sum().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


def test_it_starts_as_the_seasonal_naive_forecast():
    net, given = network(h=9, season=7), batch(h=9)
    torch.nn.init.zeros_(net.output.weight)
    torch.nn.init.zeros_(net.output.bias)
    seen = {**given, "past_mask": torch.ones_like(given["past_mask"])}
    wanted = given["past_y"][:, [7, 8, 9, 10, 11, 12, 13, 7, 8]]
    torch.testing.assert_close(net(seen)[..., 0], wanted)
    gap = {**seen, "past_mask": seen["past_mask"].index_fill(1, torch.tensor([3, 8, 10]), False)}
    before = given["past_y"][:, [7, 1, 9, 13, 11, 12, 13, 7, 1]]  # of one season before, or the last
    torch.testing.assert_close(net(gap)[..., 0], before)


def test_centred_windows_make_it_blind_to_the_level():
    net, given = network(season=7, quantiles=(0.1, 0.5, 0.9)), batch()
    higher = {**given, "past_y": given["past_y"] + 100, "level": given["level"] + 100}
    torch.testing.assert_close(net(higher) - 100, net(given), rtol=0, atol=1e-4)
    uncentred = network(season=7, centre=False)
    assert (uncentred(higher) - 100 - uncentred(given)).abs().max() > 1e-2


def test_it_sees_the_mask():
    net, given = network(), batch()
    blind = {**given, "past_mask": torch.ones_like(given["past_mask"])}
    assert not torch.equal(net(blind), net(given))


@pytest.mark.parametrize(
    ("name", "widths"),
    [("past_covariates", {"past": 2}), ("future_covariates", {"known": 2}), ("static_covariates", {"static": 2})],
)
def test_it_sees_the_covariates(name, widths):
    sizes = {"past_size": widths.get("past", 0), "future_size": widths.get("known", 0)}
    net, given = network(**sizes, static_size=widths.get("static", 0)), batch(**widths)
    other = {**given, name: given[name] + 1}
    assert not torch.equal(net(other), net(given))


def test_a_step_of_the_horizon_does_not_see_the_covariates_of_a_later_one():
    net, given = network(future_size=1), batch(known=1)
    later = given["future_covariates"].clone()
    later[:, L + 3 :] += 1
    before, after = net(given)[:, :, 0], net({**given, "future_covariates": later})[:, :, 0]
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_a_cell_of_the_users_own():
    @cell
    def leaky(x, h):
        """A leaky integrator."""
        n = gate("n", tanh, linear(x, h))
        return 0.5 * h + 0.5 * n

    assert network(leaky)(batch()).shape == (3, H, 1)
