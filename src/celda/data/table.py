"""Long tables: series of unequal length, one under another, each on the regular grid of its time stamps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from celda.data.cleaning import clean
from celda.data.columns import Columns, match_columns
from celda.data.frequency import Frequency
from celda.data.gridding import to_grid
from celda.data.reading import Source, read_source
from celda.errors import CeldaError


@dataclass(frozen=True)
class Table:
    """Series on a regular grid.

    `frame`: `unique_id` (str), `ds` (time stamps of microseconds, or int64), `y` (float64, NaN where missing), then the
    covariates under their own names (float64, or text where they are categories); a series is a block of rows in time
    order with no step left out.
    `later`: `unique_id`, `ds` and the future covariates of known steps after the end of each series.
    `horizon`: how many of each series' last steps are a future that was appended by `extend`.
    `notes`: what was guessed, sorted or filled in, one sentence each.
    """

    frame: pd.DataFrame
    frequency: Frequency
    columns: Columns
    later: pd.DataFrame
    horizon: int = 0
    notes: tuple[str, ...] = ()
