"""The norm of the gradient by lag: against Jacobians, and against what can be worked out by hand."""

import pytest
import torch

import celda
from celda.errors import CeldaError
from celda.insight import gradient_by_lag, kept, reach, record
from celda.insight.gradients import gradient_of, untrained


def jacobians(layer, x, resets=None, **options):
    """The Frobenius norms of d h_T / d x_{T-k}, by torch, root mean square over the sequences: (T,)."""
    rows = []
    for b in range(x.shape[1]):
        if resets is not None:
            options["resets"] = resets[:, b]
        j = torch.autograd.functional.jacobian(lambda one: layer(one, **options)[0][-1], x[:, b])
        rows.append(j.square().sum((0, 2)).flip(0))
    return torch.stack(rows).mean(0).sqrt()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "indrnn"])
def test_it_is_the_norm_of_the_jacobian(cell):
    torch.manual_seed(0)
    layer = celda.Recurrent(cell, 3, 5, num_layers=2, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    found = gradient_by_lag(layer, x, probes=None)
    torch.testing.assert_close(found.inputs, jacobians(layer, x))
    many = gradient_by_lag(layer, x, probes=3000)
    torch.testing.assert_close(many.inputs, found.inputs, rtol=0.1, atol=1e-6)
    assert found.states["h"][0] == pytest.approx(5**0.5)  # d h_T / d h_T


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_nothing_comes_through_a_reset(engine):
    torch.manual_seed(0)
    layer = celda.Recurrent("lstm", 3, 5, num_layers=2, dtype=torch.float64, engine=engine)
    x, resets = torch.randn(7, 2, 3, dtype=torch.float64), torch.zeros(7, 2, dtype=torch.bool)
    resets[4, 0] = resets[5, 1] = True
    (one,) = record(layer, lambda: layer(x, resets=resets))
    found = gradient_of(one, probes=None).inputs
    torch.testing.assert_close(found, jacobians(layer, x, resets))
    assert found[:3].all()
    assert not found[3:].any()
    (left,) = (way.left for way in kept(one) if way.place == 0)
    assert left[:3].all()
    assert not left[4:].any()
    layer.batch_first = True
    (turned,) = record(layer, lambda: layer(x.transpose(0, 1), resets=resets.T))
    torch.testing.assert_close(gradient_of(turned, probes=None).inputs, found)


def test_a_later_part_of_a_sequence_counts_on_from_its_place():
    torch.manual_seed(0)
    layer = celda.Recurrent("clockwork_rnn", 3, 8, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    (one,) = record(layer, lambda: layer(x, start=3))
    found = gradient_of(one, probes=None).inputs
    torch.testing.assert_close(found, jacobians(layer, x, start=3))
    assert not found.allclose(gradient_by_lag(layer, x, probes=None).inputs)


def test_of_a_projected_output():
    torch.manual_seed(0)
    layer = celda.LSTM(3, 5, num_layers=2, proj_size=2, dtype=torch.float64)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    (one,) = record(layer, lambda: layer(x))
    torch.testing.assert_close(gradient_of(one, probes=None).inputs, jacobians(layer, x))


def test_the_carousel_hands_the_gradient_on_as_the_forget_gate_stands():
    """With all weights 0, dc_T / dc_{T-k} = s(b_f)^k: so is what reaches the state from k steps before."""
    layer = celda.Recurrent("lstm", 2, 4, dtype=torch.float64)
    with torch.no_grad():
        for array in layer.parameters():
            array.zero_()
        layer.bias_ih_l0[4:8] = 1.0  # the forget gate's
    x = torch.randn(9, 3, 2, dtype=torch.float64)
    c = gradient_by_lag(layer, x, probes=None).states["c"]
    forget = torch.sigmoid(torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(c[2:] / c[1:-1], forget.expand(7))


@pytest.mark.parametrize(("bias", "at_10", "at_50", "at_99"), [(0.0, 1e-3, 1e-11, 2e-21), (1.0, 2e-2, 3e-5, 1e-8)])
def test_the_untrained_lstm_of_100_units_forgets_as_was_measured(bias, at_10, at_50, at_99):
    torch.manual_seed(0)
    layer = celda.Recurrent("lstm", 10, 100, dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0[100:200] = bias
        layer.bias_hh_l0[100:200] = 0.0
    h = gradient_by_lag(layer, torch.randn(100, 4, 10, dtype=torch.float64), probes=2).states["h"]
    for lag, wanted in {10: at_10, 50: at_50, 99: at_99}.items():
        assert wanted / 4 < float(h[lag] / h[0]) < wanted * 4


def test_sequences_of_unequal_length_count_from_their_own_end():
    torch.manual_seed(0)
    layer = celda.Recurrent("gru", 3, 5, batch_first=True, dtype=torch.float64)
    x = torch.randn(1, 6, 3, dtype=torch.float64)
    alone = gradient_by_lag(layer, x[:, :4], probes=None)
    padded = gradient_by_lag(layer, x, probes=None, lengths=torch.tensor([4]))
    torch.testing.assert_close(padded.inputs[:4], alone.inputs)
    assert padded.inputs[4:].isnan().all()
    assert padded.reach() == alone.reach() <= 3


def test_nothing_about_the_layer_changes_and_it_may_be_in_training():
    layer = celda.Recurrent("lstm", 3, 5, zoneout=0.5).train()
    x = torch.randn(6, 2, 3)
    one, again = gradient_by_lag(layer, x), gradient_by_lag(layer, x)
    torch.testing.assert_close(one.inputs, again.inputs, rtol=0, atol=0)
    assert layer.training
    assert all(array.grad is None for array in layer.parameters())


def test_of_a_recording_and_of_fresh_weights():
    torch.manual_seed(0)
    layer = celda.LSTM(3, 5, batch_first=True)
    x, state = torch.randn(2, 6, 3), (torch.randn(1, 2, 5), torch.randn(1, 2, 5))
    (one,) = record(layer, lambda: layer(x, state))
    torch.testing.assert_close(gradient_of(one).inputs, gradient_by_lag(layer, x, state).inputs)
    before = layer.weight_hh_l0.clone()
    assert not untrained(one, seed=1).inputs.allclose(gradient_of(one).inputs)
    assert layer.weight_hh_l0.equal(before)


def test_of_a_cell_that_counts_its_steps_and_one_with_further_inputs():
    clockwork = celda.Recurrent("clockwork_rnn", 3, 8)
    x = torch.randn(6, 2, 3)
    assert gradient_by_lag(clockwork, x).inputs.isfinite().all()
    image = celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 4)
    assert gradient_by_lag(image, x, image=torch.randn(2, 2)).inputs.isfinite().all()


def test_reach_is_the_largest_lag_that_counts():
    norms = torch.tensor([0.5, 1.0, 0.3, 0.1, 0.05])
    assert (reach(norms), reach(norms, 0.5), reach(norms, 0.01)) == (3, 1, 4)


def test_where_nothing_arrives_nothing_is_remembered():
    assert reach(torch.zeros(10)) == 0
    assert reach(torch.tensor([0.5, 1.0, torch.nan])) == 1  # no sequence is longer
    for wrong in ([torch.nan] * 3, [1.0, torch.nan, 0.5], [1.0, torch.inf]):
        with pytest.raises(CeldaError, match="NaN or infinity"):
            reach(torch.tensor(wrong))
    for shape in ((0,), (2, 2)):
        with pytest.raises(CeldaError, match="hold no lag"):
            reach(torch.zeros(shape))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"probes": 0}, "probes=0"),
        ({"probes": -1}, "probes=-1"),
        ({"lengths": torch.tensor([6, 6, 6])}, "lengths"),
        ({"resets": torch.zeros(6, 3, dtype=torch.bool)}, "resets"),
        ({"start": -1}, "start=-1"),
        ({"state": torch.zeros(1, 2, 5)}, "state"),
        ({"x": torch.zeros(6, 0, 3)}, "no sequence"),
        ({"layer": torch.nn.LSTM(3, 5)}, "no recurrent layer of Celda's"),
    ],
)
def test_what_does_not_fit_the_layer_is_told(given, told):
    with pytest.raises(CeldaError, match=told):
        gradient_by_lag(**{"layer": celda.LSTM(3, 5), "x": torch.zeros(6, 2, 3), **given})


def test_what_has_no_lag_is_told():
    with pytest.raises(CeldaError, match="lag=6"):
        gradient_by_lag(celda.LSTM(3, 5), torch.randn(6, 2, 3)).factor(6)
    both = celda.Recurrent("lstm", 3, 5, bidirectional=True)
    with pytest.raises(CeldaError, match="both directions"):
        gradient_by_lag(both, torch.randn(6, 2, 3))
    with pytest.raises(CeldaError, match=r"\(steps, batch, 3\)"):
        gradient_by_lag(celda.LSTM(3, 5), torch.randn(6, 3))
    with pytest.raises(CeldaError, match="share=2"):
        reach(torch.ones(3), 2)
