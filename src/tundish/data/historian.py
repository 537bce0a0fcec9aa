"""Exports of a historian in the long form: one line per value, tag by tag.

Such a table (tag, time, value and perhaps quality and unit, under any names in any
order) becomes one wide table for each clock by which values were stored. Tags that were
stored at the same moments share a table; a tag with moments of its own gets a table of
its own, so that its gaps are judged on its own times and no value is ever invented to
fill a common grid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data import cells
from tundish.data.quality import (
    QUALITY_NAME,
    STATUS_NAME,
    Quality,
    flags_of,
    read_quality,
)
from tundish.data.roles import Named
from tundish.data.table import Assumption, Table
from tundish.data.times import NO_TIME, Times, parse_times

Ints = NDArray[np.int64]

MOST_COLUMNS = 12
MIN_ROWS = 20
_TAG_NAME = re.compile(
    r"^(tag|point|item|signal|sensor|variable|channel|parameter|node|measurement|metric|"
    r"series|attribute|kanal|messstelle|messpunkt|bezeichnung)"
    r"([ _.\-]?(name|id|no|nr|number|key|path|code))?$|^name$|^(位号|点名|点号|测点|标签|变量|信号|指标|参数)",
    re.IGNORECASE,
)
_VALUE_NAME = re.compile(
    r"^(value|val|wert|messwert|istwert|reading|measured[ _]?value|numeric[ _]?value|"
    r"num[ _]?value|float[ _]?value|pv|valeur|valor|result)(_?\w{0,5})?$|"
    r"^(值|数值|测量值|采样值|实测值|测值|读数)",
    re.IGNORECASE,
)
_UNIT_NAME = re.compile(
    r"^(units?|uom|eng[ _]?units?|einheit|unit[ _]?of[ _]?measure(ment)?|单位)$",
    re.IGNORECASE,
)
_TIME_NAME = re.compile(
    r"time|date|zeit|datum|stamp|clock|时间|日期|^ts?$", re.IGNORECASE
)
_SAMPLE = 400
_SCALES_APART = 10.0
_MIN_TAGS = 3
_MOST_GROUPS = 40
_SHARED = 0.9
_COVERED = 0.5
_SLOTS = 1024  # values of one tag at one moment that are told apart


@dataclass(frozen=True, kw_only=True)
class LongForm:
    """Which column of a long table is what; ``None`` where it has no such column.

    Attributes:
        text: Holds the values of tags that have texts, beside a column of numbers.
    """

    time: str
    tag: str
    value: str
    quality: str | None = None
    unit: str | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What stands in each line of a long table, in the file's order.

    Attributes:
        value: Column of the values.
        tags: Tag of each line, shape [n].
        us: Time of each line, shape [n]; ``NO_TIME`` where absent.
    """

    value: str
    tags: pl.Series
    us: Ints


@dataclass(frozen=True, kw_only=True)
class Part:
    """One wide table of a file, and its times if they were read already.

    Attributes:
        alone: True if the file holds other tables beside it.
    """

    table: Table
    times: Times | None = None
    alone: bool = False


@dataclass(kw_only=True)
class _Track:
    """One tag: its keys (moment and turn) in rising order, values and marks."""

    tag: str
    keys: Ints
    values: pl.Series
    places: dict[str, Ints] = field(default_factory=dict)
    flags: dict[str, Ints] = field(default_factory=dict)


