"""One column of a file as what the entry says it is: numbers, texts or moments."""

from __future__ import annotations

import polars as pl

from tundish.catalog.setforms import Column, Tabular
from tundish.data import cells
from tundish.data.errors import SetUnfitError
from tundish.data.table import Table
from tundish.data.times import NO_TIME, parse_times

_WHOLE = 2.0**53
_SHOWN = 4


def typed(table: Table, series: pl.Series, column: Column, form: Tabular) -> pl.Series:
    """Return a column under its name and in its type.

    Raises:
        SetUnfitError: if its cells are something else.
    """
    if column.holds == "text":
        made = _texts(series)
    elif column.holds == "time":
        made = _times(table, series, column, form.time_zone)
    else:
        made = _numbers(table, series, column, form)
        if column.holds == "whole":
            made = _whole(table, made, column)
    return made.alias(column.name)


def _texts(series: pl.Series) -> pl.Series:
    if series.dtype != pl.Float64:
        return series.cast(pl.String)
    values = [None if v is None else f"{v:.15g}" for v in series.to_list()]
    return pl.Series(values, dtype=pl.String)


def _times(table: Table, series: pl.Series, column: Column, zone: str) -> pl.Series:
    times = parse_times(series, zone)
    if times is None:
        msg = f"The column {column.name!r} of {table.name} holds no times."
        raise SetUnfitError(msg)
    made = pl.Series(times.us).set(pl.Series(times.us == NO_TIME), None)
    lost = made.null_count() - series.null_count()
    if lost > 0:
        msg = f"The column {column.name!r} of {table.name} has {lost} cells that are no times."
        raise SetUnfitError(msg)
    return made.cast(pl.Datetime("us", "UTC"))


def _numbers(
    table: Table, series: pl.Series, column: Column, form: Tabular
) -> pl.Series:
    strange = {
        text: many
        for text, many in table.states.get(series.name, {}).items()
        if text not in column.stray
    }
    if series.dtype == pl.String:
        # a table of words, or a column with more texts than numbers
        stray = series.is_in(list(column.stray)).fill_null(value=False)
        read = cells.to_column(series.set(stray, None), comma=False)
        strange = {t: n for t, n in read.states.items() if t not in column.stray}
        series = read.values
    if series.dtype == pl.String and series.null_count() < len(series):
        odd = [text for text in series.drop_nulls() if not _is_number(text)]
        strange = {text: odd.count(text) for text in odd[:_SHOWN]}
    elif not series.dtype.is_numeric():
        strange = strange or {"nothing": len(series)}
    if strange:
        said = ", ".join(f"{t[:40]!r} {n}x" for t, n in list(strange.items())[:_SHOWN])
        msg = f"The column {column.name!r} of {table.name} is one of numbers, and holds {said}."
        raise SetUnfitError(msg)
    numbers = series.cast(pl.Float64)
    if form.missing:
        numbers = numbers.set(
            numbers.is_in(list(form.missing)).fill_null(value=False), None
        )
    if numbers.null_count() == len(numbers):
        msg = f"The column {column.name!r} of {table.name} has no number in {len(numbers)} records."
        raise SetUnfitError(msg)
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(table: Table, numbers: pl.Series, column: Column) -> pl.Series:
    broken = numbers.filter((numbers != numbers.round()) | (numbers.abs() > _WHOLE))
    if len(broken):
        msg = f"The column {column.name!r} of {table.name} is one of whole numbers, and holds {broken[0]:g}."
        raise SetUnfitError(msg)
    return numbers.cast(pl.Int64)
