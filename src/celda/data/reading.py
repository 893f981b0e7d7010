"""From what the user gives (a DataFrame, a CSV or Parquet file, a data set's name) to a table of plain cells."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from celda.data.embedded import datasets
from celda.errors import CeldaError, meant

Source = pd.DataFrame | str | Path

_PARQUET = {".parquet", ".pq"}
_UNNAMED = "unnamed"
_NOT_READ = {".xls", ".xlsx", ".ods", ".json", ".gz", ".zip", ".bz2", ".feather", ".pickle", ".pkl", ".h5", ".db"}


@dataclass
class RawTable:
    """The cells as they were given; the index of `frame` counts the rows of the source, blank ones too.

    `separator`: what stands between the cells of a CSV line; None for other sources.
    `notes`: what was done on the way, one sentence each.
    `habits`: how time stamps are read that could be read in two ways: `midnights` of a time zone keep their date, the
    `day_first`. Settled by the first table, and kept for a table of its future.
    """

    frame: pd.DataFrame
    name: str
    separator: str | None = None
    notes: list[str] = field(default_factory=list)
    habits: dict[str, bool] = field(default_factory=dict)

    def at(self, row: int) -> str:
        """Say where the row of this position in `frame` is found in the source."""
        return f"{self.name}, {self.place(row)}"

    def place(self, row: int) -> str:
        """Say the same without the name of the source."""
        number = int(self.frame.index[row])
        return f"row {number} (counted from 0)" if self.separator is None else f"line {number + 2}"

    def columns_in_words(self) -> str:
        """List the columns for a message."""
        names = [str(column) for column in self.frame.columns]
        return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def read_source(source: Source, header: str = "ds,y", row: str = "time stamp") -> RawTable:
    """Read the source whole; CeldaError where it is not a table. header, row: what it should hold, for messages."""
    if isinstance(source, pd.DataFrame):
        return _from_frame(source, "the DataFrame", row)
    if not isinstance(source, str | Path):
        raise CeldaError(
            f"A table is a pandas DataFrame, the path of a CSV or Parquet file or the name of a data set, not a "
            f"{type(source).__name__}: write for example {_table_of(source)}."
        )
    path = Path(source).expanduser()
    if str(source) in datasets() and not path.exists():
        return _from_frame(datasets()[str(source)].read(), str(source), row)
    if not str(source).strip():
        raise CeldaError("The path of the table is empty: write for example read_table('my.csv').")
    parquet = path.suffix.lower() in _PARQUET
    raw = _read_parquet(path, row) if parquet else _read_csv(path, bytes_of(path), header, row)
    if raw.frame.empty:
        raise CeldaError(f"{raw.name} has a header and no rows: it needs a row for each {row}.")
    return raw


def _table_of(source: object) -> str:
    """How the values of what is no table become one."""
    if isinstance(source, pd.Series) and isinstance(source.index, pd.DatetimeIndex):
        return "series.rename_axis('ds').reset_index(name='y')"
    return "pd.DataFrame({'ds': stamps, 'y': values})"


def _from_frame(frame: pd.DataFrame, name: str, row: str) -> RawTable:
    if frame.empty:
        raise CeldaError(f"{name} is empty: it needs a row for each {row}.")
    if isinstance(frame.columns, pd.MultiIndex):
        raise CeldaError(f"The columns of {name} have several levels: give it plain column names, such as ds and y.")
    times = isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    if times or any(name is not None for name in frame.index.names):  # then the index holds data
        frame = frame.reset_index()
    frame = frame.reset_index(drop=True)
    frame.columns = [str(column) for column in frame.columns]
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise CeldaError(f"{name} has two columns named {twice!r}: rename one of them.")
    return RawTable(frame, name)


def bytes_of(path: Path) -> bytes:
    """A file whole. Raises CeldaError where it cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        there = [*datasets(), *(neighbour.name for neighbour in path.parent.glob("*") if neighbour.is_file())]
        stems = {Path(name).stem: name for name in there}  # a common suffix makes no two names alike
        near = meant(path.stem, stems, 0.75)
        hint = f"did you mean {stems[near]}?" if near else f"embedded data sets are: {', '.join(datasets())}."
        raise CeldaError(f"There is no file {path}: {hint}") from error
    except IsADirectoryError as error:
        raise CeldaError(f"{path} is a directory: give the path of one CSV or Parquet file in it.") from error
    except OSError as error:
        raise CeldaError(f"{str(path)[:80]!r} cannot be read as a file: {error.strerror}.") from error
    if path.suffix.lower() in _NOT_READ:
        raise CeldaError(f"{path.name} is a {path.suffix} file, which is not read: save it as CSV (UTF-8) or Parquet.")
    return data


