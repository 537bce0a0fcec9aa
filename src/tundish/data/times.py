"""A column of times in any usual form, as microseconds since 1970 in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tundish.data.errors import TimeUnreadableError
from tundish.data.table import Assumption
from tundish.kernel.clock import is_zone

NO_TIME = np.iinfo(np.int64).min
SECOND = 1_000_000
READABLE_AT_LEAST = 0.95
NEARLY = 0.25
ELAPSED_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%d-%b-%y", "%d.%m.%y")
_SLASHED = ("%d/%m/%Y", "%m/%d/%Y")
_SHORT_YEAR = r"^\d{1,2}/\d{1,2}/\d{2}(\D|$)"
_CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%H:%M:%S,%3f", "%I:%M:%S %p", "%I:%M %p")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCHS = (("s", 1e6), ("ms", 1e3), ("us", 1.0), ("ns", 1e-3))
_FROM_US = 631_152_000 * SECOND  # 1990-01-01
_TO_US = 4_102_444_800 * SECOND  # 2100-01-01
_SAMPLE = 400
_CUT = 24
_ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Helsinki",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Australia/Sydney",
    "America/Santiago",
)
_ELAPSED_NAMES = {
    "h": ("h", "hour", "hours", "hrs"),
    "min": ("min", "mins", "minute", "minutes"),
    "d": ("d", "day", "days"),
}

Kind = Literal["zoned", "local", "epoch", "elapsed"]


@dataclass(frozen=True, kw_only=True)
class Times:
    """The times of a table's rows.

    Attributes:
        us: Microseconds since 1970 UTC, shape [n]; ``NO_TIME`` where there is none. For
            elapsed time, microseconds since its zero.
        column: The column they came from.
        kind: ``zoned`` (with offset), ``local`` (wall clock of ``zone``), ``epoch`` or
            ``elapsed``.
        zone: IANA zone in which times are shown and local ones were read.
        unreadable: Filled cells that are no time in the form found.
        absent: Local times that no clock of the zone showed (skipped in spring).
        assumption: What was assumed about the form.
    """

    us: NDArray[np.int64]
    column: str
    kind: Kind
    zone: str
    unreadable: int
    absent: int
    assumption: Assumption

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which rows have a time, shape [n]."""
        return np.asarray(self.us != NO_TIME)

    def datetimes(self) -> NDArray[np.datetime64]:
        """Return the times as ``datetime64[us]`` in UTC; NaT where there is none."""
        return self.us.view("datetime64[us]")  # NO_TIME is NumPy's NaT


def to_us(moment: datetime) -> int:
    """Return a moment in microseconds since 1970."""
    return round((moment - _EPOCH) / timedelta(microseconds=1))


def parse_times(series: pl.Series, zone: str) -> Times | None:
    """Read a column as times, or return nothing if it is none.

    Tried in this order: a column that already has times; ISO 8601 with offset; ISO and
    other written forms without; seconds, ms, us or ns since 1970 (between 1990 and
    2100). A column of elapsed time is read by ``parse_elapsed``.

    Args:
        series: Texts, numbers or times. Untrusted.
        zone: IANA zone of times that carry no offset; empty if nobody said: then UTC,
            or for times with offsets the zone that these fit.

    Raises:
        TimeUnreadableError: if there is no such zone.
    """
    if zone and not _counts(zone):
        msg = f"{zone!r} is no zone in which times can be read: an IANA zone such as Asia/Shanghai is needed."
        raise TimeUnreadableError(
            msg, advice="Write the zone as 'Continent/City' (--time-zone, time_zone)."
        )
    if series.dtype.is_temporal():
        return _from_temporal(series, zone)
    if series.dtype == pl.String:
        return _from_text(series, zone)
    return _from_epoch(series, zone)


def _counts(zone: str) -> bool:
    """Tell whether both libraries that count times here know a zone."""
    try:
        pl.Series([0], dtype=pl.Datetime("us")).dt.replace_time_zone(zone)
    except pl.exceptions.PolarsError:
        return False
    return is_zone(zone)


def why_no_times(series: pl.Series) -> str:
    """Say how near a column of texts comes to one form of times; empty if not near."""
    if series.dtype != pl.String:
        return ""
    text = _trimmed(series)
    filled = text.drop_nulls()
    if filled.is_empty():
        return ""
    sample = _sampled(filled)
    if sample.str.contains(r"\d").sum() < NEARLY * len(sample):
        return ""
    form = max(_forms(sample), key=lambda form: _share(sample, form))
    stamps = _stamps(text, form)
    read = len(filled) - _unread(stamps, text)
    if read < NEARLY * len(filled):
        return ""
    return f"{read:,} of {len(filled):,} cells have the form {_shown(form)}; {_stray(stamps, text)}"


