"""Covariates as columns of numbers: standardised, or one-hot where they are categories."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from celda.errors import CeldaError

_MOST_CATEGORIES = 64


@dataclass(frozen=True)
class Encoder:
    """How one covariate becomes columns, learnt from the training part.

    Numbers: (x - mean) / deviation, 0 where missing; with `indicator`, a second column is 1 where the value was there.
    `categories`: a column for each, 1 in the one that holds; all zeros where the category is missing or unknown.
    """

    name: str
    mean: float = 0.0
    deviation: float = 1.0
    indicator: bool = False
    categories: tuple[str, ...] = ()

    @classmethod
    def fit(cls, name: str, values: pd.Series) -> "Encoder":
        """Learn from the values of the training part, missing ones included."""
        if values.isna().all():
            raise CeldaError(f"The covariate {name!r} has no value in the training part: leave it out.")
        if pd.api.types.is_numeric_dtype(values.dtype):
            deviation = float(values.std(ddof=0))
            mean = float(values.mean())
            if not deviation > 1e-12 * abs(mean):  # constant
                deviation = 1.0
            return cls(name, mean, deviation, bool(values.isna().any()))
        categories = tuple(sorted(values.dropna().unique()))
        if len(categories) > _MOST_CATEGORIES:
            raise CeldaError(
                f"The covariate {name!r} has {len(categories)} different texts ({categories[0]!r}, {categories[1]!r}, "
                f"...), more than the {_MOST_CATEGORIES} categories that are learnt: group them, or give numbers."
            )
        return cls(name, categories=categories)

    @property
    def columns(self) -> tuple[str, ...]:
        """The name of each column it gives."""
        if self.categories:
            return tuple(f"{self.name}={category}" for category in self.categories)
        return (self.name, f"{self.name} is there") if self.indicator else (self.name,)

    def transform(self, values: pd.Series, notes: list[str]) -> np.ndarray:
        """Give (len(values), len(columns)) float32; what could not be encoded is added to `notes`."""
        if self.categories:
            return self._one_hot(values, notes)
        numbers = pd.to_numeric(values, errors="coerce")
        text = values[numbers.isna() & values.notna()]
        if len(text):
            raise CeldaError(
                f"The covariate {self.name!r} was learnt as a number and is now text ({text.iloc[0]!r}): give numbers."
            )
        there = numbers.notna().to_numpy()
        if not self.indicator and not there.all():
            notes.append(f"Covariate {self.name!r}: missing values, taken as its mean: {(~there).sum()}.")
        scaled = ((numbers - self.mean) / self.deviation).fillna(0.0).to_numpy()
        return np.column_stack([scaled, there] if self.indicator else [scaled]).astype(np.float32)

    def _one_hot(self, values: pd.Series, notes: list[str]) -> np.ndarray:
        # a part of the table in which every category looks like a number was read as numbers
        text = values.map(lambda value: f"{value:g}" if isinstance(value, float) else value, na_action="ignore")
        codes = pd.Index(self.categories).get_indexer(pd.Index(text))
        unknown = text[(codes < 0) & text.notna().to_numpy()]
        if len(unknown):
            notes.append(
                f"Covariate {self.name!r}: {unknown.iloc[0]!r} was not among the categories of the training part; such "
                f"values, taken as none of them: {len(unknown)}."
            )
        return np.equal.outer(codes, np.arange(len(self.categories))).astype(np.float32)

    def to_dict(self) -> dict[str, object]:
        """Give plain values for JSON."""
        return {**asdict(self), "categories": list(self.categories)}

    @classmethod
    def from_dict(cls, values: dict) -> "Encoder":
        """Undo `to_dict`."""
        return cls(**{**values, "categories": tuple(values["categories"])})


def encode(encoders: Sequence[Encoder], frame: pd.DataFrame, notes: list[str]) -> np.ndarray:
    """Give the encoded covariates of the frame side by side: (len(frame), columns) float32."""
    parts = [encoder.transform(frame[encoder.name], notes) for encoder in encoders]
    return np.concatenate([np.empty((len(frame), 0), dtype=np.float32), *parts], axis=1)
