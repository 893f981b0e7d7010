"""From cells to time stamps and numbers; the first cell that is neither is named."""

import numpy as np
import pandas as pd

from celda.data.reading import RawTable
from celda.errors import CeldaError

_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "?"}
_ZONE = r"\d{1,2}:\d{2}\S*?\s?(?:Z|[+-]\d{2}:?\d{2})$"  # after a time: a date has hyphens too
_MIDNIGHT = r"^\S{8,10}[T ]00:00(?::00(?:\.0+)?)?\s?(?:Z|[+-]\d{2}:?\d{2})$"
_NUMBERED_DATE = r"^(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?:,?[ T]+(\d.*))?$"  # 31.12.2020 23:30, 12/31/20 11:30 PM
_LIKE_TIME = (
    r"^\d{4}[-/]\d{1,2}(?:[-/]|$)|^\d{1,2}([/.-])\d{1,2}\1\d{2,4}|^\d{4}[- ]?Q[1-4]$|^(?=.*[A-Za-z]{3}).*\b\d{4}\b"
)


def is_numeric(column: pd.Series) -> bool:
    """Whether the column holds numbers already, not text."""
    return pd.api.types.is_numeric_dtype(column.dtype)


def parse_numbers(raw: RawTable, name: str) -> np.ndarray | int:
    """Read a column as float64, NaN where the cell is missing; or give the position of the first that is no number.

    Text with a decimal comma is understood and noted.
    """
    column = raw.frame[name]
    if is_numeric(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    text = _stripped(column)
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().equals(text.notna()):  # as most files have it: plain numbers and empty cells
        return numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    text = text.mask(text.str.lower().isin(_MISSING))
    with_comma = text.str.contains(",", regex=False, na=False)
    words = ""
    if with_comma.any():
        plain, words = _without_commas(text[with_comma], raw.separator)
        if words == "decimal comma":  # then the dots in cells without a comma are between thousands
            text = text.str.replace(r"^[+-]?\d{1,3}(?:\.\d{3})+$", lambda m: m[0].replace(".", ""), regex=True)
        text = text.mask(with_comma, plain)
    numbers = pd.to_numeric(text, errors="coerce")
    wrong = (numbers.isna() & text.notna()).to_numpy()
    if wrong.any():
        return int(wrong.argmax())
    if words:
        raw.notes.append(f"Column {name!r}: the comma in numbers such as {column[with_comma].iloc[0]!r} is a {words}.")
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def _without_commas(text: pd.Series, separator: str | None) -> tuple[pd.Series, str]:
    thousands = text.str.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?").all()
    if thousands and (separator != ";" or text.str.contains(".", regex=False).any()):
        return text.str.replace(",", "", regex=False), "thousands separator"
    decimal = text.str.fullmatch(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d*([eE][+-]?\d+)?")
    plain = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return plain.where(decimal, text), "decimal comma"


def parse_stamps(raw: RawTable, name: str) -> pd.Index:
    """Read a column as time stamps: a DatetimeIndex of microseconds without a zone, or whole numbers (int64).

    Stamps with a zone or an offset are turned to UTC, so that no clock change bends the grid, but midnights keep their
    date. Raises CeldaError with the first cell that cannot be read.
    """
    column = raw.frame[name]
    missing = column.isna().to_numpy()
    if missing.any():
        raise CeldaError(
            f"{raw.at(int(missing.argmax()))}: no time stamp in column {name!r}: fill it in or drop the row."
        )
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = _without_zone(raw, name, column)
    elif is_numeric(column):
        return _whole_numbers(raw, name, column)
    else:
        text = _stripped(column)
        if text.str.fullmatch(r"-?\d+").all():
            return _whole_numbers(raw, name, pd.to_numeric(text))
        stamps = _from_text(raw, name, text)
    wrong = stamps.isna().to_numpy()
    if wrong.any():
        first = int(wrong.argmax())
        raise CeldaError(
            f"{raw.at(first)}: {str(column.iloc[first])!r} in column {name!r} is not a time stamp: write it as "
            "2020-12-31 or 2020-12-31 23:30."
        )
    return pd.DatetimeIndex(stamps).as_unit("us")


def looks_like_time(column: pd.Series) -> bool:
    """Whether the first cells of the column are time stamps; numbers are not taken for them."""
    if isinstance(column.dtype, pd.PeriodDtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    sample = column.dropna().head(50)
    return not is_numeric(column) and not sample.empty and bool(_stripped(sample).str.match(_LIKE_TIME).all())


def _stripped(column: pd.Series) -> pd.Series:
    return column.where(column.isna(), column.astype(str).str.strip()).astype(object)


def _without_zone(raw: RawTable, name: str, stamps: pd.Series) -> pd.Series:
    if stamps.dt.tz is None:
        return stamps
    plain: pd.Series = stamps.dt.tz_localize(None)
    if not _keep_their_date(raw, bool((plain == plain.dt.normalize()).all())):
        raw.notes.append(f"Column {name!r}: time stamps in {stamps.dt.tz} are turned to UTC.")
        plain = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    return plain


def _whole_numbers(raw: RawTable, name: str, numbers: pd.Series) -> pd.Index:
    values = numbers.to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(values) | (values != np.floor(values))
    if wrong.any():
        first = int(wrong.argmax())
        raise CeldaError(
            f"{raw.at(first)}: {values[first]:g} in column {name!r} is neither a time stamp nor a whole number: write "
            "2020-12-31 23:30, or count the steps 0, 1, 2, ..."
        )
    whole = values.astype(np.int64)
    for digits, parts in (("%Y%m%d", "year, month, day"), ("%Y%m", "year, month")):
        least, most = (int(pd.Timestamp(edge).strftime(digits)) for edge in ("1800-01-01", "2199-12-31"))
        if ((whole < least) | (whole > most)).any():
            continue
        dates = pd.to_datetime(pd.Series(whole.astype(str)), format=digits, errors="coerce")
        if dates.notna().all():
            raw.notes.append(f"Column {name!r}: numbers such as {whole[0]} are read as dates ({parts}).")
            return pd.DatetimeIndex(dates).as_unit("us")
    if (whole >= 10**9).all():
        raw.notes.append(
            f"Column {name!r}: whole numbers are steps, without a calendar; if they are Unix seconds, turn them into "
            "time stamps with pandas.to_datetime(..., unit='s')."
        )
    index: pd.Index = pd.Index(whole)
    return index


def _from_text(raw: RawTable, name: str, text: pd.Series) -> pd.Series:
    """Try the ways of writing time; the one that reads the most cells wins."""
    stamps = _iso(raw, name, text)
    for read in (_numbered, _quarters, _month_names):
        if stamps.notna().all():
            break
        others = read(raw, name, text)
        if others is not None and others.notna().sum() > stamps.notna().sum():
            stamps = others
    return stamps


def _iso(raw: RawTable, name: str, text: pd.Series) -> pd.Series:
    with_zone = text.str.contains(_ZONE)
    if not with_zone.any():
        return pd.to_datetime(text, format="ISO8601", errors="coerce")
    if not with_zone.all():
        first = int(np.argmin(with_zone.to_numpy() == with_zone.iloc[0]))
        raise CeldaError(
            f"{raw.at(first)}: {text.iloc[first]!r} in column {name!r} and the stamps before it do not agree on having "
            "a time zone: give every time stamp its offset, or none."
        )
    if _keep_their_date(raw, bool(text.str.match(_MIDNIGHT).all())):
        return pd.to_datetime(text.str.split("[T ]").str[0], format="ISO8601", errors="coerce")
    raw.notes.append(f"Column {name!r}: time stamps with an offset are turned to UTC.")
    return pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None)


def _keep_their_date(raw: RawTable, midnights: bool) -> bool:
    return raw.habits.setdefault("midnights", midnights) and midnights


def _numbered(raw: RawTable, name: str, text: pd.Series) -> pd.Series | None:
    """Dates as three numbers with the year last. Which of the first two is the month, the column must show."""
    parts = text.str.extract(_NUMBERED_DATE)
    if parts[0].isna().all():
        return None
    one, two = pd.to_numeric(parts[0]), pd.to_numeric(parts[2])
    if (parts[1].dropna() == ".").all():  # nobody writes 12.31.2020
        day, month = parts[0], parts[2]
    elif (one > 12).any() == (two > 12).any() and ((one > 12).any() or "day_first" not in raw.habits):
        raise CeldaError(
            f"{raw.at(0)}: {text.iloc[0]!r} in column {name!r} may be day first or month first, and the other rows do "
            "not tell which: write dates as 2020-12-31."
        )
    else:
        seen = (one > 12).any(), (two > 12).any()
        day_first = bool(seen[0]) if any(seen) else raw.habits["day_first"]
        raw.habits["day_first"] = day_first
        day, month, words = (parts[0], parts[2], "day") if day_first else (parts[2], parts[0], "month")
        raw.notes.append(f"Column {name!r}: dates such as {text.iloc[0]!r} are read {words} first.")
    year = parts[3].where(parts[3].str.len() == 4, "20" + parts[3])
    time = parts[4].fillna("00:00")
    iso = year + "-" + month + "-" + day + " " + time
    if not time.str.contains("[AaPp][Mm]$").any():
        return pd.to_datetime(iso, format="ISO8601", errors="coerce")
    clock = "%I:%M:%S %p" if time.str.count(":").max() == 2 else "%I:%M %p"
    return pd.to_datetime(iso, format=f"%Y-%m-%d {clock}", errors="coerce")


def _quarters(raw: RawTable, name: str, text: pd.Series) -> pd.Series | None:
    if not text.str.fullmatch(r"\d{4}[- ]?Q[1-4]").all():
        return None
    return pd.Series(pd.PeriodIndex(text.str.replace(r"[- ]", "", regex=True), freq="Q").to_timestamp())


def _month_names(raw: RawTable, name: str, text: pd.Series) -> pd.Series | None:
    """Such as `5 Jan 2020 10:30 PM`; without a month's name and a year of four digits it would be a guess."""
    if not text.str.contains(r"[A-Za-z]{3}").all() or not text.str.contains(r"\b\d{4}\b").all():
        return None
    return pd.to_datetime(text, format="mixed", errors="coerce")