def parse_elapsed(series: pl.Series, unit: str | None = None) -> Times | None:
    """Read a column of numbers as time since some zero, or return nothing.

    Args:
        series: Numbers. Untrusted.
        unit: ``s``, ``min``, ``h`` or ``d``; guessed from the name if absent, else s.
    """
    if not series.dtype.is_numeric():
        return None
    known = unit or next(
        (u for u, names in _ELAPSED_NAMES.items() if series.name.lower() in names), "s"
    )
    values = series.cast(pl.Float64).to_numpy()
    limit = 2.0**62 / SECOND / ELAPSED_S[known]
    fine = np.isfinite(values) & (np.abs(values) < limit)
    us = np.full(len(values), NO_TIME)
    us[fine] = np.rint(values[fine] * ELAPSED_S[known] * SECOND).astype(np.int64)
    said = Assumption(
        what=f"{series.name} is time elapsed, in {known}",
        why="it holds numbers that rise",
        otherwise="name another column with --time",
    )
    return Times(
        us=us,
        column=series.name,
        kind="elapsed",
        zone="UTC",
        unreadable=int((~fine & ~np.isnan(values)).sum()),
        absent=0,
        assumption=said,
    )


def _from_temporal(series: pl.Series, zone: str) -> Times | None:
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if not isinstance(series.dtype, pl.Datetime):
        return None
    zoned = series.dtype.time_zone is not None
    stamps = series.dt.cast_time_unit("us")
    return _made(stamps, series, zone, zoned=zoned, form="stored as times")


def _from_text(series: pl.Series, zone: str) -> Times | None:
    text = _trimmed(series)
    filled = text.drop_nulls()
    if filled.is_empty():
        return None
    sample = _sampled(filled)
    if sample.str.contains(r"\d").sum() < READABLE_AT_LEAST * len(sample):
        return None
    for form in _forms(sample):
        if _share(sample, form) >= READABLE_AT_LEAST:
            stamps = _stamps(text, form)
            if stamps.count() >= READABLE_AT_LEAST * len(filled):
                zoned = "%z" in form
                zone = zone or (_zone_of(sample, form) if zoned else "")
                return _made(stamps, text, zone, zoned=zoned, form=form)
    return None


def _trimmed(series: pl.Series) -> pl.Series:
    return series.str.strip_chars().str.replace(r"[zZ]$", "+00:00")


def _sampled(filled: pl.Series) -> pl.Series:
    picks = np.unique(np.linspace(0, len(filled) - 1, _SAMPLE).astype(int))
    return filled.gather(picks)


def _unread(stamps: pl.Series, cells: pl.Series) -> int:
    return int(stamps.null_count() - cells.null_count())


def _stray(stamps: pl.Series, cells: pl.Series) -> str:
    """Name the first filled cell that is no time in the form of the others."""
    row = (stamps.is_null() & cells.is_not_null()).arg_max() or 0
    return f"row {row + 1} has {str(cells[row])[:_CUT]!r}"


def _shown(form: str) -> str:
    return form.replace("%.f", "")


def _forms(sample: pl.Series) -> list[str]:
    """Return the written forms to try, those with an offset first."""
    marked = sample.str.contains(r"^\d{4}-\d\d-\d\dT").sum()
    mark = "T" if marked > len(sample) / 2 else " "
    slashed = _SLASHED
    if _month_first(sample):
        slashed = (_SLASHED[1], _SLASHED[0])
    if sample.str.contains(_SHORT_YEAR).sum() > len(sample) / 2:
        slashed = (slashed[0].lower(), slashed[1].lower())
    dates = (*_DATES, *slashed)
    timed = [f"{date}{mark}{clock}" for date in dates for clock in _CLOCKS]
    zoned = [f"{form}%z" for form in timed if form.startswith("%Y")]
    spaced = [f"{form} %z" for form in timed if form.startswith("%Y")]
    return [*zoned, *spaced, *timed, *dates, "%Y%m%d %H:%M:%S", "%Y%m%d%H%M%S"]


def _month_first(sample: pl.Series) -> bool:
    """Tell ``3/14/2026`` from ``14/3/2026``; day first where both would do."""
    parts = sample.str.extract_groups(r"^(\d{1,2})/(\d{1,2})/\d{2}").struct.unnest()
    one, two = (parts[name].cast(pl.Int64) for name in parts.columns[:2])
    return bool((two > 12).any()) and not bool((one > 12).any())


