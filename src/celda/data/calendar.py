"""Calendar features: where in the day, the week and the year a time stamp lies, as sines and cosines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from celda.data.frequency import DAY, HOUR, WEEK, Frequency


@dataclass(frozen=True)
class _Cycle:
    seconds: int  # its length
    resolution: int  # the phase moves in steps of so many seconds
    harmonics: int  # the most sines and cosines that are given


# The phase of the week moves once a day: three harmonics of seven days tell every day of the week apart, as a one-hot
# code would, with no blur around midnight.
CYCLES = {
    "hour": _Cycle(HOUR, 1, 2),
    "day": _Cycle(DAY, 1, 3),
    "week": _Cycle(WEEK, DAY, 3),
    "year": _Cycle(365 * DAY, 1, 2),
}


def choose_cycles(frequency: Frequency, first: pd.Timestamp | int, last: pd.Timestamp | int) -> tuple[str, ...]:
    """Give the names of the cycles that can be learnt from a history from `first` to `last` (both included).

    A cycle must hold at least four steps (so an hour is for steps of up to 15 minutes), and the history must hold the
    cycle twice: a yearly feature seen for less than two years would only tell early from late.
    """
    if frequency.is_integer:
        return ()
    steps = np.array([0, 4])
    four_steps = frequency.grid(first, 5)
    step = (four_steps[-1] - four_steps[0]).total_seconds() / np.diff(steps)[0]
    history = (last - first).total_seconds() + step
    return tuple(
        name for name, cycle in CYCLES.items() if step <= max(cycle.seconds / 4, cycle.resolution) and 2 * cycle.seconds <= history
    )
