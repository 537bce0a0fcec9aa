"""Grade a file of one's own, with no configuration: what is found is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data import historian, quality
from tundish.data.card.beside import Known, beside
from tundish.data.card.card import Use
from tundish.data.columns import floats
from tundish.data.errors import ColumnMissingError, JoinImpossibleError
from tundish.data.grade import exposed, stops, stream, tallied, terms
from tundish.data.grade.asked import Asked
from tundish.data.grade.carded import Told, told_by
from tundish.data.grade.checks import Brief, Graded, assembled, graded_sheets
from tundish.data.grade.joined import with_results
from tundish.data.grade.partial import Partial
from tundish.data.grade.report import GradeReport
from tundish.data.grade.sheet import Labels, Series, Sheet, Spectrum
from tundish.data.grade.stream import Spread
from tundish.data.header import axis_values
from tundish.data.join import Joined, JoinWish, by_time, join_batches, join_times
from tundish.data.privacy.look import crowd, look
from tundish.data.readers import read_table
from tundish.data.roles import Named, Roles, find_roles, unit_names
from tundish.data.table import Assumption, Table

Task = Literal["regress", "diagnose", "anomaly"]

TURN_RATIO = 2
MOST_WORDS = 20
_LEVELS_APART = 0.95
_WAVE_COLUMNS = 40
_WAVE_UNITS = (
    "nm",
    "[uµ]m",
    "cm-1",
    "1/cm",
    "k?hz",
    "ev",
    "m/z",
    "wavelength",
    "wavenumber",
)
_TOGETHER = 0.8
_MANY_ROWS = 20_000


def grade_file(  # noqa: PLR0913  (what a user may say about a file)
    path: Path,
    *,
    now: datetime,
    time: str | None = None,
    unit: str | None = None,
    target: str | None = None,
    task: Task | None = None,
    time_zone: str | None = None,
    running: str | None = None,
    join: JoinWish | None = None,
    units: Mapping[str, str] | None = None,
    licence: str | None = None,
    licence_kind: str | None = None,
    known: Known | None = None,
    use: Use | None = None,
    deep: bool = True,
    sheet: str | None = None,
    spread: Spread | None = None,
) -> GradeReport:
    """Grade one file; columns that are not named are found, and the report says how.

    Args:
        path: Of any kind that a reader reads. Untrusted.
        now: The present, from the caller's clock.
        time: Column of the time.
        unit: Column of the machine or batch.
        target: Column to be estimated; implies the task ``regress``, or ``diagnose`` if
            it holds classes.
        task: ``regress`` (a number), ``diagnose`` (a class) or ``anomaly``.
        time_zone: IANA zone of times without an offset.
        running: Condition in which the plant runs; other rows are stops.
        join: Results of a laboratory to be joined; ``target`` is then theirs.
        units: Column -> unit of measurement, added to those in the header.
        licence: The terms, if known.
        licence_kind: Their class in the catalogue, if the file belongs to a set.
        known: The set's card; if absent, one that lies beside the file is taken.
        use: What is meant to be done with the set; decides the licence gate.
        deep: False leaves out the indicators that fit models.
        sheet: Which of several tables in the file; the largest if absent.
        spread: How to stream a Parquet file over several machines. Without it a file of
            more than ``stream.STREAM_FROM_CELLS`` cells is streamed here.

    Raises:
        PathMissingError, TableUnreadableError, TableTooLargeError, ArchiveUnsafeError:
            if the file cannot be read.
        ColumnMissingError, TimeUnreadableError: if a named column cannot be used.
        ConditionInvalidError: if ``running`` is no condition on the file's tags.
    """
    named = Named(
        time=time,
        unit=unit,
        target=target,
        time_zone=time_zone,
        running=running,
        task=None if target and task == "anomaly" else task,
    )
    asked = Asked(
        now=now,
        units=dict(units or {}),
        licence=licence,
        licence_kind=licence_kind,
        known=known,
        use=use,
        deep=deep,
        join=join,
    )
    return graded_file(path, named, asked, sheet=sheet, spread=spread).report


def graded_file(
    path: Path,
    named: Named,
    asked: Asked,
    *,
    sheet: str | None = None,
    spread: Spread | None = None,
) -> Graded:
    """Grade one file and keep its values beside the report; see ``grade_file``."""
    streamed = path.suffix == ".parquet" and _is_streamed(
        path, wished=spread is not None
    )
    table = stream.head_of(path) if streamed else read_table(path, sheet=sheet)
    if asked.known is None:
        known, said = beside(path)
        asked = replace(asked, known=known)
        table = replace(table, assumptions=(*table.assumptions, *said))
    if streamed:
        brief = replace(asked, deep=False).brief(table.name, named.task or "unsaid")
        return _graded_stream(path, table, (named, dict(asked.units)), brief, spread)
    return graded_table(table, named, asked)


def _is_streamed(path: Path, *, wished: bool) -> bool:
    """Tell whether a Parquet file is too large for memory, or shall be spread."""
    large = path.is_file() and path.stat().st_size >= stream.STREAM_FROM_BYTES
    if not (wished or large):
        return False
    cells = stream.cells_of(path)
    return cells > (0 if wished else stream.STREAM_FROM_CELLS)


def _graded_stream(
    path: Path,
    head: Table,
    told: tuple[Named, dict[str, str]],
    brief: Brief,
    spread: Spread | None,
) -> Graded:
    """Grade a Parquet file piece by piece; see ``stream``."""
    given, units = told
    card = told_by(brief.known, head.name, head.frame.columns, given, head.units)
    roles = find_roles(head, card.named)
    plan, how = stream.plan_of(path, head, roles)
    kept = replace(roles, numbers=plan.numbers, target=None)
    known = head.units | card.units | units
    sheet, _ = _sheet(head, replace(kept, numbers=()), card.named, known)
    sheet = replace(
        sheet,
        series=tuple(
            Series(tag=name, values=np.zeros(0), unit=known.get(name, ""))
            for name in plan.numbers
        ),
    )
    states = spread(plan) if spread else [stream.state_of(plan)]
    state = reduce(Partial.merge, states).closed()
    bare = tallied.bare(_looked_through(sheet, head, kept, card), state)
    found = tallied.tallies(state, bare, brief.now_us, stream.where_of(plan, bare))
    rest = [terms.units_known(bare), exposed.exposed(bare)]
    spoken = (how, *_unheeded(given), *head.assumptions, *card.said)
    spoken = (*spoken, *roles.assumptions)
    graded = assembled([bare], replace(brief, assumptions=spoken), [*found, *rest])
    return replace(graded, sheets=())  # no values are kept, so there is nothing to draw


def _unheeded(named: Named) -> tuple[Assumption, ...]:
    """Say what was named and cannot be heeded in a stream."""
    given = {"--target": named.target, "--unit": named.unit, "--running": named.running}
    options = [option for option, value in given.items() if value is not None]
    if not options:
        return ()
    said = Assumption(
        what=f"{', '.join(options)} could not be heeded",
        why="a stream looks at signals in the order of the file",
        otherwise="grade a stretch of it in a file of its own",
    )
    return (said,)


def graded_table(table: Table, named: Named, asked: Asked) -> Graded:
    """Grade a table and keep its values beside the report; see ``grade_file``."""
    return graded_tables([table], named, asked, name=table.name)


def graded_tables(
    tables: Sequence[Table],
    named: Named,
    asked: Asked,
    *,
    name: str,
    before: tuple[Assumption, ...] = (),
) -> Graded:
    """Grade tables in one report; what was named counts in the tables that have it.

    Args:
        tables: At least one.
        named: What the user named.
        asked: What stands beside the data.
        name: Of the whole.
        before: What was assumed already.

    Raises:
        ColumnMissingError: if no table has a column that was named.
        TimeUnreadableError: if a column named as time cannot be read as one.
    """
    sheets: list[Sheet] = []
    said = list(before)
    tasks: list[str | None] = []
    joined = None
    if asked.join is not None:
        tables, named, joined = _with_batches(tables, named, asked.join)
    _need_named(tables, named)
    for table in tables:
        whose = _where_there(table, named) if len(tables) > 1 else named
        made, task, more = _graded_table(
            _upright(table), whose, asked.known, dict(asked.units)
        )
        sheets += made
        tasks.append(task)
        said += more
    if asked.join is not None:
        sheets, joined, more = _with_results(sheets, asked.join, joined, named)
        said += more
        tasks = ["regress"]
    if named.running is not None:
        sheets = stops.with_running(sheets, named.running)
        said += [stops.said(sheet, named.running, "--running") for sheet in sheets[:1]]
    brief = replace(
        asked.brief(name, next((task for task in tasks if task), "unsaid")),
        assumptions=tuple(dict.fromkeys(said)),
        joined=joined,
    )
    return graded_sheets(sheets, brief)


def _graded_table(
    table: Table, named: Named, known: Known | None, units: dict[str, str]
) -> tuple[list[Sheet], str | None, list[Assumption]]:
    """Make the sheets of one table: several if a historian stored it by many clocks."""
    first = told_by(known, table.name, table.frame.columns, named, table.units)
    named = first.named
    # a time in hours is read as hours if the card says so
    carded = replace(table, units=first.units | table.units)
    parts = historian.unfold(carded, named)
    columns = [name for part in parts for name in part.table.frame.columns]
    told = told_by(known, table.name, columns, named, table.units)
    _need_target(parts, named)
    sheets: list[Sheet] = []
    tasks: list[str | None] = []
    said: list[Assumption] = [*told.said]
    for part in parts:
        sheet, task, more = _graded_part(part, named, told, units)
        sheets.append(sheet)
        tasks.append(task)
        said += more
    return sheets, next((task for task in tasks if task), None), said


def _with_batches(
    tables: Sequence[Table], named: Named, wish: JoinWish
) -> tuple[list[Table], Named, Joined | None]:
    """Join results to the batches of the first table that has them; by time, later."""
    if by_time(wish):
        return list(tables), replace(named, target=None), None
    column = wish.on.partition("=")[0].lower()
    at = next(
        (
            i
            for i, table in enumerate(tables)
            if column in {name.lower() for name in table.frame.columns}
        ),
        0,
    )
    made, joined = join_batches(tables[at], wish, named.time_zone or "")
    every = [*tables[:at], made, *tables[at + 1 :]]
    return every, replace(named, target=joined.target), joined


def _with_results(
    sheets: list[Sheet], wish: JoinWish, done: Joined | None, named: Named
) -> tuple[list[Sheet], Joined, list[Assumption]]:
    """Add to the sheet concerned what a join by batch found, or join by time."""
    if done is not None:
        made = [
            replace(sheet, available=done.available)
            if _is_labelled(sheet, done)
            else sheet
            for sheet in sheets
        ]
        return made, done, []
    timed = [i for i, sheet in enumerate(sheets) if sheet.us is not None]
    if not timed:
        msg = f"{sheets[0].name} has no times to join results by; --on BATCH joins by batch."
        raise JoinImpossibleError(msg)
    at = max(timed, key=lambda i: len(sheets[i].series) * sheets[i].rows)
    found, said = join_times(
        wish, np.asarray(sheets[at].us, dtype=np.int64), named.time_zone or ""
    )
    made = [*sheets[:at], with_results(sheets[at], found), *sheets[at + 1 :]]
    return made, found, [said]


def _is_labelled(sheet: Sheet, done: Joined) -> bool:
    return sheet.labels is not None and sheet.labels.name == done.target


def _need_target(parts: tuple[historian.Part, ...], named: Named) -> None:
    """Refuse a target that none of the tables of a file has."""
    have = [name for part in parts for name in part.table.frame.columns]
    if named.target is not None and named.target not in have:
        said = ", ".join(have[:10])
        msg = f"{parts[0].table.name} has no column {named.target!r} (--target); it has {said}."
        raise ColumnMissingError(msg)


def _need_named(tables: Sequence[Table], named: Named) -> None:
    """Refuse a column that was named and that none of several tables has."""
    if len(tables) == 1:
        return
    have = {name for table in tables for name in table.frame.columns}
    asked = (("--time", named.time), ("--unit", named.unit), ("--target", named.target))
    for option, name in asked:
        if name is not None and name not in have:
            said = ", ".join(list(tables[0].frame.columns)[:10])
            msg = (
                f"None of {len(tables)} tables has a column {name!r} ({option}); the "
                f"first, {tables[0].name}, has {said}."
            )
            raise ColumnMissingError(msg)


def _where_there(table: Table, named: Named) -> Named:
    """Keep of what was named the columns that a table has."""
    have = table.frame.columns

    def there(name: str | None) -> str | None:
        return name if name in have else None

    return replace(
        named,
        time=there(named.time),
        unit=there(named.unit),
        target=there(named.target),
    )


def _graded_part(
    part: historian.Part, named: Named, told: Told, units: dict[str, str]
) -> tuple[Sheet, str | None, list[Assumption]]:
    """Make a sheet of one wide table; what was named counts where the column is."""
    table = quality.judged(part.table)
    if part.times is not None:
        target = named.target if named.target in table.frame.columns else None
        named = replace(named, time=part.times.column, target=target, unit=None)
    roles = find_roles(table, named)
    if part.times is not None:
        roles = replace(roles, times=part.times)
    sheet, said = _sheet(table, roles, named, told.units | units)
    sheet = _looked_through(sheet, table, roles, told)
    sheet = replace(sheet, words=_words(table, roles), unit_tag=roles.unit or "")
    if part.alone:
        sheet = replace(sheet, alone=True)
    clock = () if part.times is None else (part.times.assumption,)
    said_of_it = [*table.assumptions, *clock, *roles.assumptions, *said]
    return sheet, roles.task, said_of_it


def _upright(table: Table) -> Table:
    """Turn a table that was stored with rows and columns exchanged.

    Only if it has no header, at least twice as many columns as rows, and each row stays
    at a level of its own: the rows' means explain 95 % of all variance, the columns'
    means next to nothing.
    """
    frame = table.frame
    bare = all(name == f"column_{i + 1}" for i, name in enumerate(frame.columns))
    numbers = all(dtype == pl.Float64 for dtype in frame.dtypes)
    if not bare or not numbers or frame.width < TURN_RATIO * frame.height:
        return table
    values = frame.to_numpy()
    total = np.nanvar(values)
    if frame.height < 3 or not total > 0:
        return table
    by_row = np.nanvar(np.nanmean(values, axis=1)) / total
    by_column = np.nanvar(np.nanmean(values, axis=0)) / total
    if by_row < _LEVELS_APART or by_column > 1 - _LEVELS_APART:
        return table
    turned = pl.DataFrame(values.T, schema=[f"row_{i + 1}" for i in range(len(values))])
    said = Assumption(
        what=f"the table lies on its side: its {frame.height} rows were taken as columns",
        why="it has no header, and each row stays at a level of its own",
        otherwise="put a line of names at the top of the file",
    )
    return replace(
        table,
        frame=turned.fill_nan(None),
        units={},
        states={},
        places={},
        lines=turned.height,
        assumptions=(*table.assumptions, said),
    )


def _sheet(
    table: Table, roles: Roles, named: Named, units: dict[str, str]
) -> tuple[Sheet, tuple[Assumption, ...]]:
    known = table.units | units
    spectra, said = _spectra(table, roles)
    inside = {name for spectrum in spectra for name in spectrum[0]}
    series = [
        Series(
            tag=name,
            values=floats(table.frame[name]),
            unit=known.get(name, ""),
            states=table.states.get(name, {}),
            places=table.places.get(name, {}),
            flags=table.flags.get(name, {}),
        )
        for name in roles.numbers
        if name not in inside
    ]
    times = roles.times
    sheet = Sheet(
        name=table.name,
        rows=table.frame.height,
        series=tuple(series),
        spectra=tuple(spectrum for _, spectrum in spectra),
        us=times.us if times else None,
        elapsed=times is not None and times.kind == "elapsed",
        zone=times.zone if times else "UTC",
        zone_known=named.time_zone is not None,
        local=times is not None and times.kind == "local",
        group=unit_names(table.frame[roles.unit]) if roles.unit else None,
        labels=_labels(table, roles.target, known),
        texts=_texts(table, roles),
        dropped=table.dropped,
        lines=table.lines,
    )
    return sheet, said


def _looked_through(sheet: Sheet, table: Table, roles: Roles, told: Told) -> Sheet:
    """Add what stands in the table of persons and secrets."""
    time = roles.times.column if roles.times else ""
    found = look(
        table.frame, marked=told.recipe, passed_over=(time,), states=table.states
    )
    return replace(
        sheet,
        exposures=found,
        crowd=crowd(table.frame, found),
        columns=table.frame.width,
    )


def _words(table: Table, roles: Roles) -> dict[str, NDArray[np.str_]]:
    """Return the columns of few texts beside a target: grades, codes, campaigns."""
    if roles.target is None:
        return {}
    taken = {roles.times.column if roles.times else None, roles.unit, roles.target}
    most = max(MOST_WORDS, table.frame.height // 2)
    return {
        s.name: np.asarray(s.fill_null("").to_list(), dtype=np.str_)
        for s in table.frame.get_columns()
        if s.dtype == pl.String and s.name not in taken and 1 < s.n_unique() <= most
    }


def _texts(table: Table, roles: Roles) -> NDArray[np.uint64] | None:
    """Return a hash of the cells of each row that are neither numbers nor the time."""
    taken = {roles.times.column if roles.times else None, roles.unit, roles.target}
    names = [
        s.name
        for s in table.frame.get_columns()
        if s.dtype != pl.Float64 and s.name not in taken
    ]
    if not names:
        return None
    return table.frame.select(names).hash_rows().to_numpy().astype(np.uint64)


def _labels(table: Table, target: str | None, units: dict[str, str]) -> Labels | None:
    if target is None:
        return None
    series = table.frame[target]
    classes: tuple[str, ...] = ()
    if series.dtype == pl.Float64:
        values = floats(series)
    else:
        texts = series.cast(pl.String)
        classes = tuple(sorted(texts.drop_nulls().unique().to_list()))
        codes = {name: float(code) for code, name in enumerate(classes)}
        values = np.array([codes.get(text, np.nan) for text in texts.to_list()])
    return Labels(
        name=target,
        values=values,
        us=None,
        joined=np.isfinite(values),
        part=None,
        table=table.name,
        unit=units.get(target, ""),
        classes=classes,
    )


def _spectra(
    table: Table, roles: Roles
) -> tuple[list[tuple[list[str], Spectrum]], tuple[Assumption, ...]]:
    """Find columns that are the channels of one signal: by their names, or by shape."""
    for unit in (None, *_WAVE_UNITS):
        found = {name: _axis_number(name, unit) for name in roles.numbers}
        names = [name for name, number in found.items() if number]
        axis = axis_values([found[name] for name in names])
        if axis is not None and not _only_numbered(axis, table, names):
            why = f"their names rise or fall evenly from {names[0]} to {names[-1]}"
            return _one_spectrum(table, names, np.asarray(axis), why)
    names = _numbered(roles.numbers)
    if names and _neighbours_agree(table.frame.select(names)):
        why = "they are numbered throughout, and neighbouring columns move together"
        return _one_spectrum(table, names, np.arange(len(names), dtype=float), why)
    wave = [name for name in roles.numbers if name.startswith("column_")]
    nameless = len(wave) >= _WAVE_COLUMNS and len(wave) == len(roles.numbers)
    if nameless and _neighbours_agree(table.frame.select(wave)):
        why = "they have no names, and neighbouring columns move together"
        return _one_spectrum(table, wave, np.arange(len(wave), dtype=float), why)
    return [], ()


def _numbered(names: tuple[str, ...]) -> list[str]:
    """Return columns of one name with the numbers 1, 2, 3 ... behind it (40 at least)."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stem = name.rstrip("0123456789")
        if stem and stem != name and not name.startswith("column_"):
            stems.setdefault(stem, []).append(name)
    found = max(stems.values(), key=len, default=[])
    numbers = [int(re.sub(r".*?(\d+)$", r"\1", name)) for name in found]
    steps = {b - a for a, b in pairwise(numbers)}
    return found if len(found) >= _WAVE_COLUMNS and steps == {1} else []


