"""Cells to values: numbers with points or commas, words for nothing, text states."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

MISSING_WORDS = (
    "",
    "-",
    "--",
    "---",
    "?",
    ".",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "nan",
    "-nan",
    "nan(ind)",
    "null",
    "none",
    "nil",
    "missing",
    "unknown",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "-infinity",
)
MAX_STATES = 50
_LONG = 10_000
_NAME_LIKE = r"^([A-Za-z]{1,2}\d+|\d+[A-Za-z]|\d+ ?([-/&,]|and|to) ?\d+)$"
CENSORED = re.compile(r"[<>≤≥]\s?=?\s?\d+(?:[.,]\d+)?\s?[A-Za-z/%µ]{0,6}")
_TRUTH = {"true", "false"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column after reading.

    Attributes:
        values: ``Float64`` with nulls, or the texts (white space stripped).
        states: Texts that stood in a column of numbers -> count.
        missing_words: Cells with a word for "no value".
        places: Text -> its rows, counted from 0.
    """

    values: pl.Series
    states: dict[str, int]
    missing_words: int
    places: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def decimal_comma(frame: pl.DataFrame) -> bool:
    """Tell whether numbers are written ``1,5``: cells have commas, none has a point."""
    head = frame.head(1000)
    commas = points = 0
    for series in head.select(pl.col(pl.String)).get_columns():
        text = series.str.strip_chars()
        commas += int(
            text.str.contains(r"^[+-]?\d[\d.]*,\d+([eE][+-]?\d+)?$").sum() or 0
        )
        points += int(text.str.contains(r"^[+-]?\d*\.\d+([eE][+-]?\d+)?$").sum() or 0)
    return commas > 0 and commas > 20 * points


def to_column(texts: pl.Series, *, comma: bool) -> Column:
    """Turn a column of texts into numbers if most of its filled cells are numbers.

    Args:
        texts: ``String`` series. Untrusted.
        comma: Numbers have a decimal comma (and perhaps points between thousands).
    """
    if len(texts) > _LONG and _only_texts(texts, comma=comma):
        return Column(values=texts, states={}, missing_words=0)
    text = texts.str.strip_chars(" \t\u00a0\u202f")
    word = text.str.to_lowercase().is_in(list(MISSING_WORDS))
    plain = text.set(word.fill_null(value=True), None)
    numbers = _parsed(plain, comma=comma)
    strange = numbers.is_null() & plain.is_not_null()
    odd = plain.filter(strange)
    counted = numbers.count()
    words = int(word.sum()) - int((text == "").sum())
    if len(odd) == 0:
        return Column(values=numbers, states={}, missing_words=words)
    if counted:
        if counted < len(odd) or odd.n_unique() > MAX_STATES or _names(odd):
            return Column(values=plain, states={}, missing_words=0)
        found = odd.alias("word").value_counts(sort=True)  # its name may be "count"
        states = dict(zip(found[found.columns[0]], found["count"], strict=True))
        return Column(
            values=numbers,
            states=states,
            missing_words=words,
            places=places_of(odd, np.flatnonzero(strange.to_numpy())),
        )
    low = plain.str.to_lowercase()
    if low.is_in(list(_TRUTH)).all():
        truth = (low == "true").cast(pl.Float64)
        return Column(values=truth, states={}, missing_words=words)
    return Column(values=plain, states={}, missing_words=0)


def _names(odd: pl.Series) -> bool:
    """Tell whether texts among numbers show that all of them are names: 207a, 365-368."""
    return 2 * int(odd.str.contains(_NAME_LIKE).sum()) > len(odd)


def _only_texts(texts: pl.Series, *, comma: bool) -> bool:
    """Tell whether a long column repeats few texts, none of them a number or a word."""
    levels = texts.drop_nulls().unique()
    if not 0 < len(levels) <= _LONG:
        return False
    found = to_column(levels, comma=comma).values
    return (
        found.dtype == pl.String
        and bool((found == levels).all())
        and (found.null_count() == 0 and _parsed(levels, comma=comma).count() == 0)
    )


def places_of(
    words: pl.Series, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return word -> its rows, the commonest word first.

    Args:
        words: Texts, shape [k].
        rows: Row of each, shape [k].
    """
    pairs = pl.DataFrame({"word": words, "row": rows})
    grouped = pairs.group_by("word", maintain_order=True).agg("row")
    found = {
        str(word): np.asarray(held, dtype=np.int64)
        for word, held in grouped.iter_rows()
    }
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def _parsed(plain: pl.Series, *, comma: bool) -> pl.Series:
    if comma:
        thousands = plain.str.contains(",", literal=True).fill_null(value=False)
        pointless = plain.str.replace_all(".", "", literal=True)
        plain = pointless.zip_with(thousands, plain)
        plain = plain.str.replace(",", ".", literal=True)
    numbers = plain.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite().fill_null(value=True), None)
