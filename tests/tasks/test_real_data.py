"""On real electricity demand the network beats both baselines, even with fewer epochs and larger patches than usual."""

import pytest

from tests.tasks.conftest import tiny

QUICK = {"hidden_size": 64, "input_size": None, "val_size": None}


def check(forecaster, source, test_size, ridge, naive):
    table = forecaster.read(source)
    test = forecaster.fit(table.until(-test_size)).evaluate(table)
    mae = test.scores["MAE"]
    assert mae["ridge"] == pytest.approx(ridge, abs=1.5)  # as published with this data and these windows
    assert mae["seasonal_naive"] == pytest.approx(naive, abs=0.1)
    assert not test.repeats_last_value
    return mae["lstm"], test.scores.loc["lstm"]


@pytest.mark.slow
def test_half_hourly_demand_of_england_and_wales():
    forecaster = tiny(h=48, epochs=12, patch=48, **QUICK)
    mae, scores = check(forecaster, "electricity", 14 * 48, ridge=351, naive=513.9)
    assert mae < 340
    assert scores["coverage-80"] > 70
    assert scores["coverage-95"] > 85


def test_daily_demand_of_germany(shared_data):
    source = shared_data / "electricity_germany_daily" / "opsd_germany_daily.csv"
    forecaster = tiny(h=7, epochs=4, patch=7, time_col="Date", target_col="Consumption", **QUICK)
    mae, scores = check(forecaster, source, 365, ridge=48.5, naive=54.2)
    assert mae < 41
    assert scores["coverage-95"] == pytest.approx(95, abs=6)
