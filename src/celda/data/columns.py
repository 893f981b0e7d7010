"""Which column is what: the names that were given, matched to the names that are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from celda.data.parsing import is_numeric, looks_like_time, parse_numbers
from celda.data.reading import RawTable
from celda.errors import CeldaError

_DEFAULTS = {"id_col": "unique_id", "time_col": "ds", "target_col": "y"}


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


def match_columns(
    raw: RawTable,
    id_col: str,
    time_col: str,
    target_col: str,
    past: Sequence[str],
    future: Sequence[str],
    static: Sequence[str],
) -> Columns:
    """Find the columns; where the default names are absent, take the only one that can be meant, and note it.

    Raises CeldaError where a name is not there, is used twice, or the choice is not obvious.
    """
    for kind, names in (("past", past), ("future", future), ("static", static)):
        if isinstance(names, str):
            raise CeldaError(f"The {kind} covariates are a list of columns: write {kind}=[{names!r}].")
        for name in names:
            _require(raw, name, f"{kind} covariate")
    covariates = [*past, *future, *static]
    if id_col not in raw.frame and id_col != _DEFAULTS["id_col"]:
        _require(raw, id_col, "series (--id-col)")
    found_id = id_col if id_col in raw.frame else None
    found_time = time_col if time_col in raw.frame else _guess_time(raw, time_col, [*covariates, target_col, found_id])
    found_target = target_col
    if target_col not in raw.frame:
        found_target = _guess_target(raw, target_col, [*covariates, found_time, found_id])
    used = [name for name in (found_id, found_time, found_target, *covariates) if name is not None]
    if len(set(used)) < len(used):
        twice = next(name for name in used if used.count(name) > 1)
        raise CeldaError(f"{raw.name}: column {twice!r} is given two roles: name each column once.")
    return Columns(found_id, found_time, found_target, tuple(past), tuple(future), tuple(static))


def _require(raw: RawTable, name: str, role: str) -> None:
    if name not in raw.frame:
        close = get_close_matches(name, list(raw.frame.columns), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are {raw.columns_in_words()}."
        raise CeldaError(f"{raw.name} has no column {name!r} for the {role}: {hint}")


def _guess_time(raw: RawTable, wanted: str, taken: Sequence[str | None]) -> str | None:
    if wanted != _DEFAULTS["time_col"]:
        _require(raw, wanted, "time stamps (--time-col)")
    candidates = [c for c in raw.frame.columns if c not in taken and looks_like_time(raw.frame[c])]
    if len(candidates) == 1:
        raw.notes.append(f"The time stamps are taken from column {candidates[0]!r} (there is no 'ds').")
        return candidates[0]
    if len(raw.frame.columns) == 1:
        raw.notes.append("There is no column of time stamps: the rows are taken in their order, as steps 0, 1, 2, ...")
        return None
    which = f"it may be {' or '.join(map(repr, candidates))}" if candidates else f"the columns are {raw.columns_in_words()}"
    raise CeldaError(f"{raw.name} has no column 'ds' of time stamps: {which}; say which with time_col (--time-col).")


def _guess_target(raw: RawTable, wanted: str, taken: Sequence[str | None]) -> str:
    if wanted != _DEFAULTS["target_col"]:
        _require(raw, wanted, "target (--target-col)")
    candidates = [c for c in raw.frame.columns if c not in taken and _holds_numbers(raw, c)]
    if len(candidates) == 1:
        raw.notes.append(f"The target is taken from column {candidates[0]!r} (there is no 'y').")
        return candidates[0]
    if not candidates:
        raise CeldaError(f"{raw.name} has no column 'y' and no other column of numbers: the columns are {raw.columns_in_words()}.")
    names = ", ".join(candidates[:6]) + (", ..." if len(candidates) > 6 else "")
    raise CeldaError(
        f"{raw.name} has no column 'y', and {len(candidates)} columns of numbers ({names}): say which with target_col "
        f"(--target-col {candidates[0]}); if each is a series of its own, bring them under one another with pandas.melt."
    )


def _holds_numbers(raw: RawTable, name: str) -> bool:
    if is_numeric(raw.frame[name]):
        return True
    sample = RawTable(raw.frame[[name]].dropna().head(50), raw.name, raw.separator)
    return not sample.frame.empty and not isinstance(parse_numbers(sample, name), int)
