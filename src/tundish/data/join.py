"""Bring laboratory or MES results to process data: by batch, or by time less a lag.

Nothing is lost silently: what was joined and what was not is counted, samples that were
tested more than once are told apart (repeat tests, and tests repeated until they pass),
and the time at which a value became available is kept beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import comb
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.errors import ColumnMissingError, JoinImpossibleError
from tundish.data.roles import unit_names
from tundish.data.table import Assumption, Table
from tundish.data.times import NO_TIME, SECOND, parse_times

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]
Keep = Literal["first", "last", "mean"]

TIME_WORD = "time"
MIN_FAILED = 5
CHANCE = 1e-4
SLIPS = 0.01
SLIP_COSTS = 5.0
_NAMED_TIME = re.compile(
    r"time|date|stamp|zeit|datum|_at$| at$|时间|日期|sampled|analysed|analyzed|released|"
    r"entered|written",
    re.IGNORECASE,
)
_AVAILABLE = re.compile(
    r"^(available([ _]at)?|result[ _]?(at|time|date)|reported([ _]at)?|analy[sz]ed([ _]at)?|"
    r"ergebniszeit|verfügbar([ _]ab)?|可用时间|结果时间|报告时间)$",
    re.IGNORECASE,
)
_PARTNER = re.compile(
    r"^(?P<stem>.+?)[ ._\-]*(available[ _]?at|at|time|entered|written|date|zeit|可用时间|时间)$",
    re.IGNORECASE,
)
_RESULT = re.compile(
    r"result|value|ergebnis|wert|quality|purity|yield|viscos|density|moisture|conc|lab|"
    r"结果|值|纯度|收率|粘度",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(test|retest|repeat|no|nr|run|attempt|sequence|序号|次数)", re.IGNORECASE
)
_LAG = re.compile(
    r"^\s*(?P<n>\d+(?:[.,]\d+)?)\s*(?P<u>s|sec|min|m|h|d|days?|hours?|minutes?)?\s*$"
)
_LAG_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class JoinWish:
    """What the user asks for.

    Attributes:
        lab: The table of results.
        on: Column of the batch in both tables (``A=B`` if the names differ), or
            ``TIME``.
        lag_s: Seconds from the process to the result's time (by time only).
        keep: Which of several results of one sample counts; chosen if ``None``.
        target: The result wanted; found if ``None``.
    """

    lab: Table
    on: str
    lag_s: float = 0.0
    keep: Keep | None = None
    target: str | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Tests that were repeated until they passed.

    Attributes:
        samples: Samples with such a test.
        limit: No final result lies beyond it.
        above: True if failing results lie above the limit.
        failed: Results beyond it that were followed by another.
        slips: Final results beyond it all the same.
        shift: Mean of the last less the mean of the first results of these samples.
    """

    samples: int
    limit: float
    above: bool
    failed: int
    slips: int
    shift: float


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What a join found, in counts.

    Attributes:
        lab: Name of the table of results.
        target: The result.
        by: ``batch`` or ``time``.
        lines: Lines of the laboratory; ``without``: those without key or value.
        samples: Samples among them; ``matched``: those with process data.
        lost: Keys (or times) of some samples without process data.
        rows: Process rows (batches, by key); ``labelled``: those with a result.
        keep: Which of several results counted.
        repeated: Samples tested more than once though they passed.
        repeatability: Standard deviation within these, NaN without any.
        selection: Tests repeated until they passed, or ``None``.
        available: Column -> its times of availability per row, by key.
        columns: Columns that came with the result, beside it.
        values, us: Results by time, and the moment each belongs to.
    """

    lab: str
    target: str
    by: Literal["batch", "time"]
    lines: int
    without: int
    samples: int
    matched: int
    lost: tuple[str, ...]
    rows: int
    labelled: int
    keep: Keep
    repeated: int
    repeatability: float
    selection: Selection | None
    available: dict[str, Ints] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    values: Floats = field(default_factory=lambda: np.zeros(0))
    us: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def seconds(text: str) -> float:
    """Return the seconds of ``40min``, ``2 h`` or ``90``; raises if it is no length.

    Raises:
        JoinImpossibleError: if the text is no length of time.
    """
    found = _LAG.match(text)
    if not found:
        msg = f"{text!r} is no lag; a number with s, min, h or d was expected."
        raise JoinImpossibleError(msg)
    unit = (found["u"] or "s")[0]
    return float(found["n"].replace(",", ".")) * _LAG_S[unit]


def by_time(wish: JoinWish) -> bool:
    """Tell whether a join is by time: ``--on TIME``, or a column of times."""
    if wish.on.lower() == TIME_WORD and TIME_WORD not in wish.lab.frame.columns:
        return True
    name = wish.on.partition("=")[2] or wish.on
    if name not in wish.lab.frame.columns:
        return False
    series = wish.lab.frame[name]
    return series.dtype != pl.Float64 and parse_times(series, "") is not None


def join_batches(table: Table, wish: JoinWish, zone: str = "") -> tuple[Table, Joined]:
    """Join results to the rows of their batch; the result's columns come along.

    Raises:
        ColumnMissingError: if the batch's column or the target is missing.
        JoinImpossibleError: if no sample has process data.
    """
    here, there = _keys(table, wish)
    lab = wish.lab.frame
    target = _target(wish, {there})
    us = _lab_times(wish.lab, zone)
    key = unit_names(lab[there])
    value = lab[target].cast(pl.Float64).to_numpy()
    usable = np.flatnonzero(np.isfinite(value) & (key != ""))
    kept = _kept(key[usable], value[usable], _order(us, usable), wish.keep)
    batch = unit_names(table.frame[here])
    place = {name: i for i, name in enumerate(kept.names)}
    at = np.asarray([place.get(name, -1) for name in batch])
    known = at >= 0
    lost = sorted(set(kept.names) - set(batch.tolist()))
    if not known.any():
        msg = (
            f"No {there} of {wish.lab.name} stands in {here} of {table.name} "
            f"({', '.join(kept.names[:3])} ...; {', '.join(batch[:3])} ...)."
        )
        raise JoinImpossibleError(msg)
    line = usable[kept.lines[at]]
    columns, times = _beside(wish.lab, (there, target), zone)
    new = [pl.Series(_free(target, table), np.where(known, kept.values[at], np.nan))]
    unknown = pl.Series(~known)
    new += [
        lab[name].gather(line).set(unknown, None).alias(_free(name, table))
        for name in columns
    ]
    frame = table.frame.with_columns(new).with_columns(
        pl.col(new[0].name).fill_nan(None)
    )
    available = {
        _free(name, table) if name else "": np.where(known, stamps[line], NO_TIME)
        for name, stamps in times.items()
    }
    batches = set(batch.tolist())
    joined = Joined(
        lab=wish.lab.name,
        target=new[0].name,
        by="batch",
        lines=lab.height,
        without=lab.height - len(usable),
        samples=len(kept.names),
        matched=len(kept.names) - len(lost),
        lost=tuple(lost[:5]),
        rows=len(batches),
        labelled=len(batches & set(kept.names)),
        keep=kept.keep,
        repeated=kept.repeated,
        repeatability=kept.repeatability,
        selection=kept.selection,
        available=available,
        columns=tuple(s.name for s in new[1:]),
    )
    said = Assumption(
        what=f"results of {target} in {wish.lab.name} were joined to the rows of their "
        f"{here}: {joined.matched:,} of {joined.samples:,} samples; {kept.said}",
        why=f"--on {wish.on}",
        otherwise="name another column with --on, another result with --target",
    )
    made = replace(
        table,
        frame=frame,
        units=wish.lab.units | table.units,
        assumptions=(*table.assumptions, said),
    )
    return made, joined


def join_times(
    wish: JoinWish, process_us: Ints, zone: str = ""
) -> tuple[Joined, Assumption]:
    """Give each result the moment of the process that it speaks for: its time less a lag.

    A result is matched if a process row stands at or up to a tolerance before that
    moment; the tolerance is one and a half times the usual step of the process.

    Args:
        wish: What the user asks for.
        process_us: Times of the process rows, microseconds since 1970 UTC, shape [n].
        zone: Zone of local times.

    Raises:
        ColumnMissingError, JoinImpossibleError: as ``join_batches``.
    """
    us = _lab_times(wish.lab, zone, wish.on)
    if us is None:
        msg = f"{wish.lab.name} has no column of times to join on."
        raise JoinImpossibleError(msg)
    target = _target(wish, set())
    value = wish.lab.frame[target].cast(pl.Float64).to_numpy()
    usable = np.flatnonzero(np.isfinite(value) & (us != NO_TIME))
    sample = _sample_of(wish.lab, us)[usable]
    kept = _kept(sample, value[usable], _order(us, usable), wish.keep)
    moments = us[usable[kept.lines]] - round(wish.lag_s * SECOND)
    known = np.sort(process_us[process_us != NO_TIME])
    steps = np.diff(known)
    steps = steps[steps > 0]
    reach = round(1.5 * float(np.median(steps))) if len(steps) else 0
    at = np.searchsorted(known, moments, side="right") - 1
    matched = (at >= 0) & (moments - known[np.maximum(at, 0)] <= reach)
    if not matched.any():
        msg = (
            f"No result of {wish.lab.name} has process data at its time less "
            f"{wish.lag_s:g} s."
        )
        raise JoinImpossibleError(msg)
    joined = Joined(
        lab=wish.lab.name,
        target=target,
        by="time",
        lines=wish.lab.frame.height,
        without=wish.lab.frame.height - len(usable),
        samples=len(kept.names),
        matched=int(matched.sum()),
        lost=tuple(kept.names[i] for i in np.flatnonzero(~matched)[:5]),
        rows=len(known),
        labelled=int(matched.sum()),
        keep=kept.keep,
        repeated=kept.repeated,
        repeatability=kept.repeatability,
        selection=kept.selection,
        values=kept.values[matched],
        us=known[at[matched]],
    )
    said = Assumption(
        what=f"results of {target} in {wish.lab.name} belong to the last process row at or "
        f"up to {reach / SECOND:g} s before their time less {wish.lag_s:g} s: "
        f"{joined.matched:,} of {joined.samples:,} samples; {kept.said}",
        why=f"--on {wish.on}, --lag {wish.lag_s:g} s, and one and a half process steps",
        otherwise="give another --lag, or another result with --target",
    )
    return joined, said


@dataclass(frozen=True, kw_only=True)
class _Kept:
    names: list[str]
    values: Floats
    lines: Ints
    keep: Keep
    repeated: int
    repeatability: float
    selection: Selection | None
    said: str


def _kept(key: Texts, value: Floats, order: Ints, keep: Keep | None) -> _Kept:
    """Keep one value per sample, and look at the samples that were tested again.

    Args:
        key: Sample of each result, shape [k].
        value: Its value, shape [k].
        order: The results in the order in which they were made, shape [k].
        keep: As the user said, or ``None``: the first if tests were repeated until they
            passed (the last would flatter), else the mean.
    """
    held: dict[str, list[int]] = {}
    for i in order.tolist():
        same = held.setdefault(str(key[i]), [])
        if not (same and value[same[-1]] == value[i] and len(same) > MIN_FAILED):
            same.append(i)
    again = {name: rows for name, rows in held.items() if len(rows) > 1}
    selection = _until_passing(list(held.values()), value)
    calm = [rows for rows in again.values() if not _failing(value[rows], selection)]
    chosen: Keep = keep or ("first" if selection else "mean")
    picks = {"first": 0, "last": -1, "mean": 0}
    lines = np.asarray([rows[picks[chosen]] for rows in held.values()], dtype=np.int64)
    values = value[lines]
    if chosen == "mean":
        values = np.asarray([value[rows].mean() for rows in held.values()])
    spread = [float(np.var(value[rows], ddof=1)) for rows in calm]
    said = "each sample was tested once"
    if again:
        said = f"{len(again):,} samples were tested more than once, and the {chosen} counts"
    return _Kept(
        names=list(held),
        values=values,
        lines=lines,
        keep=chosen,
        repeated=len(calm),
        repeatability=float(np.sqrt(np.mean(spread))) if spread else float("nan"),
        selection=selection,
        said=said,
    )


def _until_passing(samples: list[list[int]], value: Floats) -> Selection | None:
    """Find a limit that (almost) no final result breaks, though earlier ones do.

    At most one final result in a hundred may lie beyond it (a second test of a passing
    sample can fail). If tests were repeated at random, k of the k + f worst results would
    be earlier ones by a binomial law; its chance must be below one in ten thousand.
    """
    final = np.asarray([rows[-1] for rows in samples])
    early = np.asarray([i for rows in samples for i in rows[:-1]], dtype=np.int64)
    if len(early) < MIN_FAILED:
        return None
    best: Selection | None = None
    for above in (True, False):
        sign = 1.0 if above else -1.0
        limit = _limit(sign * value[early], sign * value[final])
        if limit is None:
            continue
        failed = early[sign * value[early] > limit]
        beyond = set(failed.tolist())
        mine = [rows for rows in samples if beyond & set(rows)]
        last = np.mean([value[rows[-1]] for rows in mine])
        first = np.mean([value[rows[0]] for rows in mine])
        found = Selection(
            samples=len(mine),
            limit=sign * limit,
            above=above,
            failed=len(failed),
            slips=int((sign * value[final] > limit).sum()),
            shift=float(last - first),
        )
        if best is None or found.failed > best.failed:
            best = found
    return best


def _limit(early: Floats, final: Floats) -> float | None:
    """Return the limit above which results were made again, or nothing."""
    share = len(early) / (len(early) + len(final))
    highest = np.sort(final)[::-1]
    best: tuple[float, float] | None = None
    for slips in range(int(SLIPS * len(final)) + 1):
        limit = float(highest[slips])
        failed = int((early > limit).sum())
        chance = sum(
            comb(failed + slips, k) * share**k * (1 - share) ** (failed + slips - k)
            for k in range(failed, failed + slips + 1)
        )
        score = failed - SLIP_COSTS * slips
        if (
            failed >= MIN_FAILED
            and chance < CHANCE
            and (best is None or score > best[0])
        ):
            best = (score, limit)
    return best[1] if best else None


def _failing(values: Floats, selection: Selection | None) -> bool:
    if selection is None:
        return False
    beyond = values > selection.limit if selection.above else values < selection.limit
    return bool(beyond.any())


def _keys(table: Table, wish: JoinWish) -> tuple[str, str]:
    here, _, there = wish.on.partition("=")
    there = there or here
    return _column(table, here), _column(wish.lab, there)


def _column(table: Table, name: str) -> str:
    lower = {column.lower(): column for column in reversed(table.frame.columns)}
    found = name if name in table.frame.columns else lower.get(name.lower())
    if found is None:
        have = ", ".join(table.frame.columns[:10])
        msg = f"{table.name} has no column {name!r} (--on); it has {have}."
        raise ColumnMissingError(msg)
    return found


def _target(wish: JoinWish, taken: set[str]) -> str:
    """Return the result's column: named, or the first of numbers that is called so."""
    frame = wish.lab.frame
    if wish.target is not None:
        if wish.target not in frame.columns or frame[wish.target].dtype != pl.Float64:
            have = ", ".join(frame.columns[:10])
            msg = f"{wish.lab.name} has no column of numbers {wish.target!r} (--target); it has {have}."
            raise ColumnMissingError(msg)
        return wish.target
    numbers = [
        s.name
        for s in frame.get_columns()
        if s.dtype == pl.Float64 and s.name not in taken and not _ORDER.match(s.name)
    ]
    if not numbers:
        msg = f"{wish.lab.name} has no column of numbers that could be the result."
        raise ColumnMissingError(msg)
    return next((name for name in numbers if _RESULT.search(name)), numbers[0])


