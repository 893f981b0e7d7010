"""Data sets that come with Celda: small, real, and free to use."""

from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

from celda.errors import CeldaError, meant


@dataclass(frozen=True)
class Dataset:
    """A data set of the package: what it is, whose it is, and under which licence."""

    name: str
    title: str
    description: str
    source: str
    licence: str
    citation: str
    freq: str
    rows: int
    unit: str

    def read(self) -> pd.DataFrame:
        """Give the long table: `ds` (time stamps) and `y` (float)."""
        with files(__name__).joinpath(f"{self.name}.csv").open(encoding="utf-8") as file:
            return pd.read_csv(file, parse_dates=["ds"], dtype={"y": float})

    def about(self) -> str:
        """Give the full text on origin, changes and licence."""
        return files(__name__).joinpath(f"{self.name}.txt").read_text(encoding="utf-8")


_DATASETS = [
    Dataset(
        name="electricity",
        title="Half-hourly electricity demand in England and Wales",
        description="4,032 half-hours, Monday 5 June 2000 to Sunday 27 August 2000; a stamp is the beginning of its "
        "half-hour, in local time.",
        source="pmdarima 2.1.1, pmdarima/datasets/taylor.py",
        licence="MIT, Copyright (c) 2017 Taylor G Smith",
        citation="Taylor, J.W. (2003) Short-term electricity demand forecasting using double seasonal exponential "
        "smoothing. Journal of the Operational Research Society, 54, 799-805.",
        freq="30min",
        rows=4032,
        unit="MW",
    ),
]


def datasets() -> dict[str, Dataset]:
    """Give every embedded data set by its name."""
    return {dataset.name: dataset for dataset in _DATASETS}


def load_dataset(name: str) -> pd.DataFrame:
    """Give an embedded data set as a long table (`ds`, `y`); CeldaError where there is none of that name."""
    known = datasets()
    if name not in known:
        near = meant(name, known)
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(known)}."
        raise CeldaError(f"There is no embedded data set {name!r}: {hint}")
    return known[name].read()
