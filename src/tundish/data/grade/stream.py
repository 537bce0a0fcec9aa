"""Grade a Parquet file that is larger than memory: piece by piece, in any place.

The first rows say what the columns are; then each stretch of row groups gives a
``Partial``, here or on another machine, and these are joined in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from tundish.data.aside import Aside
from tundish.data.columns import floats
from tundish.data.errors import TableUnreadableError
from tundish.data.grade.kernels import Floats, Ints
from tundish.data.grade.partial import Partial, Piece
from tundish.data.grade.sheet import Sheet
from tundish.data.grade.tallied import Where
from tundish.data.readers.values import from_frame
from tundish.data.roles import Roles
from tundish.data.table import Assumption, Table
from tundish.data.times import NO_TIME, parse_times
from tundish.kernel.errors import TundishError

STREAM_FROM_CELLS = 250_000_000
STREAM_FROM_BYTES = 16 * 1024**2
HEAD_ROWS = 100_000
PIECE_CELLS = 8_000_000
_SEED = 11

Share = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be streamed.

    Attributes:
        path: The file.
        time: Column of the time, or ``None`` if there is none that can be followed.
        zone: Zone of local times.
        numbers: Columns that are signals.
        texts: Columns that only tell rows apart.
        groups: Rows of each row group.
    """

    path: str
    time: str | None
    zone: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    groups: tuple[int, ...]

    def shares(self, count: int) -> list[Share]:
        """Cut the row groups into at most ``count`` stretches of like length."""
        ends = np.cumsum(self.groups)
        marks = np.searchsorted(ends, np.linspace(0, ends[-1], count + 1)[1:-1])
        cuts = sorted({0, *(int(mark) + 1 for mark in marks), len(self.groups)})
        return [(a, b) for a, b in pairwise(cuts) if b > a]


Spread = Callable[[Plan], Sequence[Partial]]


def cells_of(path: Path) -> int:
    """Return the number of cells of a Parquet file; 0 if it is none."""
    try:
        return Aside(path).facts().cells
    except (TundishError, OSError):
        return 0


def head_of(path: Path) -> Table:
    """Read the first rows, which say what the columns are.

    Raises:
        TableUnreadableError: if it is no whole Parquet file, or has no record.
    """
    file = Aside(path)
    facts = file.facts()
    groups = _first(facts.groups, HEAD_ROWS)
    found = list(file.batches(facts.schema.names, groups, HEAD_ROWS, HEAD_ROWS))
    frame = pl.from_arrow(pa.Table.from_batches(found, facts.schema))
    if not isinstance(frame, pl.DataFrame) or not frame.height or not frame.width:
        msg = f"{path.name} has no record."
        raise TableUnreadableError(msg)
    return from_frame(path.name, frame)


def _first(groups: Sequence[int], rows: int) -> list[int]:
    """Return the numbers of the first row groups that hold so many rows."""
    before = np.cumsum([0, *groups[:-1]])
    return [i for i, at in enumerate(before) if at < rows]


def plan_of(path: Path, head: Table, roles: Roles) -> tuple[Plan, Assumption]:
    """Say what is to be streamed, and what a stream takes for granted."""
    facts = Aside(path).facts()
    groups = facts.groups
    stored = {field.name: field.type for field in facts.schema}
    numbers = tuple(name for name in roles.numbers if _is_number(stored[name]))
    time = roles.times.column if roles.times else None
    followed = time is not None and roles.unit is None and _follows(stored[time], roles)
    others = [n for n in head.frame.columns if n not in {*numbers, *roles.set_aside}]
    plan = Plan(
        path=str(path),
        time=time if followed else None,
        zone=roles.times.zone if roles.times else "UTC",
        numbers=numbers,
        texts=tuple(name for name in others if not followed or name != time),
        groups=groups,
    )
    left = len(roles.numbers) - len(numbers)
    said = Assumption(
        what=f"the file ({sum(groups):,} rows) is graded in a stream, rows in the order of "
        f"the file; the first {min(HEAD_ROWS, sum(groups)):,} rows say what the columns are, "
        "and persons and secrets are looked for in these only"
        + (f"; {left} columns of numbers stored as texts are left out" if left else ""),
        why="so its size does not matter; checks that need all rows at once are left out",
        otherwise="grade a stretch of it in a file of its own",
    )
    return plan, said


