"""Calendar features: where in the hour, the day, the week and the year a time stamp lies, as sines and cosines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from celda.data.frequency import DAY, HOUR, WEEK, Frequency, Stamp


@dataclass(frozen=True)
class _Cycle:
    seconds: float  # its length
    harmonics: int  # how many pairs of sine and cosine it gets, where the steps are fine enough


# The phase of the week moves once a day: three harmonics of seven days tell every day of the week apart, as a one-hot
# code would, and with no blur around midnight.
_CYCLES = {
    "hour": _Cycle(HOUR, 2),
    "day": _Cycle(DAY, 3),
    "week": _Cycle(WEEK, 3),
    "year": _Cycle(365.25 * DAY, 2),
}
_TOLERANCE = 1.01  # two years are 730 or 731 days, a quarter 90 to 92


def choose_features(frequency: Frequency, first: Stamp, last: Stamp) -> tuple[str, ...]:
    """Give the features that can be learnt from a history from `first` to `last`, such as "day_sin_1".

    A cycle must hold at least four steps (so the hour is for steps of 15 minutes or less), and the history must hold
    the cycle twice: a yearly feature seen for less than two years would only tell early from late. An integer index has
    none.
    """
    if frequency.is_integer:
        return ()
    five = frequency.grid(first, 5)
    step = (five[4] - five[0]).total_seconds() / 4
    history = (last - first).total_seconds() + step
    return tuple(
        f"{name}_{wave}_{k}"
        for name, cycle in _CYCLES.items()
        if 4 * step <= cycle.seconds * _TOLERANCE and 2 * cycle.seconds <= history * _TOLERANCE
        for k in range(1, cycle.harmonics + 1)
        if 2 * k * step <= cycle.seconds * _TOLERANCE
        for wave in ("sin", "cos")
    )


def calendar_features(stamps: pd.DatetimeIndex, names: Sequence[str]) -> np.ndarray:
    """Give the named features of the time stamps: (len(stamps), len(names)) float32 in [-1, 1]."""
    seconds = stamps.hour * HOUR + stamps.minute * 60 + stamps.second
    phases = {
        "hour": (seconds % HOUR) / HOUR,
        "day": seconds / DAY,
        "week": stamps.day_of_week / 7,
        "year": (stamps.day_of_year - 1 + seconds / DAY) / 365.25,
    }
    features = np.empty((len(stamps), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        cycle, wave, k = name.split("_")
        angle = 2 * np.pi * int(k) * phases[cycle].to_numpy()
        features[:, column] = np.sin(angle) if wave == "sin" else np.cos(angle)
    return features
