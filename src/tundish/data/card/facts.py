"""What a data set says by itself: files, tables, columns, times, statistics.

All of it is computed from the bytes; nothing here is an opinion. Cells of columns that
hold persons or secrets never become an example or a list of values.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.card.card import Card
from tundish.data.header import axis_values
from tundish.data.privacy.look import Exposure, look
from tundish.data.readers import read_tables
from tundish.data.roles import Named, find_roles
from tundish.data.table import Table
from tundish.data.times import NO_TIME, SECOND, Times
from tundish.data.version import FileVersion
from tundish.kernel.errors import TundishError

ColumnKind = Literal["number", "whole", "text", "moment"]

MEDIA = {
    ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".txt": "text/plain",
    ".dat": "text/plain", ".json": "application/json", ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines", ".parquet": "application/x-parquet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xls": "application/vnd.ms-excel", ".zip": "application/zip", ".gz": "application/gzip",
    ".xml": "application/xml", ".xes": "application/xml", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".bmp": "image/bmp", ".wav": "audio/wav", ".mat": "application/x-matlab-data",
    ".npz": "application/x-npz", ".npy": "application/x-npy", ".md": "text/markdown",
    ".yaml": "application/yaml", ".yml": "application/yaml", ".pdf": "application/pdf",
    ".h5": "application/x-hdf5", ".hdf5": "application/x-hdf5",
}  # fmt: skip
OTHER_MEDIA = "application/octet-stream"
_TABLES = frozenset(
    [
        ".csv",
        ".tsv",
        ".tab",
        ".txt",
        ".dat",
        ".parquet",
        ".pq",
        ".jsonl",
        ".ndjson",
        ".gz",
        ".zip",
        ".xlsx",
        ".xls",
        ".mat",
        ".npz",
        ".npy",
        ".h5",
        ".hdf5",
        ".xz",
        ".bz2",
        ".zst",
        ".xes",
    ]
)
# What pandas, and with it other readers of Croissant, takes for an empty cell.
_EMPTY_WORDS = frozenset(
    ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
     "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)  # fmt: skip
_FEW_VALUES = 12
_EXAMPLES = 3
_GAP = 1.5
_NEAR, _MOSTLY = 0.25, 0.5
_MOST_TABLES = 500
_HEAD_LINES, _LONGEST_LINE = 50, 1_000_000
_TEXTS = frozenset((".csv", ".tsv", ".tab", ".txt", ".dat"))
_EXACT = 2.0**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """A column.

    Attributes:
        name: As Tundish reads it.
        title: As it stands in the file; what other readers call it.
        kind: Numbers, whole numbers, texts or moments.
        missing: Empty cells.
        least, most, mean, middle, deviation: Of the numbers; ``None`` without any.
        distinct: Different values.
        values: The values of a text column of few, if they may be shown.
        states: Texts that stand among its numbers.
        exposed: What it holds of persons or secrets, or empty.
        channel: True if it is one of many channels of one signal (a spectrum).
    """

    name: str
    title: str
    kind: ColumnKind
    missing: int
    unit: str = ""
    least: float | None = None
    most: float | None = None
    mean: float | None = None
    middle: float | None = None
    deviation: float | None = None
    distinct: int = 0
    values: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    exposed: str = ""
    channel: bool = False


@dataclass(frozen=True, kw_only=True)
class TimeFacts:
    """The times of a table.

    Attributes:
        first, last: ISO 8601, or seconds if times are elapsed.
        step_s: The usual step; ``None`` if there is none: too few times, or irregular.
        gaps: Steps of more than one and a half times the usual one.
        longest_s: The longest of them.
        elapsed: True if times count from some zero.
        zone: IANA zone in which they are written here; empty if nobody said.
    """

    column: str
    first: str
    last: str
    step_s: float | None
    gaps: int
    longest_s: float
    elapsed: bool
    zone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """A table.

    Attributes:
        file: Its file, relative to the set.
        part: Which table of the file it is; empty if it is the only one.
        rows: Records that could be read.
        media: Media type of a file that any reader of it reads alike (a comma or tab
            between fields, one header line, UTF-8); empty if it is not so plain.
        form: How the text was read, in words; empty for other kinds.
        unit: Column of machines or batches, or empty.
        units: How many of them there are.
        examples: A few records by column name; exposed columns are left out.
    """

    file: str
    part: str
    rows: int
    columns: tuple[ColumnFacts, ...]
    time: TimeFacts | None
    media: str
    form: str = ""
    unit: str = ""
    units: int = 0
    target: str = ""
    examples: tuple[Mapping[str, str | float | None], ...] = ()
    exposures: tuple[Exposure, ...] = ()

    @property
    def name(self) -> str:
        """The file, and the part if it has several."""
        return f"{self.file}#{self.part}" if self.part else self.file


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """A data set.

    Attributes:
        name: What people call it.
        digest: Its version.
        files: Its files, with their plain digests.
        tables: The tables that could be read.
        unread: Files of a table's kind that could not be, and why.
    """

    name: str
    digest: str
    files: tuple[FileVersion, ...]
    tables: tuple[TableFacts, ...]
    unread: tuple[tuple[str, str], ...] = field(default=())

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)


def together(tables: Sequence[TableFacts]) -> TableFacts:
    """Return one description of tables of the same form: their rows taken together.

    Mean, median and deviation are left out; they do not follow from those of the parts.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    times = [t.time for t in tables if t.time is not None]
    columns = [
        _joined(parts) for parts in zip(*(t.columns for t in tables), strict=True)
    ]
    time = None
    if times:
        time = replace(
            times[0],
            first=min((t.first for t in times), key=_moment_key),
            last=max((t.last for t in times), key=_moment_key),
            gaps=sum(t.gaps for t in times),
            longest_s=max(t.longest_s for t in times),
        )
    exposures = {one.column: one for table in tables for one in table.exposures}
    return replace(
        first,
        rows=sum(table.rows for table in tables),
        columns=tuple(columns),
        time=time,
        units=max(table.units for table in tables),
        exposures=tuple(exposures.values()),
    )


