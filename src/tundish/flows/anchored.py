"""What was seen, held against the ledger: an old copy put back is noticed.

The record of times and uses is a file, and a file can be put back. Each use is in the
ledger too, which is signed and only grows; so the record may be ahead of the ledger,
never behind it. The newest versions seen, of packages and of lists of what was revoked,
stand in each entry of a use too. Whoever puts back both as of the same moment is not
noticed here: a checkpoint kept elsewhere shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from tundish.kernel import clock
from tundish.kernel.digest import Digest
from tundish.ledger.record import Entry
from tundish.seal.errors import FreshnessRolledBackError
from tundish.seal.freshness import FileFreshness, Seen, check_corrected

USED, CORRECTED, ANSWERED = "grant-used", "time-corrected", "answers-taken"
ANCHORS = (USED, CORRECTED, ANSWERED)
MOST_VERSIONS = 300

Newest = Callable[[Sequence[str], Mapping[str, JsonValue]], Entry | None]
"""Gives the newest entry of some acts whose detail has these items."""
Keep = Callable[[str, Mapping[str, JsonValue]], None]
"""Writes an act with its detail."""


class AnchoredFreshness:
    """Remembers in a file and holds it against the ledger.

    Args:
        path: The file.
        newest: Asks the ledger.
        keep: Writes into the ledger.
    """

    def __init__(self, path: Path, newest: Newest, keep: Keep) -> None:
        self._path = path
        self._file = FileFreshness(path)
        self._newest = newest
        self._keep = keep

    def see_time(self, now: datetime) -> None:
        """Remember the time; see ``Freshness``."""
        self._check_time()
        self._file.see_time(now)

    def see_witness(self, moment: datetime) -> None:
        """Remember a signed time; see ``Freshness``.

        Asks the ledger nothing, which may be long: time only goes up here, and a
        running line does this once a minute.
        """
        self._file.see_witness(moment)

    def correct(self, name: str, moment: datetime, by: str) -> None:
        """Take a signed correction of the time, once; see ``after_correction``.

        Raises:
            TimeNoteUsedError: if it was used here before.
            FreshnessRolledBackError: if the ledger knows it, or newer versions, and the
                record does not.
        """
        self._check_versions(self._newest(ANCHORS, {}))
        used = self._newest([CORRECTED], {"note": name}) is not None
        if used and name not in self._file.seen().corrections:
            raise _behind(self._path, f"the correction {name}")
        self._file.correct(name, moment, by)
        self._keep(CORRECTED, {"note": name, **_anchor(self._file.seen())})

    def check_corrected(self, of_issuer: Callable[[str], bool], now: datetime) -> None:
        """Refuse a grant whose issuer did not correct the time; see ``check_corrected``.

        Raises:
            ClockSetBackError: as there.
            FreshnessRolledBackError: if the ledger knows of another correction.
        """
        entry, seen = self._newest(ANCHORS, {}), self._file.seen()
        if entry is not None and entry.detail.get("floors", {}) != seen.floors:
            raise _behind(self._path, "another correction of the time")
        check_corrected(seen, of_issuer, now)

    def see_package(self, product: str, version: int, package: Digest) -> None:
        """Remember a package; see ``Freshness``."""
        self._file.see_package(product, version, package)

    def begin_grant(self, grant: str, now: datetime) -> datetime:
        """Remember a beginning; see ``Freshness``."""
        self._check_grant(grant)
        return self._file.begin_grant(grant, now)

    def take_answers(
        self, series: str, *, wanted: int, per_day: int, now: datetime, until: datetime
    ) -> int:
        """Count answers in the file, then in the ledger; see ``Freshness``.

        Raises:
            FreshnessRolledBackError: if the ledger knows of more than the record.
        """
        self._check_time()
        self._check_answers(series)
        given = self._file.take_answers(
            series, wanted=wanted, per_day=per_day, now=now, until=until
        )
        if given:
            seen = self._file.seen()
            held = seen.answers[series]
            self._keep(
                ANSWERED,
                {
                    "series": series,
                    "day": held.day,
                    "taken": held.taken,
                    **_anchor(seen),
                },
            )
        return given

    def use_grant(
        self, grant: str, *, series: str, version: int, uses: int | None
    ) -> int | None:
        """Count a use in the file, then in the ledger; see ``Freshness``."""
        self._check_versions(self._newest(ANCHORS, {}))
        self._check_grant(grant)
        self._check_series(series)
        left = self._file.use_grant(grant, series=series, version=version, uses=uses)
        seen = self._file.seen()
        self._keep(
            USED,
            {
                "grant": grant,
                "series": series,
                "version": version,
                "spent": seen.uses[grant],
                "began": seen.began.get(grant),
                **_anchor(seen),
            },
        )
        return left

    def _check_time(self) -> None:
        newest = self._newest(ANCHORS, {})
        if newest is None:
            return
        kept, seen = newest.detail.get("time"), self._file.seen().time
        if isinstance(kept, str) and _earlier(seen, kept):
            raise _behind(self._path, f"the time {kept}")
        self._check_versions(newest)

    def _check_versions(self, newest: Entry | None) -> None:
        kept = newest.detail.get("versions") if newest is not None else None
        held = self._file.seen().packages
        for series, version in kept.items() if isinstance(kept, dict) else ():
            have = held[series].version if series in held else -1
            if isinstance(version, int) and have < version:
                raise _behind(self._path, f"version {version} of {series}")

    def _check_answers(self, series: str) -> None:
        entry, seen = self._newest([ANSWERED], {"series": series}), self._file.seen()
        said = entry.detail if entry is not None else {}
        day, taken = said.get("day", ""), said.get("taken", 0)
        held = seen.answers.get(series)
        known = (held.day, held.taken) if held else ("", 0)
        if isinstance(day, str) and isinstance(taken, int) and known < (day, taken):
            raise _behind(self._path, f"{taken} answers on {day}")
        today = clock.from_text(seen.time).date().isoformat() if seen.time else ""
        if known[0] > max(str(day), today):
            msg = f"The record {self._path.name} tells of answers on {known[0]}, a day that has not come here."
            raise FreshnessRolledBackError(msg)

    def _check_series(self, series: str) -> None:
        entry = self._newest([USED], {"series": series})
        version = entry.detail.get("version") if entry is not None else None
        have = self._file.seen().grants.get(series, 0)
        if isinstance(version, int) and have < version:
            raise _behind(self._path, f"version {version} of the grants for {series}")

    def _check_grant(self, grant: str) -> None:
        entry = self._newest([USED], {"grant": grant})
        if entry is None:
            return
        seen, spent = self._file.seen(), entry.detail.get("spent")
        if isinstance(spent, int) and seen.uses.get(grant, 0) < spent:
            raise _behind(self._path, f"{spent} uses of the grant {grant}")
        if seen.began.get(grant) != entry.detail.get("began"):
            raise _behind(self._path, f"another activation of the grant {grant}")


def _anchor(seen: Seen) -> dict[str, JsonValue]:
    """Return what an entry holds of the record beside the use that it tells of.

    Certificates of data are left out: there may be thousands of sets.
    """
    versions: dict[str, JsonValue] = {
        series: one.version
        for series, one in seen.packages.items()
        if not series.startswith("certificate:")
    }
    kept = dict(list(versions.items())[-MOST_VERSIONS:])
    floors: dict[str, JsonValue] = {**seen.floors}
    return {
        "time": seen.time,
        "versions": kept,
        **({"floors": floors} if floors else {}),
    }


def _earlier(seen: str | None, kept: str) -> bool:
    return seen is None or clock.from_text(seen) < clock.from_text(kept)


def _behind(path: Path, what: str) -> FreshnessRolledBackError:
    msg = f"The ledger tells of {what}, and the record {path.name} does not."
    return FreshnessRolledBackError(msg)