def _zone_of(sample: pl.Series, form: str) -> str:
    """Return a zone whose offsets are those that are written with the times.

    A constant offset gives a zone without summer time; one that changes is looked up
    among zones in use; UTC if none fits.
    """
    written = sample.str.extract(r"([+-]\d{2}:?\d{2})$", 1).str.replace(":", "")
    minutes = written.str.slice(0, 3).cast(pl.Int64) * 60 + written.str.slice(
        0, 1
    ).replace({"+": "1", "-": "-1"}).cast(pl.Int64) * written.str.slice(3).cast(
        pl.Int64
    )
    levels = minutes.drop_nulls().unique()
    if len(levels) == 1 and levels[0] % 60 == 0:
        hours = levels[0] // 60
        return "UTC" if hours == 0 else f"Etc/GMT{-hours:+d}"
    stamps = _stamps(sample, form)
    for zone in _ZONES:
        local = stamps.dt.convert_time_zone(zone)
        offset = local.dt.base_utc_offset() + local.dt.dst_offset()
        if bool((offset.dt.total_minutes() == minutes).all()):
            return zone
    return "UTC"


def _share(sample: pl.Series, form: str) -> float:
    return _stamps(sample, form).count() / len(sample)


def _stamps(text: pl.Series, form: str) -> pl.Series:
    try:
        stamps = text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return pl.Series(values=[None] * len(text), dtype=pl.Datetime("us"))
    years = stamps.dt.year()
    return stamps.set(~years.is_between(1900, 2200).fill_null(value=False), None)


def _made(
    stamps: pl.Series, cells: pl.Series, zone: str, *, zoned: bool, form: str
) -> Times:
    absent = 0
    zone = zone or "UTC"
    if zoned:
        us = _micros(stamps)
    else:
        us, absent = _local_to_utc(stamps, zone)
    where = (
        f"with an offset, shown in {zone}"
        if zoned
        else f"without an offset, taken as {zone} time"
    )
    unread = _unread(stamps, cells)
    but = (
        f"; {unread:,} of them {'has' if unread == 1 else 'have'} not, and those rows "
        f"have no time: {_stray(stamps, cells)}"
    )
    said = Assumption(
        what=f"{cells.name} is the time, {where}",
        why=f"its cells have the form {_shown(form)}{but if unread else ''}",
        otherwise="name another column with --time, or the zone with --time-zone",
    )
    return Times(
        us=us,
        column=cells.name,
        kind="zoned" if zoned else "local",
        zone=zone,
        unreadable=unread,
        absent=absent,
        assumption=said,
    )


def _micros(stamps: pl.Series) -> NDArray[np.int64]:
    whole = stamps.dt.timestamp("us").fill_null(NO_TIME)
    return np.array(whole.to_numpy(), dtype=np.int64)


def _local_to_utc(stamps: pl.Series, zone: str) -> tuple[NDArray[np.int64], int]:
    """Read wall-clock times in a zone.

    In the hour that stands twice in autumn, rows after a step back take the second
    pass. Times in the hour that is skipped in spring are read as if the clock had not
    been changed (02:30 is taken as 03:30) and counted.

    Returns:
        Microseconds in UTC, shape [n], and how many times no clock showed.
    """
    early = stamps.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    late = stamps.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    us, us_late = _micros(early), _micros(late)
    twice = us != us_late
    if twice.any():
        second = _second_pass(_micros(stamps), twice)
        us = np.where(second, us_late, us)
    skipped = (early.is_null() & stamps.is_not_null()).to_numpy()
    if skipped.any():
        moved = stamps.dt.offset_by("1h").dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        )
        us = np.where(skipped, _micros(moved), us)
    return us, int(skipped.sum())


def _second_pass(
    wall: NDArray[np.int64], twice: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mark ambiguous rows that come after a step back inside their ambiguous stretch."""
    second = np.zeros(len(wall), dtype=bool)
    rows = np.flatnonzero(twice)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        back = np.flatnonzero(np.diff(wall[run]) < 0)
        if len(back) == 1:
            second[run[back[0] + 1 :]] = True
    return second


def _from_epoch(series: pl.Series, zone: str) -> Times | None:
    values = series.cast(pl.Float64).to_numpy()
    fine = np.isfinite(values)
    if not fine.any():
        return None
    for name, factor in _EPOCHS:
        us = values[fine] * factor
        inside = (us >= _FROM_US) & (us < _TO_US)
        if inside.mean() >= READABLE_AT_LEAST:
            whole = np.full(len(values), NO_TIME)
            rows = np.flatnonzero(fine)[inside]
            whole[rows] = np.rint(us[inside]).astype(np.int64)
            zone = zone or "UTC"
            said = Assumption(
                what=f"{series.name} is the time, in {name} since 1970 UTC",
                why="read so, its numbers lie between 1990 and 2100",
                otherwise="name another column with --time",
            )
            return Times(
                us=whole,
                column=series.name,
                kind="epoch",
                zone=zone,
                unreadable=int(fine.sum() - inside.sum()),
                absent=0,
                assumption=said,
            )
    return None