def unfold(table: Table, named: Named) -> tuple[Part, ...]:
    """Return the wide tables of a long one; another table comes back as it is.

    Args:
        table: As it was read.
        named: What the user named; a column of units (``--unit``) that would be the
            tag's keeps the table as it is.
    """
    form = long_form(table, named)
    if form is None:
        return (Part(table=table),)
    order, starts = _by_tag(table.frame[form.tag])
    frame = table.frame[order]
    times = _times(frame[form.time], starts, named)
    if times is None:
        return (Part(table=table),)
    tracks, lost = _tracks(table, frame, form, (times, order, starts))
    groups = _grouped(tracks)
    units = _units(frame, form, starts)
    said = _said(table, form, (len(tracks), len(groups), lost))
    several = len(groups) > 1
    parts: list[Part] = []
    for keys, members in groups:
        name = _name(table.name, members) if several else table.name
        made = replace(
            _wide(name, form, (keys, members)),
            units={t.tag: units[t.tag] for t in members if t.tag in units},
            assumptions=() if parts else (*table.assumptions, said),
            dropped=() if parts else table.dropped,
        )
        own = replace(times, us=keys // _SLOTS)
        parts.append(Part(table=made, times=own, alone=several))
    return tuple(parts)


def long_form(table: Table, named: Named) -> LongForm | None:
    """Tell whether a table is in the long form, from its names and its values.

    Both a name for the tag and a name for the value are proof. With one of them, or
    none, the tags must differ in scale by ten times (a table of many machines has one
    signal of one scale), and each must hold most moments once.
    """
    frame = table.frame
    if not 3 <= frame.width <= MOST_COLUMNS or frame.height < MIN_ROWS:
        return None
    time = _time_column(frame, named)
    if time is None:
        return None
    rest = [name for name in frame.columns if name != time]
    quality = next((n for n in rest if _is_quality(frame[n])), None)
    unit = next((n for n in rest if _UNIT_NAME.match(n) and _is_text(frame[n])), None)
    rest = [name for name in rest if name not in {quality, unit}]
    tag, value = _tag_and_value(frame, rest)
    if tag is None or value is None or named.unit == tag or named.target == value:
        return None
    others = [n for n in rest if n not in {tag, value} and not _says_quality(n)]
    if any(_is_signal(frame[n]) and not _copies(frame, n, value) for n in others):
        return None
    proof = bool(_TAG_NAME.match(tag)) + bool(_VALUE_NAME.match(value))
    text = _text_beside(frame, others, value)
    found = LongForm(
        time=time, tag=tag, value=value, quality=quality, unit=unit, text=text
    )
    if proof == 2 or (not others and _scales_differ(frame, found)):
        return found
    return None


def _time_column(frame: pl.DataFrame, named: Named) -> str | None:
    if named.time is not None:
        return named.time if named.time in frame.columns else None
    columns = sorted(frame.get_columns(), key=lambda s: not _TIME_NAME.search(s.name))
    for series in columns:
        number = series.dtype == pl.Float64
        if number and not _TIME_NAME.search(series.name):
            continue
        picks = np.unique(np.linspace(0, len(series) - 1, _SAMPLE).astype(int))
        if parse_times(series.gather(picks), "") is not None:
            return series.name
    return None


def _tag_and_value(
    frame: pl.DataFrame, names: Sequence[str]
) -> tuple[str | None, str | None]:
    tags = [n for n in names if _is_text(frame[n]) and _repeats(frame[n])]
    tags.sort(key=lambda n: not _TAG_NAME.match(n))
    values = [n for n in names if frame[n].dtype == pl.Float64]
    values += [
        n
        for n in names
        if _is_text(frame[n]) and _VALUE_NAME.match(n) and n not in tags[:1]
    ]
    values.sort(key=lambda n: not _VALUE_NAME.match(n))
    tag = tags[0] if tags else None
    value = next((n for n in values if n != tag), None)
    return tag, value


def _says_quality(name: str) -> bool:
    """Tell whether a further column speaks of quality, such as codes beside words."""
    return bool(QUALITY_NAME.match(name) or STATUS_NAME.match(name))


def _copies(frame: pl.DataFrame, name: str, value: str) -> bool:
    """Tell whether a further column says no more than the values, such as truth values."""
    if frame[value].dtype != pl.Float64:
        return False
    filled = frame[name].is_not_null()
    return bool(
        (frame[name] == frame[value]).filter(filled).fill_null(value=False).all()
    )


def _text_beside(frame: pl.DataFrame, names: Sequence[str], value: str) -> str | None:
    """Return the column named ``text`` of a table whose values are numbers."""
    found = next((n for n in names if n.lower() == "text" and _is_text(frame[n])), None)
    return found if frame[value].dtype == pl.Float64 else None


def _is_text(series: pl.Series) -> bool:
    return series.dtype == pl.String


def _repeats(series: pl.Series) -> bool:
    """Tell whether a column could name tags: never empty, each name at least thrice."""
    return series.null_count() == 0 and 3 * series.n_unique() <= len(series)


def _is_quality(series: pl.Series) -> bool:
    named = bool(QUALITY_NAME.match(series.name))
    if not named and not STATUS_NAME.match(series.name):
        return False
    return read_quality(series, named=named) is not None


def _is_signal(series: pl.Series) -> bool:
    """Tell whether a further column is measured: numbers that are no row numbers."""
    if series.dtype != pl.Float64:
        return False
    filled = series.drop_nulls().to_numpy()
    steps = np.diff(filled)
    counts = bool(len(steps)) and bool((steps == 1).all())
    return len(filled) > 0 and not counts and float(np.ptp(filled)) > 0


def _scales_differ(frame: pl.DataFrame, form: LongForm) -> bool:
    if frame[form.value].dtype != pl.Float64:
        return False
    grouped = frame.group_by(form.tag).agg(
        pl.col(form.value).abs().median().alias("scale"),
        pl.col(form.time).n_unique().alias("moments"),
        pl.len().alias("rows"),
    )
    once = float(grouped["moments"].sum()) >= _SHARED * frame.height
    scales = grouped["scale"].drop_nulls().to_numpy()
    scales = scales[scales > 0]
    enough = len(scales) >= _MIN_TAGS
    return bool(once and enough and scales.max() > _SCALES_APART * scales.min())


def lines(table: Table, named: Named) -> Lines | None:
    """Return what stands in each line of a long table; ``None`` for another table."""
    form = long_form(table, named)
    if form is None:
        return None
    order, starts = _by_tag(table.frame[form.tag])
    times = _times(table.frame[form.time][order], starts, named)
    if times is None:
        return None
    us = np.empty(len(order), dtype=np.int64)
    us[order] = times.us
    tags = table.frame[form.tag].cast(pl.String)
    return Lines(value=form.value, tags=tags, us=us)


def _times(
    cells_: pl.Series, starts: list[tuple[str, int, int]], named: Named
) -> Times | None:
    zone = named.time_zone or ""
    times = parse_times(cells_, zone)
    if times is None or not times.known.any():
        return None
    return _turned(cells_, times, starts, zone)


def _by_tag(tags: pl.Series) -> tuple[Ints, list[tuple[str, int, int]]]:
    """Return the rows sorted by tag (the file's order kept) and each tag's stretch."""
    codes = tags.cast(pl.Categorical).to_physical().to_numpy()
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    edges = [0, *cuts.tolist(), len(order)]
    starts = [
        (str(tags[int(order[first])]), first, last) for first, last in pairwise(edges)
    ]
    return order.astype(np.int64), starts


def _turned(
    cells_: pl.Series, times: Times, starts: list[tuple[str, int, int]], zone: str
) -> Times:
    """Read local times again for tags that were written newest first.

    The hour that stands twice is told apart by a step back of the clock; read from the
    newest, it is a step on.
    """
    if times.kind != "local":
        return times
    us = times.us.copy()
    for _, first, last in starts:
        steps = np.diff(times.us[first:last])
        if len(steps) and (steps < 0).mean() > _SHARED:
            again = parse_times(cells_[first:last].reverse(), zone)
            if again is not None and len(again.us) == last - first:
                us[first:last] = again.us[::-1]
    return replace(times, us=us)


def _tracks(
    table: Table,
    frame: pl.DataFrame,
    form: LongForm,
    place: tuple[Times, Ints, list[tuple[str, int, int]]],
) -> tuple[list[_Track], int]:
    """Return the tags, and how many values had no time."""
    times, order, starts = place
    values = frame[form.value]
    comma = cells.decimal_comma(pl.DataFrame([values])) if _is_text(values) else False
    quality = None
    if form.quality is not None:
        named = bool(QUALITY_NAME.match(form.quality))
        quality = read_quality(frame[form.quality], named=named)
    marks = _marks(table.places.get(form.value, {}), order)
    tracks, lost = [], 0
    for tag, first, last in starts:
        us = times.us[first:last]
        rows = np.flatnonzero(us != NO_TIME)
        lost += last - first - len(rows)
        rows = rows[np.argsort(us[rows], kind="stable")]
        if len(rows):
            keys = _keys(us[rows])
            held = values[first:last].gather(rows)
            if form.text is not None and held.null_count() == len(held):
                held = frame[form.text][first:last].gather(rows)
            mark = None if marks is None else marks[first:last].gather(rows)
            own = _part_of(quality, first + rows)
            tracks.append(_track(tag, keys, (held, mark, own), comma=comma))
    return tracks, lost


def _marks(places: dict[str, Ints], order: Ints) -> pl.Series | None:
    """Return the text of each row (in the new order) where a text stood, else null."""
    if not places:
        return None
    words = pl.Series([None], dtype=pl.String).extend_constant(None, len(order) - 1)
    for word, rows in places.items():
        words = words.scatter(rows, word)
    return words[order]


def _part_of(quality: Quality | None, rows: Ints) -> Quality | None:
    if quality is None:
        return None
    return replace(quality, bad=quality.bad[rows], words=quality.words.gather(rows))


def _track(
    tag: str,
    keys: Ints,
    found: tuple[pl.Series, pl.Series | None, Quality | None],
    *,
    comma: bool,
) -> _Track:
    values, marks, quality = found
    places: dict[str, Ints] = {}
    if _is_text(values):
        column = cells.to_column(values, comma=comma)
        values, places = column.values, column.places
    elif marks is not None:
        rows = np.flatnonzero(marks.is_not_null().to_numpy())
        places = cells.places_of(marks.gather(rows), rows) if len(rows) else {}
    flags: dict[str, Ints] = {}
    if quality is not None and values.dtype == pl.Float64:
        flags = flags_of(quality, values)
        values = values.set(pl.Series(quality.bad), None)
    return _Track(tag=tag, keys=keys, values=values, places=places, flags=flags)


def _keys(us: Ints) -> Ints:
    """Return moment and turn as one number: values at one moment are told apart."""
    fresh = np.ones(len(us), dtype=bool)
    fresh[1:] = us[1:] != us[:-1]
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(us)), 0))
    turn = np.minimum(np.arange(len(us)) - first, _SLOTS - 1)
    return us * _SLOTS + turn


