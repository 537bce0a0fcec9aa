"""Tables of the same form, bound as one: the files of a folder, an archive's members."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data import cells
from tundish.data.roles import Named, Roles, find_roles
from tundish.data.table import Assumption, Table

FILE = "file"

_Places = dict[str, dict[str, NDArray[np.int64]]]
_ENDINGS = re.compile(
    r"(?i)(\.(csv|tsv|txt|dat|asc|parquet|xlsx?|xlsm|ods|json|jsonl|ndjson|npy|mat|h5|"
    r"hdf5|wav|gz|bz2|xz))+$"
)
_APART = 0.5
_NAMED_COLUMNS = 4
_LOOK_COLUMNS = 40
_LOOK_FILES = 40
_JOINED = 0.8
_STEPS = 3.0


def bind(name: str, tables: Sequence[Table]) -> list[Table]:
    """Bind tables that have the same columns; others stay as they are.

    The bound table has a column ``file`` with the ``part`` each row came from, and that
    is its unit (a batch, an asset), except where the files follow one another in time
    without a gap. A table whose rows name units of their own has both in the column.

    Args:
        name: What the whole is called.
        tables: Each with a ``part`` of its own.

    Returns:
        The tables, bound ones first where their first part stood.
    """
    groups: dict[tuple[str, ...], list[Table]] = {}
    for table in tables:
        groups.setdefault(_form(table), []).append(table)
    made = []
    for group in groups.values():
        if len(group) == 1 or _are_strangers(group):
            made += group
        else:
            made.append(_bound(name, group))
    return made


def _form(table: Table) -> tuple[str, ...]:
    return tuple(sorted(table.frame.columns))


def _are_strangers(group: list[Table]) -> bool:
    """Tell whether tables have the same columns by chance only.

    Where columns have no names, or hardly any, the files must be named alike, and the
    same column must not hold values of quite another level in most pairs of files
    (temperatures in one and flows in the other).
    """
    first = group[0].frame
    bare = first.columns[0].startswith("column_")
    if not bare and first.width >= _NAMED_COLUMNS:
        return False
    if not _named_alike([table.part for table in group]):
        return True
    return bare and _levels_apart([table.frame for table in group[:_LOOK_FILES]])


def _named_alike(parts: list[str]) -> bool:
    """Tell whether names share their beginning or their end, counted numbers aside."""
    made = [re.sub(r"\d+", "#", name) for name in _labels(parts)]
    heads = _shared(made)
    tails = _shared([name[::-1] for name in made])
    return any(len(same) >= 3 or "#" in same for same in (heads, tails))


def _shared(names: list[str]) -> str:
    """Return the letters with which all names begin."""
    same = 0
    for letters in zip(*names, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    return names[0][:same]


def _levels_apart(frames: list[pl.DataFrame]) -> bool:
    columns = [
        name
        for name in frames[0].columns[:_LOOK_COLUMNS]
        if all(frame.schema[name] == pl.Float64 for frame in frames)
    ]
    if not columns:
        return False
    low, high = (
        np.array([f.select(pl.col(columns).quantile(q)).row(0) for f in frames], float)
        for q in (0.02, 0.98)
    )
    first, second = np.triu_indices(len(frames), k=1)
    apart = (low[first] > high[second]) | (low[second] > high[first])
    return float(apart.mean()) > _APART


def _bound(name: str, group: list[Table]) -> Table:
    roles = [find_roles(table, Named()) for table in group]
    order, joined = _in_time(roles)
    group, roles = [group[i] for i in order], [roles[i] for i in order]
    labels = _labels([table.part for table in group])
    inner = _own_unit(roles)
    column = FILE if FILE not in group[0].frame.columns else "in_file"
    names = [
        _row_names(table, label, inner)
        for table, label in zip(group, labels, strict=True)
    ]
    frame, states, words, places = _stacked(group)
    frame = pl.DataFrame([pl.concat(names).alias(column), *frame.get_columns()])
    dropped, lines = _counted(group)
    return Table(
        name=name,
        part=_common(labels),
        frame=frame,
        unit="" if joined else column,
        units={n: u for table in reversed(group) for n, u in table.units.items()},
        states=states,
        missing_words=words,
        dropped=dropped,
        lines=lines,
        assumptions=(
            _said(labels, column, inner, joined=joined),
            *_units_differ(group),
            *_once(group),
        ),
        places=places,
    )


def _in_time(roles: list[Roles]) -> tuple[list[int], bool]:
    """Return the order of the files, and whether each begins where another ends."""
    as_given = list(range(len(roles)))
    spans, steps = [], []
    for role in roles:
        if role.times is None or role.times.kind == "elapsed" or role.unit:
            return as_given, False
        us = role.times.us[role.times.known]
        if len(us) < 2:
            return as_given, False
        spans.append((int(us.min()), int(us.max())))
        steps.append(float(np.median(np.abs(np.diff(us)))))
    order = sorted(as_given, key=lambda i: spans[i])
    between = [spans[after][0] - spans[before][1] for before, after in pairwise(order)]
    if min(between) < 0:
        return as_given, False
    step = float(np.median(steps))
    joined = float(np.mean([gap <= _STEPS * step for gap in between]))
    return (order, True) if joined >= _JOINED else (as_given, False)


def _own_unit(roles: list[Roles]) -> str:
    """Return the column that names units within most of the files; empty if none."""
    found = Counter(role.unit for role in roles if role.unit)
    if not found:
        return ""
    column, times = found.most_common(1)[0]
    return column if column and times > len(roles) / 2 else ""


def _labels(parts: list[str]) -> list[str]:
    short = [_ENDINGS.sub("", part) or part for part in parts]
    return short if len(set(short)) == len(short) else parts


def _row_names(table: Table, label: str, inner: str) -> pl.Series:
    if not inner:
        return pl.Series([label], dtype=pl.String).new_from_index(0, table.frame.height)
    series = table.frame[inner]
    if series.dtype == pl.Float64:
        whole = series.cast(pl.Int64, strict=False)
        series = whole if (whole == series).all() else series
    return (
        (pl.lit(label + "/") + series.cast(pl.String).fill_null(""))
        .alias("names")
        .pipe(lambda made: table.frame.select(made).to_series())
    )


def _stacked(
    group: list[Table],
) -> tuple[pl.DataFrame, dict[str, dict[str, int]], dict[str, int], _Places]:
    states: dict[str, dict[str, int]] = {}
    words: dict[str, int] = {}
    places: _Places = {}
    columns = []
    for name in group[0].frame.columns:
        series = [table.frame[name] for table in group]
        made, found, at = _one_column(series, _shifted(group, name))
        columns.append(made.alias(name))
        counted: Counter[str] = Counter(found)
        for table in group:
            counted.update(table.states.get(name, {}))
            words[name] = words.get(name, 0) + table.missing_words.get(name, 0)
        if counted:
            states[name] = dict(counted.most_common())
            places[name] = at
    return pl.DataFrame(columns), states, {n: c for n, c in words.items() if c}, places


def _shifted(group: list[Table], name: str) -> dict[str, NDArray[np.int64]]:
    """Return where the texts of a column stand, counted through all files."""
    found: dict[str, list[NDArray[np.int64]]] = {}
    start = 0
    for table in group:
        for text, rows in table.places.get(name, {}).items():
            found.setdefault(text, []).append(rows + start)
        start += table.frame.height
    return {text: np.concatenate(rows) for text, rows in found.items()}


def _one_column(
    series: list[pl.Series], places: dict[str, NDArray[np.int64]]
) -> tuple[pl.Series, dict[str, int], dict[str, NDArray[np.int64]]]:
    """Stack the cells of a column; texts win where some files have texts."""
    types = {s.dtype for s in series if s.null_count() < s.len()} or {series[0].dtype}
    if len(types) == 1:
        kind = types.pop()
        cast = [s if s.dtype == kind else s.cast(kind) for s in series]
        return pl.concat(cast), {}, places
    texts = pl.concat([s.cast(pl.String) for s in series])
    column = cells.to_column(texts, comma=False)
    both = {
        text: np.concatenate([p[text] for p in (places, column.places) if text in p])
        for text in (places | column.places)
    }
    return column.values, column.states, both


def _counted(group: list[Table]) -> tuple[tuple[int, ...], int]:
    """Return the lines left out, counted through all files, and all records."""
    dropped: list[int] = []
    lines = 0
    for table in group:
        dropped += [lines + line for line in table.dropped]
        lines += max(table.lines, table.frame.height)
    return tuple(dropped), lines


def _common(labels: list[str]) -> str:
    return f"{labels[0]} and {len(labels) - 1} more"


def _said(labels: list[str], column: str, inner: str, *, joined: bool) -> Assumption:
    shown = ", ".join(labels[:3]) + (" ..." if len(labels) > 3 else "")
    if joined:
        return Assumption(
            what=f"{len(labels)} files ({shown}) are one record, in order of time",
            why="they have the same columns, and each begins where another ends",
            otherwise=f"name the unit with --unit {column}",
        )
    within = f", each with the units of its column {inner}" if inner else ""
    return Assumption(
        what=f"{len(labels)} files ({shown}) are one table; each file is a unit (batch "
        f"or asset){within}, named in the column {column}",
        why="they have the same columns",
        otherwise="name another column with --unit, or grade one file alone",
    )


def _units_differ(group: list[Table]) -> tuple[Assumption, ...]:
    odd = []
    for name in group[0].frame.columns:
        found = {table.units[name] for table in group if name in table.units}
        if len(found) > 1:
            odd.append(f"{name} ({', '.join(sorted(found))})")
    if not odd:
        return ()
    return (
        Assumption(
            what=f"the files name different units for {', '.join(odd[:3])}",
            why="their header lines say so; values were not converted",
            otherwise="export all files with the same units",
        ),
    )


def _once(group: list[Table]) -> tuple[Assumption, ...]:
    found = {said.what: said for table in group for said in table.assumptions}
    return tuple(found.values())[:20]