def _moment_key(text: str) -> tuple[float, str]:
    return (float(text[:-2]), "") if text.endswith(" s") else (0.0, text)


def _joined(parts: Sequence[ColumnFacts]) -> ColumnFacts:
    least = [one.least for one in parts if one.least is not None]
    most = [one.most for one in parts if one.most is not None]
    values = sorted({text for one in parts for text in one.values})
    closed = all(one.values or not one.distinct for one in parts)
    kinds = {one.kind for one in parts if one.distinct}
    kind: ColumnKind = parts[0].kind
    if len(kinds) > 1:
        kind = "number" if kinds <= {"number", "whole"} else "text"
    return replace(
        parts[0],
        kind=kind,
        missing=sum(one.missing for one in parts),
        least=min(least, default=None),
        most=max(most, default=None),
        mean=None,
        middle=None,
        deviation=None,
        distinct=max(one.distinct for one in parts),
        values=tuple(values) if closed and len(values) <= _FEW_VALUES else (),
        states=tuple(sorted({text for one in parts for text in one.states}))[
            :_FEW_VALUES
        ],
        exposed=next((one.exposed for one in parts if one.exposed), ""),
    )


def media_of(name: str) -> str:
    """Return the media type of a file, by its ending."""
    return MEDIA.get(Path(name).suffix.lower(), OTHER_MEDIA)


def gather(
    name: str,
    digest: str,
    files: Mapping[str, tuple[Path, FileVersion]],
    card: Card | None,
    tell: Callable[[str], None],
) -> SetFacts:
    """Read all tables of a set and describe them.

    Args:
        name: What people call it.
        digest: Its version.
        files: Name in the set -> (path, version with the plain digest). Untrusted.
        card: Names roles and units, if there is one.
        tell: Told which file is being read.
    """
    tables: list[TableFacts] = []
    unread: list[tuple[str, str]] = []
    for file, (path, _) in files.items():
        if path.suffix.lower() not in _TABLES:
            continue
        if len(tables) >= _MOST_TABLES:
            unread.append((file, f"a card describes at most {_MOST_TABLES} tables"))
            continue
        tell(f"reading {file}")
        try:
            tables += [_table(file, path, one, card) for one in read_tables(path)]
        except TundishError as error:
            unread.append((file, error.message))
    return SetFacts(
        name=name,
        digest=digest,
        files=tuple(version for _, version in files.values()),
        tables=tuple(tables),
        unread=tuple(unread),
    )