def _read_parquet(path: Path, row: str) -> RawTable:
    try:
        return _from_frame(pd.read_parquet(io.BytesIO(bytes_of(path))), path.name, row)
    except pa.ArrowInvalid as error:
        raise CeldaError(
            f"{path.name} is not a Parquet file: write it with DataFrame.to_parquet, or give a CSV."
        ) from error


def _read_csv(path: Path, data: bytes, like: str, row: str) -> RawTable:
    name = path.name
    text = decode(name, data)
    if not text.strip():
        raise CeldaError(f"{name} is empty: it needs a header line such as {like} and a row for each {row}.")
    lines = text.splitlines()
    above = next(i for i, line in enumerate(lines) if line.strip())  # blank lines above the header
    separator = _separator(lines[above])
    header, *rows = csv.reader(lines[above : above + 2], delimiter=separator, skipinitialspace=True)
    header = [cell.strip() for cell in header]
    _check_header(name, header, like)
    if rows and len(rows[0]) > len(header) and any(rows[0][len(header) :]):
        _complain_of_width(name, above + 2, len(rows[0]), header, separator, like)
    try:
        frame = pd.read_csv(
            io.StringIO(text.rstrip("\r\n")),
            sep=separator,
            names=range(len(header)),
            header=above,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,  # so that the index still counts the lines
            skipinitialspace=True,
        )
    except pd.errors.ParserError as error:
        numbers = [int(word.strip(",")) for word in str(error).split() if word.strip(",").isdecimal()]
        if len(numbers) == 3:
            _, line, seen = numbers
            _complain_of_width(name, line, seen, header, separator, like)
        raise CeldaError(f"{name} is not a table of cells: a quote is opened and never closed.") from error
    frame.columns = pd.Index(header)
    frame.index += above
    if len(header) > 1:
        frame = frame[frame.notna().any(axis=1)]
    if header[0] == _UNNAMED and frame[_UNNAMED].str.fullmatch(r"\d+").all():
        frame = frame.drop(columns=_UNNAMED)  # the row numbers of a DataFrame
    return RawTable(frame, name, separator)


def decode(name: str, data: bytes) -> str:
    """The bytes of a file as UTF-8 text. Raises CeldaError where they are none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CeldaError(f"{name} is UTF-16 text: save it as UTF-8.")
    if b"\0" in data[:65_536]:
        raise CeldaError(f"{name} is not text: give a CSV (UTF-8) or a Parquet file with the suffix .parquet.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CeldaError(
            f"{name} is not UTF-8 (line {line}, byte 0x{data[error.start]:02x}): save it as UTF-8."
        ) from error


def _separator(header: str) -> str:
    """The one that cuts the header into the most cells; a header seldom holds the others."""
    return max(";\t|,", key=lambda candidate: len(next(csv.reader([header], delimiter=candidate), [])))


def _check_header(name: str, header: list[str], like: str) -> None:
    if all(cell.replace(".", "", 1).lstrip("-").isdigit() or cell[:4].isdigit() for cell in header):
        raise CeldaError(
            f"{name} begins with data ({', '.join(header[:3])}): put a header line above it, such as {like}."
        )
    header[:] = [cell or (f"{_UNNAMED} {i}" if i else _UNNAMED) for i, cell in enumerate(header)]
    if len(set(header)) < len(header):
        twice = next(cell for cell in header if header.count(cell) > 1)
        raise CeldaError(f"{name} has two columns named {twice!r}: rename one of them.")


def _complain_of_width(name: str, line: int, seen: int, header: list[str], separator: str, like: str) -> None:
    if len(header) == 1:
        raise CeldaError(
            f"{name} is not a table: its first line {header[0][:40]!r} is no header of several columns, such as {like}."
        )
    raise CeldaError(
        f"{name}, line {line} has {seen} cells and the header {len(header)}: a cell that holds {separator!r} needs "
        f"quotes{', and a number a decimal point' if separator == ',' else ''}."
    )
