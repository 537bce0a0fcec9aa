"""From columns as they were stored to a table's columns: numbers, texts and times."""

from __future__ import annotations

import polars as pl

from tundish.data import cells
from tundish.data.header import plain_name, unit_in_name
from tundish.data.table import Assumption, Table

_HEAD = 200


def valued(name: str, frame: pl.DataFrame, *, comma: bool) -> Table:
    """Turn texts into numbers where they are; numbers lose NaN and infinities."""
    columns, states, words, places = [], {}, {}, {}
    frame = _plainly(frame)
    ready = _castable(frame, comma=comma)
    for series in frame.get_columns():
        column = ready.get(series.name) or cells.to_column(series, comma=comma)
        columns.append(column.values.alias(series.name))
        if column.states:
            states[series.name] = column.states
            places[series.name] = column.places
        if column.missing_words:
            words[series.name] = column.missing_words
    return Table(
        name=name,
        frame=pl.DataFrame(columns),
        states=states,
        missing_words=words,
        places=places,
    )


def _castable(frame: pl.DataFrame, *, comma: bool) -> dict[str, cells.Column]:
    """Return the columns that are plain numbers, found with two whole-frame passes."""
    frame = frame.drop(_hopeless(frame))
    if not frame.width:
        return {}
    texts = [s.name for s in frame.get_columns() if s.dtype == pl.String]
    cast = frame.with_columns(
        pl.col(texts).str.strip_chars().cast(pl.Float64, strict=False)
    )
    finite = cast.select(pl.all().is_finite().sum()).row(0)
    filled = frame.null_count().row(0)
    done, types = {}, frame.dtypes
    for i, series in enumerate(cast.get_columns()):
        was_text = types[i] == pl.String
        words = frame.height - filled[i] - finite[i]
        if was_text and (comma or words or not finite[i]):
            continue
        if words:
            series = series.set(~series.is_finite().fill_null(value=True), None)  # noqa: PLW2901
        done[series.name] = cells.Column(values=series, states={}, missing_words=words)
    return done


def _hopeless(frame: pl.DataFrame) -> list[str]:
    """Return the columns of texts that hold something else among their first cells."""
    texts = [s.name for s in frame.get_columns() if s.dtype == pl.String]
    head = frame.head(_HEAD).select(texts)
    tried = head.select(pl.all().str.strip_chars().cast(pl.Float64, strict=False))
    return [name for name in texts if tried[name].count() < head[name].count()]


def _plainly(frame: pl.DataFrame) -> pl.DataFrame:
    quoted: dict[str, str] = {}
    for name in frame.columns:
        new = plain_name(name)
        while new != name and new in frame.columns:
            new = f"'{new}'"
        quoted[name] = new
    return frame.rename(quoted)


def from_frame(
    name: str, frame: pl.DataFrame, said: tuple[Assumption, ...] = ()
) -> Table:
    """Return a table of typed columns; texts become numbers where they are numbers."""
    kept, odd = [], []
    for series in _plainly(frame).get_columns():
        if series.dtype.is_numeric() or series.dtype == pl.Boolean:
            number = series.cast(pl.Float64, strict=False)
            if not number.is_finite().all():
                number = number.set(~number.is_finite().fill_null(value=True), None)
            kept.append(number)
        elif series.dtype.is_temporal():
            kept.append(series)
        else:
            try:
                kept.append(series.cast(pl.String))
            except pl.exceptions.PolarsError:
                odd.append(series.name)
    texts = [series for series in kept if series.dtype == pl.String]
    read = valued(name, pl.DataFrame(texts), comma=False)
    by_name = {series.name: series for series in read.frame.get_columns()}
    if odd:
        left = Assumption(
            what=f"{len(odd)} columns were left out, the first is {odd[0]}",
            why="their cells are lists or structures",
            otherwise="store one value per cell",
        )
        said = (*said, left)
    return Table(
        name=name,
        frame=pl.DataFrame([by_name.get(series.name, series) for series in kept]),
        units={s.name: unit for s in kept if (unit := unit_in_name(s.name))},
        states=read.states,
        missing_words=read.missing_words,
        lines=frame.height,
        assumptions=said,
        places=read.places,
    )


def without_empty(
    frame: pl.DataFrame,
) -> tuple[pl.DataFrame, tuple[Assumption, ...]]:
    """Leave out columns without name and value: lines that end with a separator."""
    nulls = frame.null_count().row(0)
    empty = [
        name
        for name, count in zip(frame.columns, nulls, strict=True)
        if count == frame.height and name.startswith("column_")
    ]
    if not empty or len(empty) == frame.width:
        return frame, ()
    said = Assumption(
        what=f"columns without name or value were left out ({len(empty)})",
        why="lines that end with a separator make them",
        otherwise="name the column in the header line",
    )
    return frame.drop(empty), (said,)