def _table(file: str, path: Path, table: Table, card: Card | None) -> TableFacts:
    notes = {note.name: note for note in card.notes(file)} if card else {}
    told = {n.name: n.unit for n in notes.values() if n.unit}
    table = replace(table, units=told | table.units)
    have = set(table.frame.columns)
    roles = {n.role: n.name for n in notes.values() if n.role and n.name in have}
    named = Named(
        time=roles.get("time"),
        unit=roles.get("unit") or table.unit or None,
        target=roles.get("target"),
        time_zone=card.time_zone if card else None,
    )
    found = find_roles(table, named)
    times = found.times
    exposures = look(
        table.frame, passed_over=(times.column if times else "",), states=table.states
    )
    hidden = {one.column: one.what for one in exposures}
    plain = _plain(path, table)
    columns = tuple(_column(table, place, plain) for place in range(table.frame.width))
    channels = [c.name for c in columns if c.least is not None and _is_number(c.name)]
    spectrum = set(channels) if axis_values(channels) is not None else set()
    columns = tuple(
        replace(
            column,
            title=plain.titles[place] if plain else column.name,
            unit=table.units.get(column.name, ""),
            channel=column.name in spectrum,
            exposed=hidden.get(column.name, ""),
            values=() if column.name in hidden else column.values,
            states=() if column.name in hidden else column.states,
        )
        for place, column in enumerate(columns)
    )
    return TableFacts(
        file=file,
        part=table.part,
        rows=table.frame.height,
        columns=columns,
        time=_times(times, table, found.unit, zoned=bool(named.time_zone))
        if times
        else None,
        media=plain.media if plain else "",
        form=_form(table),
        unit=found.unit or "",
        units=table.frame[found.unit].n_unique() if found.unit else 0,
        target=found.target or "",
        examples=_examples(table, hidden),
        exposures=exposures,
    )


def _form(table: Table) -> str:
    return table.assumptions[0].what if table.first_line and table.assumptions else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _column(table: Table, place: int, plain: _Plain | None) -> ColumnFacts:
    series = table.frame.get_columns()[place]
    found = ColumnFacts(
        name=series.name,
        title=series.name,
        kind="text",
        missing=series.null_count(),
        distinct=series.n_unique() - int(series.null_count() > 0),
    )
    if series.dtype == pl.Float64:
        return _numbers(table, place, plain, found)
    if series.dtype.is_temporal() or _is_iso(series):
        return replace(found, kind="moment")
    few = found.distinct <= _FEW_VALUES
    texts = series.drop_nulls().unique().cast(pl.String).sort().to_list() if few else []
    return replace(found, values=tuple(text[:60] for text in texts))


def _numbers(
    table: Table, place: int, plain: _Plain | None, found: ColumnFacts
) -> ColumnFacts:
    numbers = table.frame.get_columns()[place].drop_nulls().to_numpy()
    states = tuple(table.states.get(found.name, {}))
    words = bool(states) or table.missing_words.get(found.name, 0) > 0
    words |= "decimal comma" in _form(table)
    if plain is not None and words and _foreign(plain, place):
        kind: ColumnKind = "text"
    else:
        whole = len(numbers) > 0 and bool((numbers == np.round(numbers)).all())
        exact = whole and float(np.abs(numbers).max()) < _EXACT
        kind = "whole" if exact else "number"
    found = replace(found, kind=kind, states=states[:_FEW_VALUES])
    if not len(numbers):
        return found
    return replace(
        found,
        least=float(numbers.min()),
        most=float(numbers.max()),
        mean=float(numbers.mean()),
        middle=float(np.median(numbers)),
        deviation=float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0,
    )


def _is_iso(series: pl.Series) -> bool:
    """Tell whether texts are moments in ISO 8601, which every reader understands."""
    if series.dtype != pl.String or series.null_count() == series.len():
        return False
    form = (
        r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$"
    )
    return bool(series.drop_nulls().str.contains(form).all())


@dataclass(frozen=True, kw_only=True)
class _Plain:
    """A file that any reader of comma- or tab-separated text reads alike.

    Attributes:
        media: Its media type, of what is packed if it is packed.
        titles: The titles, as such readers call them.
        separator: Between fields; empty for Parquet.
    """

    path: Path
    media: str
    titles: tuple[str, ...]
    separator: str = ""


def _plain(path: Path, table: Table) -> _Plain | None:
    """Tell whether a file is plain: one header line, UTF-8, nothing left out."""
    suffix = path.suffix.lower()
    if suffix in {".parquet", ".pq"}:
        titles = tuple(table.frame.columns)
        return _Plain(path=path, media=MEDIA[".parquet"], titles=titles)
    inner = Path(path.stem).suffix.lower() if suffix == ".gz" else suffix
    if inner not in _TEXTS or table.first_line != 2 or table.dropped or table.part:
        return None
    try:
        lines = _head(path, packed=suffix == ".gz")
    except (OSError, EOFError, UnicodeDecodeError):
        return None
    for separator, media in ((",", "text/csv"), ("\t", "text/tab-separated-values")):
        read = next(csv.reader(io.StringIO("".join(lines)), delimiter=separator), [])
        if len(read) == table.frame.width and _same(read, table.frame.columns):
            titles = tuple(_as_others(read))
            return _Plain(path=path, media=media, titles=titles, separator=separator)
    return None


