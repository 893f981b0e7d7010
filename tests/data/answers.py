"""What the tests of bad input share: small tables, and how an answer is compared."""

import re

import numpy as np
import pandas as pd
import pytest

from celda.errors import CeldaError

DAYS = pd.date_range("2020-01-01", periods=40)
CSV = "ds,y\n" + "".join(f"{day:%Y-%m-%d},{i}\n" for i, day in enumerate(DAYS))


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame({"ds": DAYS, "y": np.arange(40.0)} | columns)


def two_series() -> pd.DataFrame:
    return pd.concat([frame(unique_id="a"), frame(unique_id="b")], ignore_index=True)


def answered(words: str):
    """The error's message: one line that begins and ends so, with anything for `...`."""
    pattern = ".*".join(map(re.escape, words.split("...")))
    return pytest.raises(CeldaError, match=rf"\A(?!.*\n){pattern}\Z")
