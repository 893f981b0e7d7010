import numpy as np
import pandas as pd
import pytest

from celda.drawing import finish, panels, powers
from celda.tasks import figures
from celda.tasks.backtest import Backtest
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


def test_the_test_shows_what_came_and_the_baselines_close_up(fitted):
    test = fitted.evaluate(daily(192), step_size=3)  # horizons overlap
    series, close, errors = figures.test_figure(test).axes
    assert labels(series) == {"actual", "lstm", "80 % interval", "95 % interval"}
    assert labels(close) == {*labels(series), "ridge", "seasonal naive"}
    days = next(line for line in series.lines if line.get_label() == "actual").get_xdata()
    assert len(days) == len(set(days))
    assert [line.get_label().split(":")[0] for line in errors.lines] == ["lstm", "ridge", "seasonal naive"]


def backtest(actual, forecast, stamps, ids="a"):
    """Forecasts (N, h) of which nothing but the error matters; the baselines' are right."""
    quantiles = forecast[..., None] + np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    points = {"lstm": forecast, "ridge": actual, "seasonal_naive": actual}
    ids, ones = np.array(list(ids) * (len(actual) // len(ids))), np.ones(len(actual))
    return Backtest(points, quantiles, (80, 95), actual, ones, ones, ids, stamps[:, 0] - 1, stamps)


def test_the_worst_forecast_is_the_one_drawn_close_up():
    stamps = np.arange(60).reshape(3, 20)
    actual = np.zeros((3, 20))
    actual[0, 4] = np.nan
    close = figures.test_figure(backtest(actual, np.array([[1.0], [5.0], [2.0]]) + 0 * stamps, stamps)).axes[1]
    assert close.lines[0].get_xdata().tolist() == stamps[1].tolist()
    assert "lstm 5, ridge 0, seasonal naive 0" in close.get_title("left")


@pytest.mark.parametrize(("origins", "steps"), [(1, 1), (1, 3), (40, 1)])
def test_few_steps_are_seen(origins, steps, tmp_path):
    stamps = (np.datetime64("2024-01-01", "ns") + np.arange(origins * steps) * np.timedelta64(1, "D")).reshape(
        -1, steps
    )
    figure = figures.test_figure(backtest(np.zeros(stamps.shape), np.ones(stamps.shape), stamps))
    figures.save_figure(figure, tmp_path / "test.png")
    _, close, errors = figure.axes
    assert [line.get_marker() for line in (*close.lines, *errors.lines)] == ["o"] * 7
    assert errors.get_xlim() == (0.5, steps + 0.5)
    assert {float(tick) for tick in errors.get_xticks()} >= set(range(1, steps + 1))
    if origins > 1:
        assert len(close.lines[0].get_xdata()) == 14  # one step says little: those around it are drawn, too


@pytest.mark.parametrize(
    ("freq", "count", "first", "said"),
    [
        ("30min", 672, "Mon\n14 Aug", "2000"),
        ("h", 24, "Mon\n14 Aug", "Mon 14 Aug 2000"),
        ("D", 10, "Mon\n14 Aug", "2000"),
        ("D", 60, "Mon\n14 Aug", "2000"),
        ("MS", 40, "Jan\n2001", "2000 to 2003"),
        ("YS", 40, "2004", "2001 to 2040"),
    ],
)
def test_the_axis_of_time_says_the_day_and_the_month(freq, count, first, said, tmp_path):
    table = pd.DataFrame({"ds": pd.date_range("2000-08-14", periods=count, freq=freq), "y": 1.0, "unique_id": "a"})
    forecast = table.tail(2).rename(columns={"y": "lstm"})[["unique_id", "ds", "lstm"]]
    figure = figures.forecast_figure(table.iloc[:-2], forecast, "lstm", (), window=1000)
    figures.save_figure(figure, tmp_path / "forecast.png")
    (axis,) = figure.axes
    assert first in [label.get_text() for label in axis.get_xticklabels()]
    assert axis.get_xlabel() == said


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


def test_the_loss_of_a_single_epoch_is_seen(tmp_path):
    once = {phase: History([Epoch(1, 1, loss, None, 0.1, 1.0, 1.0)]) for phase, loss in (("fit", 0.3), ("final", 0.2))}
    chosen = History([Epoch(1, 1, 0.31, 0.25, 0.1, 1.0, 1.0)], best_epoch=1, best_loss=0.25)
    figure = figures.loss_figure({"choose": chosen, **once}, chosen=1)
    figures.save_figure(figure, tmp_path / "loss.png")
    (axis,) = figure.axes
    assert {line.get_marker() for line in axis.lines} == {"o"}
    low, high = axis.get_ylim()
    assert (low, *axis.get_xlim()) == (0, 0.5, 1.5)
    assert 0.31 < high < 0.4
    assert [tick for tick in axis.get_xticks() if 0.5 < tick < 1.5] == [1]


def test_matplotlib_is_left_as_it_was():
    import matplotlib
    import matplotlib.pyplot as plt

    backend, open_figures = matplotlib.get_backend(), plt.get_fignums()
    figures.loss_figure({"fit": History([Epoch(1, 1, 1.0, None, 0.1, 1.0, 1.0)])}, chosen=1)
    assert (matplotlib.get_backend(), plt.get_fignums()) == (backend, open_figures)


def test_names_with_dollars_are_written_as_they_are(tmp_path):
    figure, (axis,) = panels(1)
    axis.plot([1e-3, 1.0], label="$\\foo$")
    finish(axis, "cost ($) at 5% ($)")
    powers(axis)
    axis.set_xticks([0, 1], ["US$", "A$_{"])
    axis.legend()
    figures.save_figure(figure, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:8] == PNG
    assert {"10⁻³", "10⁰"} <= {label.get_text() for label in axis.get_yticklabels()}
