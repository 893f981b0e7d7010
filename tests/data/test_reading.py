import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celda.data import read_table

DAYS = pd.date_range("2020-01-01", periods=40)


@pytest.fixture
def csv(tmp_path: Path):
    """Write a CSV of the given stamps and values, and give its path."""

    def write(stamps, values=None, separator=",", header="ds,y") -> Path:
        values = range(len(stamps)) if values is None else values
        lines = [header.replace(",", separator), *(f"{t}{separator}{v}" for t, v in zip(stamps, values, strict=True))]
        path = tmp_path / "my.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d 00:00+01:00",
        "%d.%m.%Y",
        "%d.%m.%y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%m/%d/%y",
        "%d-%m-%Y %H:%M",
        "%m/%d/%Y 12:00:00 AM",
        "%d.%m.%Y 0:00",
        "%Y%m%d",
        "%d %b %Y",
        '"%B %d, %Y"',
    ],
)
def test_dates_as_people_write_them(csv, written):
    table = read_table(csv([day.strftime(written) for day in DAYS]))
    assert pd.DatetimeIndex(table.frame["ds"]).equals(DAYS.as_unit("us"))
    assert table.freq == "D"


@pytest.mark.parametrize("written", ["%d.%m.%Y %H:%M", "%m/%d/%y %I:%M %p", "%d/%m/%Y, %H:%M:%S", "%Y-%m-%d %H:%M"])
def test_times_as_people_write_them(csv, written):
    hours = pd.date_range("2020-01-10 00:00", periods=100, freq="h")
    table = read_table(csv([f'"{hour.strftime(written)}"' for hour in hours]))
    assert pd.DatetimeIndex(table.frame["ds"]).equals(hours.as_unit("us"))


def test_which_number_is_the_month_is_said():
    dates = pd.DataFrame({"ds": [day.strftime("%m/%d/%Y") for day in DAYS], "y": 1.0})
    assert "Column 'ds': dates such as '01/01/2020' are read month first." in read_table(dates).notes


@pytest.mark.parametrize("written", ["{}Q{}", "{}-Q{}", "{} Q{}"])
def test_quarters(csv, written):
    quarters = [written.format(year, quarter) for year in range(2000, 2004) for quarter in (1, 2, 3, 4)]
    table = read_table(csv(quarters))
    assert table.freq == "QS-JAN"
    assert table.frame["ds"].iloc[-1] == pd.Timestamp("2003-10-01")


def test_months_and_years(csv):
    months = pd.date_range("2000-01-01", periods=30, freq="MS")
    assert read_table(csv([month.strftime("%Y-%m") for month in months])).freq == "MS"
    assert read_table(csv([month.strftime("%b %Y") for month in months])).freq == "MS"
    years = read_table(csv(range(1970, 2000)))
    assert (years.freq, years.frame["ds"].dtype) == ("1", np.int64)


def test_a_clock_change_does_not_bend_the_grid(csv):
    hours = pd.date_range("2020-10-24", periods=60, freq="h", tz="Europe/Berlin")
    for source in (pd.DataFrame({"ds": hours, "y": range(60)}), csv([hour.isoformat() for hour in hours])):
        table = read_table(source)
        assert table.freq == "h"
        assert len(table.frame) == 60
        assert table.frame["ds"].iloc[0] == pd.Timestamp("2020-10-23 22:00")  # UTC
        assert any("turned to UTC" in note for note in table.notes)
    spring = [hour.strftime("%Y-%m-%d %H:%M") for hour in pd.date_range("2020-03-28", periods=60, freq="h", tz="CET")]
    assert read_table(csv(spring)).frame["y"].isna().sum() == 1  # the hour that was skipped


def test_midnights_keep_their_date():
    days = pd.date_range("2020-03-20", periods=20, tz="Europe/Berlin")  # the clock changes on the 29th
    table = read_table(pd.DataFrame({"ds": days, "y": range(20)}))
    assert (table.freq, table.frame["ds"].iloc[-1]) == ("D", pd.Timestamp("2020-04-08"))


NUMBERS = [
    (";", ["1.234,5", "3,25", "999", ""], [1234.5, 3.25, 999, np.nan], "decimal comma"),
    (";", ["1.234.567", "3,25", "1.000", "1.5"], [1234567, 3.25, 1000, 1.5], "decimal comma"),
    ("\t", ["3,25", "1,5", "2", "-0,125"], [3.25, 1.5, 2, -0.125], "decimal comma"),
    (",", ['"1,234"', '"12,345.5"', "3", "4"], [1234, 12345.5, 3, 4], "thousands separator"),
    ("|", ["1,234", "12,345", "3", "4"], [1234, 12345, 3, 4], "thousands separator"),
    ("|", ["1,500", "0,125", "3,000", "4"], [1.5, 0.125, 3, 4], "decimal comma"),
    (";", ["1.5", "2e3", "-7", "+1"], [1.5, 2000, -7, 1], None),
    (",", ["NA", "n/a", "?", " 5 "], [np.nan, np.nan, np.nan, 5], None),
]


@pytest.mark.parametrize(("separator", "cells", "numbers", "note"), NUMBERS)
def test_numbers_as_people_write_them(csv, separator, cells, numbers, note):
    table = read_table(csv(range(6), ["0", *cells, "9"], separator))
    np.testing.assert_array_equal(table.frame["y"], [0, *numbers, 9])
    assert [note] == [n.split(" is a ")[1].rstrip(".") for n in table.notes if "comma in" in n] or note is None


