import numpy as np
import pandas as pd
import pytest

from celda.tasks import figures
from celda.training import Epoch, History
from tests.tasks.conftest import daily, tiny

PNG = b"\x89PNG\r\n\x1a\n"


def labels(axis):
    return {line.get_label() for line in axis.lines} | {band.get_label() for band in axis.collections}


def test_the_forecast_shows_history_forecast_and_bands(fitted, frame, tmp_path):
    history = frame.assign(unique_id="y")
    figure = figures.forecast_figure(history, fitted.predict(), "lstm", (80, 95), window=30)
    (axis,) = figure.axes
    assert {"history", "lstm", "80 % interval", "95 % interval"} <= labels(axis)
    past, ahead = axis.lines[:2]
    assert len(past.get_ydata()) == 30
    assert ahead.get_ydata()[0] == frame["y"].iloc[-1]  # it grows out of the last value
    assert ahead.get_ydata()[1:].tolist() == fitted.predict()["lstm"].tolist()
    figures.save_figure(figure, tmp_path / "new" / "forecast.png")
    assert (tmp_path / "new" / "forecast.png").read_bytes()[:8] == PNG


def test_the_test_shows_every_model_and_the_error_by_step(fitted, tmp_path):
    test = fitted.evaluate(daily(192), step_size=3)  # horizons overlap
    figure = figures.test_figure(test)
    series, errors = figure.axes
    assert {"actual", "lstm", "ridge", "seasonal naive", "80 % interval"} <= labels(series)
    days = next(line for line in series.lines if line.get_label() == "actual").get_xdata()
    assert len(days) == len(set(days))
    assert [line.get_label().split(":")[0] for line in errors.lines] == ["lstm", "ridge", "seasonal naive"]


def test_of_many_series_the_first_few_are_drawn(tmp_path):
    table = pd.concat([daily(90, seed=s, name=f"series {s}") for s in range(6)], ignore_index=True)
    forecaster = tiny(epochs=1).fit(table)
    figure = figures.forecast_figure(table, forecaster.predict(), "lstm", (80, 95), window=14)
    assert [axis.get_title("left") for axis in figure.axes] == [f"series {s}" for s in range(4)]


def test_integers_as_time_and_no_intervals(tmp_path):
    table = daily().assign(ds=np.arange(150))
    forecaster = tiny(epochs=1, level=()).fit(table)
    for figure in (
        figures.forecast_figure(table.assign(unique_id="y"), forecaster.predict(), "lstm", (), window=14),
        figures.test_figure(forecaster.evaluate(daily(164).assign(ds=np.arange(164)))),
    ):
        figures.save_figure(figure, tmp_path / "figure.png")


@pytest.mark.parametrize("valid", [True, False])
def test_the_loss_by_epoch(valid, tmp_path):
    epochs = [Epoch(e, e, 1 / e, 2 / e if valid else None, 0.1, 1.0, 1.0) for e in (1, 2, 3)]
    best = {"best_epoch": 3, "best_loss": 2 / 3} if valid else {}
    figure = figures.loss_figure({"choose": History(epochs, **best), "fit": History(epochs)}, chosen=2)
    figures.save_figure(figure, tmp_path / "loss.png")
    lines = [line.get_label() for line in figure.axes[0].lines]
    assert lines == [
        "choose: training",
        *(["choose: validation", "chosen: 2 epochs"] if valid else []),
        "fit: training",
    ]


def test_matplotlib_is_left_as_it_was():
    import matplotlib
    import matplotlib.pyplot as plt

    backend, open_figures = matplotlib.get_backend(), plt.get_fignums()
    figures.loss_figure({"fit": History([Epoch(1, 1, 1.0, None, 0.1, 1.0, 1.0)])}, chosen=1)
    assert (matplotlib.get_backend(), plt.get_fignums()) == (backend, open_figures)