def _lab_times(lab: Table, zone: str, named: str = "") -> Ints | None:
    """Return the time of each line: as named, else the first column of times."""
    columns = lab.frame.get_columns()
    if named in lab.frame.columns:
        columns = [lab.frame[named]]
    for series in columns:
        if series.dtype == pl.Float64 and not _NAMED_TIME.search(series.name):
            continue
        times = parse_times(series, zone)
        if times is not None:
            return times.us
    return None


def _order(us: Ints | None, usable: Ints) -> Ints:
    """Return the results in the order in which they were made: by time, else as written."""
    if us is None:
        return np.arange(len(usable), dtype=np.int64)
    return np.argsort(us[usable], kind="stable").astype(np.int64)


def _sample_of(lab: Table, us: Ints) -> Texts:
    """Return the sample of each line: a column that names it, else the time itself."""
    for series in lab.frame.get_columns():
        if re.match(r"^(sample|probe|specimen|样品|样)", series.name, re.IGNORECASE):
            return unit_names(series)
    return us.astype(np.str_)


def _beside(
    lab: Table, taken: tuple[str, str], zone: str
) -> tuple[list[str], dict[str, Ints]]:
    """Return the columns that come with a result, and the times of their availability.

    The times of a column stand in a column of its own, named after it (``grade`` and
    ``grade_at``); ``available_at`` or ``result_time`` are the result's.
    """
    stamps: dict[str, Ints] = {}
    for series in lab.frame.get_columns():
        if series.name in taken or not _NAMED_TIME.search(series.name):
            continue
        times = parse_times(series, zone)
        if times is not None:
            stamps[series.name] = times.us
    columns = [n for n in lab.frame.columns if n not in taken and n not in stamps]
    columns = [n for n in columns if not _ORDER.match(n)]
    lower = {name.lower(): name for name in columns}
    available: dict[str, Ints] = {}
    for name, us in stamps.items():
        if _AVAILABLE.match(name):
            available[""] = us
        partner = _PARTNER.match(name)
        if partner and partner["stem"].lower() == taken[1].lower():
            available[""] = us
        elif partner and partner["stem"].lower() in lower:
            available[lower[partner["stem"].lower()]] = us
    return columns, available


def _free(name: str, table: Table) -> str:
    """Return the name, changed if the process table has one of that name."""
    return f"{name} (result)" if name in table.frame.columns else name