@pytest.mark.parametrize(
    "text",
    [
        "ds,y\r\n2020-01-01,1\r\n2020-01-02,2\r\n2020-01-03,3\r\n",
        "ds,y\r2020-01-01,1\r2020-01-02,2\r2020-01-03,3",
        "\ufeffds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n\n\n",
        "\n\nds,y\n\n2020-01-01,1\n\n2020-01-02,2\n2020-01-03,3\n",
        'ds , y\n"2020-01-01" , 1\n 2020-01-02, 2\n2020-01-03 ,3 ',
        "ds,y\n2020-01-01,1,\n2020-01-02,2,\n2020-01-03,3,\n",
        ",ds,y\n0,2020-01-01,1\n1,2020-01-02,2\n2,2020-01-03,3\n",
        ",y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n",
    ],
)
def test_shapes_of_csv(tmp_path, text):
    path = tmp_path / "my.csv"
    path.write_bytes(text.encode())
    table = read_table(path)
    assert list(table.frame["y"]) == [1, 2, 3]
    assert table.frame["ds"].iloc[2] == pd.Timestamp("2020-01-03")


def test_one_column_of_numbers_is_a_series_of_steps(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("load\n5\n\n7\n")
    table = read_table(path)
    assert (table.ids, table.freq, list(table.frame["ds"])) == (("load",), "1", [0, 1, 2])
    np.testing.assert_array_equal(table.frame["y"], [5, np.nan, 7])
    assert any("the rows are taken in their order" in note for note in table.notes)


def test_kinds_of_frames(tmp_path):
    wanted = pd.DataFrame({"ds": DAYS, "y": np.arange(40.0)})
    path = tmp_path / "my.parquet"
    wanted.to_parquet(path)
    sources = {
        "parquet": path,
        "time in the index": wanted.set_index("ds"),
        "an index without a name": wanted.set_index("ds").rename_axis(None),
        "periods": wanted.assign(ds=pd.PeriodIndex(DAYS, freq="D")),
        "dates": wanted.assign(ds=[day.date() for day in DAYS]),
        "decimals": wanted.assign(y=[Decimal(i) for i in range(40)]),
        "nullable": wanted.assign(y=pd.array(range(40), dtype="Int64")),
        "text": wanted.astype(str),
        "filtered": pd.concat([wanted, wanted])[40:],
    }
    assert isinstance(sources["dates"]["ds"][0], datetime.date)
    for kind, source in sources.items():
        frame = read_table(source).frame
        assert pd.DatetimeIndex(frame["ds"]).equals(DAYS.as_unit("us")), kind
        assert frame["y"].equals(wanted["y"]), kind


def test_the_users_frame_is_left_alone():
    given = pd.DataFrame({"ds": DAYS[::-1].astype(str), "y": range(40), 5: 1.0})
    before = given.copy()
    read_table(given)
    pd.testing.assert_frame_equal(given, before)


def test_what_is_guessed_is_said(tmp_path):
    table = read_table(pd.DataFrame({"when": DAYS, "load": range(40), "city": "Leeds"}))
    assert table.notes == (
        "The time stamps are taken from column 'when' (there is no 'ds').",
        "The target is taken from column 'load' (there is no 'y').",
    )
    assert (table.columns.time_col, table.columns.target_col) == ("when", "load")


def test_real_files(shared_data):
    germany = read_table(
        shared_data / "electricity_germany_daily" / "opsd_germany_daily.csv",
        target_col="Consumption",
        past=["Wind", "Solar"],
    )
    assert (germany.freq, list(germany.lengths), germany.ids) == ("D", [4383], ("Consumption",))
    assert germany.frame["Solar"].isna().sum() > 1000
    building = read_table(shared_data / "electricity_buildings" / "bdg2_hourly_sample.csv", target_col="building_2")
    assert building.freq == "h"
    taxi = read_table(shared_data / "anomaly_nab" / "data" / "realKnownCause" / "nyc_taxi.csv")
    assert (taxi.freq, list(taxi.lengths)) == ("30min", [10320])
    room = read_table(
        shared_data / "anomaly_nab" / "data" / "realKnownCause" / "ambient_temperature_system_failure.csv"
    )
    assert room.freq == "h"
    assert room.frame["y"].isna().sum() == 621


def test_irregular_stamps_can_be_moved_to_a_grid(shared_data):
    path = shared_data / "anomaly_nab" / "data" / "realTraffic" / "speed_7578.csv"
    table = read_table(path, freq="5min")
    assert pd.DatetimeIndex(table.frame["ds"]).diff()[1:].unique().tolist() == [pd.Timedelta("5min")]
    values = pd.read_csv(path)["value"]
    assert table.frame["y"].mean() == pytest.approx(values.mean(), rel=0.01)
    assert any("moved to the nearest step of '5min'" in note for note in table.notes)


def test_a_covariate_with_decimal_commas_is_a_number_and_noted_once(csv):
    values = [f"{i};{i},5;Leeds, UK" for i in range(40)]
    table = read_table(csv(DAYS, values, ";", "ds;y;temp;city".replace(";", ",")), past=["temp", "city"])
    assert list(table.frame["temp"][:3]) == [0.5, 1.5, 2.5]
    assert table.frame["city"][0] == "Leeds, UK"
    assert table.notes == ("Column 'temp': the comma in numbers such as '0,5' is a decimal comma.",)


@pytest.mark.parametrize("kind", [str, int])
def test_months_of_six_digits_are_dates(kind):
    months = pd.date_range("2020-01-01", periods=30, freq="MS")
    table = read_table(pd.DataFrame({"ds": months.strftime("%Y%m").astype(kind), "y": range(30)}))
    assert pd.DatetimeIndex(table.frame["ds"]).equals(months.as_unit("us"))
    assert table.notes == ("Column 'ds': numbers such as 202001 are read as dates (year, month).",)
    counted = read_table(pd.DataFrame({"ds": range(202001, 202031), "y": range(30)}))
    assert counted.freq == "1"  # there is no thirteenth month
