"""Look through the columns of a table for persons and secrets.

Text columns are looked through whole, each different text once; columns of numbers
only for identity numbers and telephones, which have lengths of their own. Names in
free text, and identifiers without a form, are not found: this is a net, no proof.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.privacy import checkdigits, names
from tundish.data.privacy.forms import FORMS, Form, Severity

_ANY = "|".join(f"(?:{form.pattern})" for form in FORMS)
_FEW = 20_000
_PROVED = 2_000
_RESIDENT_SHARE = 0.9
_RESIDENT_LOW, _RESIDENT_HIGH = 1.1e17, 8.4e17
_PHONE_LOW, _PHONE_HIGH = 1.0e8, 1.0e13
_HEAD = 1000
_MIN_DISTINCT = 3


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """A column that holds persons or secrets.

    Attributes:
        column: Its title.
        what: What it holds, in words.
        severity: How bad that is.
        rows: Rows that hold it, from 0, in order.
        example: One of them, masked.
    """

    column: str
    what: str
    severity: Severity
    rows: NDArray[np.int64]
    example: str


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """How well persons hide among each other (k-anonymity).

    Attributes:
        columns: What is told of persons beside who they are.
        k: Size of the smallest group of persons who share all of it.
        alone: Persons in groups of one.
        persons: Persons in all.
    """

    columns: tuple[str, ...]
    k: int
    alone: int
    persons: int


def look(
    frame: pl.DataFrame,
    *,
    marked: Collection[str] = (),
    passed_over: Collection[str] = (),
    states: dict[str, dict[str, int]] | None = None,
) -> tuple[Exposure, ...]:
    """Look through a table; at most one exposure per column, the worst.

    Args:
        frame: The table. Untrusted cells.
        marked: Columns that the owner marked as recipe.
        passed_over: Columns not to be looked at, such as the time.
        states: Texts that stood in columns of numbers -> count.
    """
    found: list[Exposure] = []
    for series in frame.get_columns():
        if series.name in passed_over:
            continue
        one = _column(series, (states or {}).get(series.name, {}))
        if one is None and series.name in marked:
            rows = _rows(series.is_not_null())
            one = Exposure(
                column=series.name,
                what="part of a recipe, as the card says",
                severity="quasi",
                rows=rows,
                example="",
            )
        found += [one] if one else []
    return tuple(found)


def crowd(frame: pl.DataFrame, found: Sequence[Exposure]) -> Crowd | None:
    """Return how well persons hide among each other, if the table has persons.

    A person is a different value of the first column that tells persons apart; what is
    told of them stands in columns such as age, department or shift. A person with
    several of these (who changed shift) counts with each.
    """
    persons = [e.column for e in found if e.what in _TELLS_APART]
    told = [name for name in frame.columns if names.says_attribute(name)]
    if not persons or not told:
        return None
    groups = (
        frame.select(persons[0], *told)
        .drop_nulls(persons[0])
        .unique()
        .group_by(told)
        .agg(pl.col(persons[0]).n_unique().alias("_persons"))
    )
    sizes = groups["_persons"].to_numpy()
    if not len(sizes):
        return None
    return Crowd(
        columns=tuple(told),
        k=int(sizes.min()),
        alone=int((sizes == 1).sum()),
        persons=frame[persons[0]].n_unique(),
    )


def mask(text: str) -> str:
    """Return at most the first two characters of a secret, and never a third of it."""
    shown = min(2, len(text) // 3)
    return f"{text[:shown]}***"


NAMES_OF_PERSONS = "names of persons"
CODES_OF_PERSONS = "numbers or marks of persons"
_TELLS_APART = {NAMES_OF_PERSONS, CODES_OF_PERSONS}


def _column(series: pl.Series, states: dict[str, int]) -> Exposure | None:
    if series.dtype == pl.Float64:
        return _numbers(series, states)
    if series.dtype != pl.String:
        return None
    return _by_title(series) or _by_form(series)


def _by_form(series: pl.Series) -> Exposure | None:
    """Look for the forms; two passes: is there anything, and then what."""
    distinct = series.unique()
    hits = distinct.filter(distinct.str.contains(_ANY).fill_null(value=False))
    if hits.is_empty():
        return None
    for form in FORMS:
        like = hits.filter(hits.str.contains(form.pattern).fill_null(value=False))
        proved = _proved(form, like.head(_FEW).to_list())
        if proved:
            cells = like if like.len() > _FEW else pl.Series([c for c, _ in proved])
            return Exposure(
                column=series.name,
                what=form.name,
                severity=form.severity,
                rows=_rows(series.is_in(cells.implode())),
                example=mask(proved[0][1]),
            )
    return None


def _proved(form: Form, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return (cell, what was found in it) for the cells that bear the form out."""
    pattern = re.compile(form.pattern, re.ASCII)
    found = [(text, hit[0]) for text in texts if (hit := pattern.search(text))]
    held = [pair for pair in found if form.proof is None or form.proof(pair[1])]
    if len(held) < form.share * len(found):
        return []
    return held if len({hit for _, hit in held}) >= form.distinct else []