def _head(path: Path, *, packed: bool) -> list[str]:
    if packed:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return [stream.readline(_LONGEST_LINE) for _ in range(_HEAD_LINES)]
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [stream.readline(_LONGEST_LINE) for _ in range(_HEAD_LINES)]


def _same(read: list[str], columns: list[str]) -> bool:
    """Tell whether titles are those of the columns, but for empty and repeated ones."""
    seen: set[str] = set()
    for title, column in zip(read, columns, strict=True):
        plain = title.strip()
        if plain and plain not in seen and plain != column.strip():
            return False
        seen.add(plain)
    return True


def _as_others(read: list[str]) -> Iterator[str]:
    """Name empty and repeated titles as pandas does, and with it mlcroissant."""
    seen: dict[str, int] = {}
    for place, title in enumerate(read):
        if not title:
            yield f"Unnamed: {place}"
            continue
        again = seen.get(title, 0)
        seen[title] = again + 1
        yield f"{title}.{again}" if again else title


def _foreign(plain: _Plain, place: int) -> bool:
    """Tell whether a column of a plain file holds words that others take for text."""
    if not plain.separator:
        return False
    cells = pl.read_csv(
        plain.path,
        separator=plain.separator,
        has_header=False,
        skip_rows=1,
        infer_schema=False,
        columns=[place],
    ).to_series()
    odd = cells.filter(cells.str.strip_chars().cast(pl.Float64, strict=False).is_null())
    return bool((~odd.drop_nulls().is_in(list(_EMPTY_WORDS))).any())


def _times(
    times: Times, table: Table, unit: str | None, *, zoned: bool
) -> TimeFacts | None:
    us = times.us[times.us != NO_TIME]
    if not len(us):
        return None
    elapsed = times.kind == "elapsed"
    steps = _steps(times.us, table.frame[unit] if unit else None)
    step = float(np.median(steps)) / SECOND if len(steps) else None
    if step is not None and not _regular(steps, step * SECOND):
        step = None
    wide = steps[steps > _GAP * (step or 0) * SECOND] if step else steps[:0]
    first, last = (_moment(int(v), times.zone, elapsed=elapsed) for v in (us.min(), us.max()))  # fmt: skip
    return TimeFacts(
        column=times.column,
        first=first,
        last=last,
        step_s=step,
        gaps=len(wide),
        longest_s=float(wide.max()) / SECOND if len(wide) else 0.0,
        elapsed=elapsed,
        zone="" if times.kind == "local" and not zoned else times.zone,
    )


def _regular(steps: NDArray[np.int64], usual: float) -> bool:
    """Tell whether most steps are the usual one; events have none."""
    return bool((np.abs(steps - usual) <= _NEAR * usual).mean() >= _MOSTLY)


def _steps(us: NDArray[np.int64], unit: pl.Series | None) -> NDArray[np.int64]:
    """Return the steps above zero between the sorted times of each unit."""
    codes = np.zeros(len(us), dtype=np.int64)
    if unit is not None:
        codes = unit.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    known = us != NO_TIME
    order = np.lexsort((us[known], codes[known]))
    ordered, of = us[known][order], codes[known][order]
    steps = np.diff(ordered)
    kept: NDArray[np.int64] = steps[(steps > 0) & (np.diff(of) == 0)]
    return kept


def _moment(us: int, zone: str, *, elapsed: bool) -> str:
    if elapsed:
        return f"{us / SECOND:g} s"
    moment = _EPOCH + timedelta(microseconds=us)
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def _examples(
    table: Table, hidden: Mapping[str, str]
) -> tuple[Mapping[str, str | float | None], ...]:
    shown = [name for name in table.frame.columns if name not in hidden]
    rows = table.frame.select(shown).head(_EXAMPLES).iter_rows(named=True)
    return tuple({key: _cell(cell) for key, cell in row.items()} for row in rows)


def _cell(cell: object) -> str | float | None:
    if cell is None or isinstance(cell, float):
        return cell
    return str(cell)[:200]
