"""Which column is what: the names that were given, matched to the names that are there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from celda.data.parsing import is_numeric, looks_like_time, parse_numbers
from celda.data.reading import RawTable
from celda.errors import CeldaError, meant

_DEFAULTS = {"id_col": "unique_id", "time_col": "ds", "target_col": "y"}
ROW = 0  # the column of row numbers: no text, so no column of the user's has that name


@dataclass(frozen=True)
class Columns:
    """The names of the columns in the user's table. `id_col` is None where there is one series only."""

    id_col: str | None
    time_col: str | None
    target_col: str
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @property
    def covariates(self) -> tuple[str, ...]:
        """All covariates, in the order past, future, static."""
        return self.past + self.future + self.static


def covariate_names(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """Give the names as they were listed; one name alone is refused, as its letters would be taken for names."""
    if isinstance(names, str):
        raise CeldaError(f"The {kind} covariates are a list of columns: write {kind}=[{names!r}].")
    return tuple(names)


def match_columns(raw: RawTable, wanted: Columns, *, target: bool = True, exactly: str | None = None) -> Columns:
    """Find the wanted columns; where the default names are absent, take the only one that can be meant, and note it.

    A table of known future covariates has no `target`. `exactly`: why it must be these names, where none is guessed.
    Raises CeldaError where a name is not there, is used twice, or the choice is not obvious.
    """
    covariates = wanted.covariates if target else wanted.future
    for name in covariates:
        _require(raw, name, "covariates")
        if name in _DEFAULTS.values() and name not in (wanted.id_col, wanted.time_col, wanted.target_col):
            raise CeldaError(
                f"{raw.name}: a covariate cannot be called {name!r}, which is what Celda calls a column of its own: "
                "rename it."
            )
    id_col: str | None = wanted.id_col
    if id_col not in raw.frame and id_col == _DEFAULTS["id_col"]:
        id_col = None
    elif id_col is not None:
        _require(raw, id_col, "series (id_col)")
    time_col, target_col = wanted.time_col, wanted.target_col
    if exactly:
        for role, column in {"target": target_col if target else None, "time stamps": time_col}.items():
            if column is not None:
                _require(raw, column, f"{role}, {exactly}")
    if time_col is not None and time_col not in raw.frame:
        time_col = _guess_time(raw, time_col, [*covariates, target_col, id_col])
    if target and target_col not in raw.frame:
        target_col = _guess_target(raw, target_col, [*covariates, time_col, id_col])
    used = [name for name in (id_col, time_col, target_col, *covariates) if name is not None]
    if len(set(used)) < len(used):
        twice = next(name for name in used if used.count(name) > 1)
        raise CeldaError(f"{raw.name}: column {twice!r} is given two roles: name each column once.")
    return replace(wanted, id_col=id_col, time_col=time_col, target_col=target_col)


def _require(raw: RawTable, name: str, role: str) -> None:
    if name not in raw.frame:
        there = list(raw.frame.columns)
        near = meant(name, there) or next((column for column in there if name and name in column), None)
        hint = f"did you mean {near!r}?" if near else f"the columns are {raw.columns_in_words()}."
        raise CeldaError(f"{raw.name} has no column {name!r} for the {role}: {hint}")


def _guess_time(raw: RawTable, wanted: str, taken: Sequence[str | None]) -> str | None:
    if wanted != _DEFAULTS["time_col"]:
        _require(raw, wanted, "time stamps (time_col)")
    candidates = [c for c in raw.frame.columns if c not in taken and looks_like_time(raw.frame[c])]
    if len(candidates) == 1:
        raw.notes.append(f"The time stamps are taken from column {candidates[0]!r} (there is no 'ds').")
        return candidates[0]
    if len(raw.frame.columns) == 1:
        raw.notes.append("There is no column of time stamps: the rows are taken in their order, as steps 0, 1, 2, ...")
        return None
    which = (
        f"it may be {' or '.join(map(repr, candidates))}" if candidates else f"the columns are {raw.columns_in_words()}"
    )
    raise CeldaError(f"{raw.name} has no column 'ds' of time stamps: {which}; say which with time_col.")


def _guess_target(raw: RawTable, wanted: str, taken: Sequence[str | None]) -> str:
    if wanted != _DEFAULTS["target_col"]:
        _require(raw, wanted, "target (target_col)")
    candidates = [c for c in raw.frame.columns if c not in taken and _holds_numbers(raw, c)]
    if len(candidates) == 1:
        raw.notes.append(f"The target is taken from column {candidates[0]!r} (there is no 'y').")
        return candidates[0]
    if not candidates:
        raise CeldaError(
            f"{raw.name} has no column 'y' and no other column of numbers: the columns are {raw.columns_in_words()}."
        )
    names = ", ".join(candidates[:6]) + (", ..." if len(candidates) > 6 else "")
    raise CeldaError(
        f"{raw.name} has no column 'y', and {len(candidates)} columns of numbers ({names}): say which, as in "
        f"target_col={candidates[0]!r}; if each is a series of its own, stack them with pandas.melt and name id_col."
    )


def _holds_numbers(raw: RawTable, name: str) -> bool:
    if is_numeric(raw.frame[name]):
        return True
    sample = RawTable(raw.frame[[name]].dropna().head(50), raw.name, raw.separator)
    return not sample.frame.empty and not isinstance(parse_numbers(sample, name), int)