def _rows(held: pl.Series) -> NDArray[np.int64]:
    return np.flatnonzero(held.fill_null(value=False).to_numpy())


def _by_title(series: pl.Series) -> Exposure | None:
    title = series.name
    secret, phone = names.says_secret(title), names.says_phone(title)
    named, coded = names.says_name(title), names.says_code(title)
    person = coded or names.about_person(title)
    distinct: list[str] = []
    if secret or phone or named or person or names.may_name(title):
        distinct = [v.strip() for v in series.drop_nulls().unique().to_list()[:_FEW]]
        distinct = [value for value in distinct if value]
    if not distinct:
        return None
    dialled = phone and any(sum(c.isdigit() for c in v) >= 7 for v in distinct)
    found: tuple[str, Severity] | None = None
    if secret:
        found = ("passwords or keys, as its title says", "secret")
    elif dialled:
        found = ("telephone numbers, as its title says", "direct")
    elif not coded and names.are_names(distinct, announced=named):
        found = (NAMES_OF_PERSONS, "direct")
    elif person and names.are_codes(distinct):
        found = (CODES_OF_PERSONS, "quasi")
    return _whole(series, *found) if found else None


def _whole(series: pl.Series, what: str, severity: Severity) -> Exposure:
    rows = _rows(series.is_not_null())
    return Exposure(
        column=series.name,
        what=what,
        severity=severity,
        rows=rows,
        example=mask(str(series[int(rows[0])]).strip()),
    )


def _numbers(series: pl.Series, states: dict[str, int]) -> Exposure | None:
    """Look at a column of numbers: identity numbers by length, others by title."""
    title = series.name
    values = _distinct_whole(series) if _may_be_persons(series) else np.zeros(0)
    if len(values) >= _MIN_DISTINCT:
        low, high = float(values.min()), float(values.max())
        if _are_residents(values):
            return _whole(series, "Chinese resident identity numbers", "direct")
        if names.says_phone(title) and low >= _PHONE_LOW and high < _PHONE_HIGH:
            return _whole(series, "telephone numbers, as its title says", "direct")
        if names.says_code(title) or names.about_person(title):
            return _whole(series, CODES_OF_PERSONS, "quasi")
    cells = [text for text in states if _proved(_RESIDENT, [text])]
    if not cells:
        return None
    none = np.zeros(0, dtype=np.int64)
    return Exposure(
        column=title,
        what=_RESIDENT.name,
        severity="direct",
        rows=none,
        example=mask(cells[0]),
    )


def _may_be_persons(series: pl.Series) -> bool:
    """Tell whether the title speaks of persons, or a number is as long as theirs.

    Few columns are so; the others need no look at each number.
    """
    title, most = series.name, series.max()
    if names.says_phone(title) or names.says_code(title) or names.about_person(title):
        return True
    return isinstance(most, float) and not most < _RESIDENT_LOW


def _distinct_whole(series: pl.Series) -> NDArray[np.float64]:
    """Return the distinct numbers of a column if all are whole, else none."""
    if _whole_numbers(series.head(_HEAD)) and _whole_numbers(series):
        return np.asarray(series.drop_nulls().unique().to_numpy())
    return np.zeros(0)


def _whole_numbers(series: pl.Series) -> bool:
    return bool((series == series.round(0)).all())


def _are_residents(values: NDArray[np.float64]) -> bool:
    """Tell whether whole numbers are identity numbers of Chinese residents.

    A double holds the first 15 digits of an 18-digit number: region and birthday are
    read, and nine in ten of all values must have both.
    """
    if values.min() < _RESIDENT_LOW or values.max() >= _RESIDENT_HIGH:
        return False
    fronts = [f"{value:.0f}"[:14] for value in values[:_PROVED]]
    fit = sum(map(checkdigits.resident_front, fronts))
    return fit >= _RESIDENT_SHARE * len(fronts)


_RESIDENT = next(form for form in FORMS if form.proof is checkdigits.chinese_resident)