def _grouped(tracks: list[_Track]) -> list[tuple[Ints, list[_Track]]]:
    """Put tags that were stored by one clock together.

    Equal moments share a table; a tag joins a larger one with a fixed rate if nine in ten
    of its moments stand there and it fills at least half of them.
    """
    equal: dict[bytes, tuple[Ints, list[_Track]]] = {}
    for track in tracks:
        held = equal.setdefault(track.keys.tobytes(), (track.keys, []))
        held[1].append(track)
    ranked = sorted(equal.values(), key=lambda g: -len(g[0]) * len(g[1]))
    groups: list[tuple[Ints, list[_Track]]] = []
    for keys, members in ranked:
        for i, (union, inside) in enumerate(groups[:_MOST_GROUPS]):
            if not _polled(union):
                continue
            common = int(np.isin(keys, union, assume_unique=False).sum())
            if common >= _SHARED * len(keys) and common >= _COVERED * len(union):
                groups[i] = (np.union1d(union, keys), [*inside, *members])
                break
        else:
            groups.append((keys, members))
    return groups


def _polled(keys: Ints) -> bool:
    """Tell whether moments follow a fixed rate, so that a moment left out is missing."""
    steps = np.diff(keys // _SLOTS)
    steps = steps[steps > 0]
    if len(steps) < MIN_ROWS:
        return False
    usual = np.median(steps)
    return bool(np.mean(np.abs(steps - usual) <= 0.1 * usual) >= _SHARED)


def _name(file: str, members: list[_Track]) -> str:
    if len(members) == 1:
        return f"{file}: {members[0].tag}"
    return f"{file}: {members[0].tag} and {len(members) - 1} more"


def _wide(name: str, form: LongForm, group: tuple[Ints, list[_Track]]) -> Table:
    keys, members = group
    stamps = pl.Series(form.time, keys // _SLOTS).cast(pl.Datetime("us", "UTC"))
    columns, states = [stamps], {}
    places: dict[str, dict[str, Ints]] = {}
    flags: dict[str, dict[str, Ints]] = {}
    for track in members:
        where = np.searchsorted(keys, track.keys).astype(np.int64)
        tag = track.tag if track.tag != form.time else f"{track.tag}_2"
        column = pl.Series(tag, [None], dtype=track.values.dtype).extend_constant(
            None, len(keys) - 1
        )
        columns.append(column.scatter(where, track.values.alias(tag)))
        if track.places:
            places[tag] = {word: where[rows] for word, rows in track.places.items()}
            states[tag] = {word: len(rows) for word, rows in track.places.items()}
        if track.flags:
            flags[tag] = {word: where[rows] for word, rows in track.flags.items()}
    return Table(
        name=name,
        frame=pl.DataFrame(columns),
        states=states,
        places=places,
        flags=flags,
        lines=len(keys),
    )


def _units(
    frame: pl.DataFrame, form: LongForm, starts: list[tuple[str, int, int]]
) -> dict[str, str]:
    """Return tag -> unit where a column of units says one for it."""
    if form.unit is None:
        return {}
    texts = frame[form.unit].str.strip_chars()
    found = {}
    for tag, first, last in starts:
        levels = texts[first:last].drop_nulls().unique()
        if len(levels) == 1 and levels[0]:
            found[tag] = str(levels[0])
    return found


def _said(table: Table, form: LongForm, counts: tuple[int, int, int]) -> Assumption:
    tags, clocks, lost = counts
    beside = f", {form.quality} the quality" if form.quality else ""
    apart = (
        "all stored at the same moments"
        if clocks == 1
        else f"stored by {clocks} clocks, each graded on its own times"
    )
    without = f"; {lost:,} values without a time were left out" if lost else ""
    return Assumption(
        what=f"the table is in the long form of a historian: {form.tag} names the tag, "
        f"{form.value} holds the value{beside}; {table.frame.height:,} lines became "
        f"{tags:,} tags, {apart}{without}",
        why="it has one column of times, one of names that repeat and one of values",
        otherwise=f"keep its lines as they are with --unit {form.tag}",
    )
