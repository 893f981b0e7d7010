import numpy as np
import pandas as pd
import pytest

from celda.data import datasets, load_dataset
from celda.errors import CeldaError


def test_electricity_is_twelve_weeks_of_half_hours():
    frame = load_dataset("electricity")
    assert list(frame.columns) == ["ds", "y"]
    assert len(frame) == datasets()["electricity"].rows == 4032
    assert frame["ds"].iloc[0] == pd.Timestamp("2000-06-05 00:00")  # a Monday
    assert frame["ds"].iloc[-1] == pd.Timestamp("2000-08-27 23:30")  # a Sunday
    assert (frame["ds"].diff().dropna() == pd.Timedelta("30min")).all()
    assert frame["y"].dtype == float


def test_the_values_and_their_stamps_are_plausible():
    demand = load_dataset("electricity").set_index("ds")["y"]
    assert demand.min() > 15_000
    assert demand.max() < 45_000
    by_hour = demand.groupby(demand.index.hour).mean()
    assert by_hour.idxmin() in (3, 4, 5)  # the country sleeps
    weekday = demand[demand.index.day_of_week < 5].mean()
    assert weekday > 1.1 * demand[demand.index.day_of_week >= 5].mean()


def test_the_values_are_those_of_the_original(shared_data):
    original = pd.read_csv(shared_data / "electricity_taylor" / "taylor.csv")["Y"]
    assert np.array_equal(load_dataset("electricity")["y"], original)


def test_every_data_set_tells_its_source_and_licence():
    for name, dataset in datasets().items():
        assert dataset.name == name
        about = dataset.about()
        assert dataset.citation.split("(")[0] in about
        assert "Copyright (c) 2017 Taylor G Smith" in about
        assert "MIT" in dataset.licence
        assert len(dataset.read()) == dataset.rows


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(CeldaError, match=r"^There is no embedded data set 'electrcity': did you mean 'electricity'\?$"):
        load_dataset("electrcity")
    with pytest.raises(CeldaError, match="there are: electricity"):
        load_dataset("weather")
