import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from celda.errors import CeldaError
from celda.tasks import metrics
from celda.tasks.losses import LOSSES, forecast_loss


class Given(torch.nn.Module):
    """Forecasts what it was made with."""

    def __init__(self, forecast):
        super().__init__()
        self.forecast = torch.nn.Parameter(torch.tensor(forecast))

    def forward(self, batch):
        return self.forecast


BATCH = {
    "future_y": torch.tensor([[1.0, 2.0], [3.0, 99.0]]),
    "future_mask": torch.tensor([[True, True], [True, False]]),
}


@pytest.mark.parametrize(("name", "value"), [("mae", (1 + 0 + 2) / 3), ("mse", (1 + 0 + 4) / 3), ("quantile", 1.0)])
def test_missing_targets_do_not_count(name, value):
    model = Given([[[2.0], [2.0]], [[1.0], [-1.0]]])
    loss = forecast_loss(name, (0.5,))(model, BATCH)
    assert loss.item() == pytest.approx(value)
    loss.backward()
    assert model.forecast.grad[1, 1] == 0


def test_the_quantile_loss_is_the_mean_over_quantiles():
    model = Given([[[0.0, 2.0]] * 2] * 2)  # quantiles 0.1 and 0.9 of each value
    wanted = 2 * (0.1 * (1 + 2 + 3) + 0.1 * 1 + 0.9 * (0 + 1)) / 6
    assert forecast_loss("quantile", (0.1, 0.9))(model, BATCH).item() == pytest.approx(wanted)


@given(arrays(float, (5, 3), elements=st.floats(-100, 100)), arrays(float, (5, 3, 3), elements=st.floats(-100, 100)))
def test_the_losses_agree_with_the_measures(y, quantiles):
    batch = {"future_y": torch.from_numpy(y), "future_mask": torch.ones(5, 3, dtype=torch.bool)}
    levels = (0.1, 0.5, 0.9)
    loss = forecast_loss("quantile", levels)(Given(quantiles.tolist()), batch).item()
    assert loss == pytest.approx(metrics.pinball(y, quantiles, levels), rel=1e-5, abs=1e-5)
    loss = forecast_loss("mae", (0.5,))(Given(quantiles[..., :1].tolist()), batch).item()
    assert loss == pytest.approx(metrics.mae(y, quantiles[..., 0]), rel=1e-5, abs=1e-5)


def test_there_are_three_losses():
    assert sorted(LOSSES) == ["mae", "mse", "quantile"]
    with pytest.raises(CeldaError, match="There is no loss 'huber': write one of 'quantile', 'mae', 'mse'"):
        forecast_loss("huber", (0.5,))