def _only_numbered(axis: list[float], table: Table, names: list[str]) -> bool:
    """Tell columns that are merely numbered (0, 1, 2 ...) from an axis."""
    numbered = axis[0] in {0.0, 1.0} and all(b - a == 1 for a, b in pairwise(axis))
    return numbered and not _neighbours_agree(table.frame.select(names))


def _neighbours_agree(frame: pl.DataFrame) -> bool:
    """Tell whether neighbouring columns rise and fall together from row to row.

    Of a long table some 20,000 rows are looked at, evenly spread.
    """
    values = frame.gather_every(max(1, frame.height // _MANY_ROWS)).to_numpy()
    sound = values[np.isfinite(values).all(axis=1)]
    moving = sound.std(axis=0) > 0 if len(sound) > 2 else np.zeros(0, dtype=bool)
    if moving.sum() < _WAVE_COLUMNS // 2:
        return False
    scaled = (sound - sound.mean(axis=0))[:, moving] / sound.std(axis=0)[moving]
    together = (scaled[:, 1:] * scaled[:, :-1]).mean(axis=0)
    return float(np.median(together)) > _TOGETHER


def _axis_number(name: str, unit: str | None) -> str:
    """Return the number in a name such as ``1250.5``, ``1250.5 nm`` or ``nm_1250.5``."""
    if unit is not None:
        found = re.fullmatch(
            rf"(?:{unit}[ ._]?)?(\d+(?:\.\d+)?)(?:[ ._]?{unit})?", name, re.IGNORECASE
        )
        return found[1] if found and found[1] != name else ""
    try:
        float(name)
    except ValueError:
        return ""
    return name


def _one_spectrum(
    table: Table, names: list[str], axis: NDArray[np.float64], why: str
) -> tuple[list[tuple[list[str], Spectrum]], tuple[Assumption, ...]]:
    values = table.frame.select(names).to_numpy()
    tag = f"{names[0]} to {names[-1]}"
    said = Assumption(
        what=f"{len(names):,} columns ({tag}) are the channels of one signal, a spectrum",
        why=why,
        otherwise="give the columns names that are no numbers",
    )
    spectrum = Spectrum(tag=tag, values=values.astype(np.float64), axis=axis)
    return [(names, spectrum)], (said,)