def state_of(plan: Plan, share: Share | None = None) -> Partial:
    """Look at a stretch of row groups (all if absent); memory does not grow with it.

    Raises:
        TableUnreadableError: if a row group cannot be read.
    """
    first, last = share or (0, len(plan.groups))
    return reduce(
        Partial.merge, (Partial.of(piece) for piece in pieces(plan, first, last))
    )


def pieces(plan: Plan, first: int, last: int) -> Iterator[Piece]:
    """Read the pieces of some row groups, one at a time."""
    columns = [*plan.numbers, *plan.texts, *([plan.time] if plan.time else [])]
    size = max(1024, PIECE_CELLS // max(1, len(columns)))
    at = sum(plan.groups[:first])
    file = Aside(Path(plan.path))
    for groups in _together(plan, (first, last), size):
        for batch in file.batches(columns, groups, size):
            if batch.num_rows:
                yield _piece(plan, batch, at)
                at += batch.num_rows


def _together(plan: Plan, share: Share, size: int) -> Iterator[list[int]]:
    """Yield row groups that are small enough to be read in one go."""
    held: list[int] = []
    for group in range(*share):
        if held and sum(plan.groups[i] for i in (*held, group)) > size:
            yield held
            held = []
        held.append(group)
    if held:
        yield held


def where_of(plan: Plan, sheet: Sheet) -> Where:
    """Return what says the place of a row: its time, read from its row group."""
    ends = np.cumsum(plan.groups)
    file = Aside(Path(plan.path))

    @lru_cache(maxsize=8)
    def times(group: int) -> Ints:
        if plan.time is None:
            return np.zeros(0, dtype=np.int64)
        read = file.batches([plan.time], [group], max(1, plan.groups[group]))
        column = pl.from_arrow(pa.Table.from_batches(list(read)))
        series = column.to_series() if isinstance(column, pl.DataFrame) else column
        return _stamps(series, plan.zone)

    def where(row: int) -> str:
        if plan.time is None:
            return f"row {row + 1}"
        group = int(np.searchsorted(ends, row, side="right"))
        us = int(times(group)[row - (int(ends[group - 1]) if group else 0)])
        return f"row {row + 1}" if us == NO_TIME else sheet.moment(us)

    return where


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _follows(kind: pa.DataType, roles: Roles) -> bool:
    """Tell whether times can be read piece by piece: they are stored as times or numbers."""
    elapsed = roles.times is not None and roles.times.kind == "elapsed"
    return not elapsed and (_is_number(kind) or bool(pa.types.is_temporal(kind)))


def _piece(plan: Plan, batch: pa.RecordBatch, first: int) -> Piece:
    frame = pl.from_arrow(batch)
    if not isinstance(frame, pl.DataFrame):
        msg = f"{Path(plan.path).name} has no columns."
        raise TableUnreadableError(msg)
    texts = np.zeros(frame.height, dtype=np.uint64)
    if plan.texts:
        told = frame.select(pl.col(plan.texts).cast(pl.String, strict=False))
        texts = np.array(told.hash_rows(_SEED).to_numpy(), dtype=np.uint64)
    us = _stamps(frame[plan.time], plan.zone) if plan.time else None
    return Piece(
        first=first,
        values=tuple(_values(frame[name]) for name in plan.numbers),
        us=us,
        texts=texts,
    )


def _values(series: pl.Series) -> Floats:
    values = floats(series.cast(pl.Float64, strict=False))
    odd = np.isinf(values)
    return np.where(odd, np.nan, values) if odd.any() else values


def _stamps(series: pl.Series, zone: str) -> Ints:
    cells = series if series.dtype.is_temporal() else series.cast(pl.Float64)
    times = parse_times(cells, zone)
    return np.full(len(series), NO_TIME) if times is None else times.us
