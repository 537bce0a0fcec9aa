"""What was seen before: the newest versions, the latest time, the uses of grants.

A signature says who made a thing, not that it is the newest one. Freshness keeps the
high-water marks that refuse an old package, a clock set back and a grant used up.
Whoever can write the record can reset it; what that means is in the threat model.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field, StringConstraints, ValidationError

from tundish.kernel import canonical, clock, paths
from tundish.kernel.digest import Digest, short
from tundish.kernel.errors import DocumentMalformedError, NotCanonicalError
from tundish.kernel.records import Record
from tundish.seal.errors import (
    ClockSetBackError,
    FreshnessUnreadableError,
    GrantOlderError,
    GrantUsedUpError,
    PackageForkedError,
    PackageOlderError,
    TimeNoteUsedError,
)
from tundish.seal.fields import Moment

TOLERANCE_S = 120.0

Count: TypeAlias = Annotated[int, Field(ge=0)]


class Freshness(Protocol):
    """What remembers across openings; every method refuses or remembers."""

    def see_time(self, now: datetime) -> None:
        """Remember the time; raise ``clock-set-back`` if it was later before."""
        ...

    def see_witness(self, moment: datetime) -> None:
        """Remember a time that somebody trusted has signed; an earlier one is idle."""
        ...

    def see_package(self, product: str, version: int, package: Digest) -> None:
        """Remember a verified version; raise ``package-older`` below the newest."""
        ...

    def begin_grant(self, grant: str, now: datetime) -> datetime:
        """Return when a spare's grant was first opened here; now, if never."""
        ...

    def take_answers(
        self, series: str, *, wanted: int, per_day: int, now: datetime, until: datetime
    ) -> int:
        """Count answers of a day and return how many are given: ``wanted`` or fewer.

        None from ``until`` on, which is the end of the grant.
        """
        ...

    def use_grant(
        self, grant: str, *, series: str, version: int, uses: int | None
    ) -> int | None:
        """Count one use and return those left (``None``: not limited).

        Raises ``grant-older`` below the newest version seen of the series, and
        ``grant-used-up`` beyond ``uses``.
        """
        ...


class SeenPackage(Record):
    """The newest version seen of a product, and which package it was."""

    version: Count
    package: Digest


class AnswersTaken(Record):
    """Answers that a model was asked for on the latest day seen (ISO date, UTC)."""

    day: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    taken: int


class Seen(Record):
    """All that was seen; the form of the file.

    ``floors`` holds, by the key that issued a grant ("": any other key), the latest time
    that was seen before somebody else corrected it.
    """

    format: Literal["tundish.seen"] = "tundish.seen"
    version: Literal[1] = 1
    time: Moment | None = None
    packages: dict[str, SeenPackage] = Field(default_factory=dict)
    grants: dict[str, Count] = Field(default_factory=dict)
    uses: dict[str, Count] = Field(default_factory=dict)
    began: dict[str, Moment] = Field(default_factory=dict)
    corrections: tuple[str, ...] = ()
    floors: dict[str, Moment] = Field(default_factory=dict)
    answers: dict[str, AnswersTaken] = Field(default_factory=dict)


def after_time(seen: Seen, now: datetime) -> Seen:
    """Return what is seen after ``now``.

    A clock may go back by ``TOLERANCE_S``, as time services do when they correct it.

    Raises:
        ClockSetBackError: if a later time was seen before.
    """
    if seen.time is not None:
        latest = clock.from_text(seen.time)
        if latest - now > timedelta(seconds=TOLERANCE_S):
            msg = (
                f"The clock shows {clock.to_text(now)}, but {seen.time} was seen here "
                "before."
            )
            raise ClockSetBackError(msg)
        now = max(now, latest)
    return seen.model_copy(update={"time": clock.to_text(now)})


def after_witness(seen: Seen, moment: datetime) -> Seen:
    """Return what is seen after a signed time: this clock may not show an earlier one."""
    if seen.time is not None and clock.from_text(seen.time) >= moment:
        return seen
    return seen.model_copy(update={"time": clock.to_text(moment)})


def after_correction(seen: Seen, name: str, moment: datetime, by: str) -> Seen:
    """Return what is seen after a signed correction, which also sets the time back.

    It counts for what its signer issued. For everybody else's grants the time from before
    stays: otherwise whoever has any key that is trusted here, such as the box's own, could
    make their time begin anew.

    Args:
        seen: What was seen until now.
        name: Of the correction.
        moment: The time that it sets.
        by: Id of its signer's key.

    Raises:
        TimeNoteUsedError: if this correction was used here before.
    """
    if name in seen.corrections:
        msg = f"The correction {name} was used here before; each one counts once."
        raise TimeNoteUsedError(msg)
    time = clock.to_text(moment)
    latest = max(clock.from_text(seen.time), moment) if seen.time else moment
    floors = {
        key: clock.to_text(max(clock.from_text(floor), latest))
        for key, floor in {"": time, **seen.floors}.items()
    }
    changed = {
        "time": time,
        "corrections": (*seen.corrections, name),
        "floors": {**floors, by: time},
    }
    return seen.model_copy(update=changed)


def check_corrected(
    seen: Seen, of_issuer: Callable[[str], bool], now: datetime
) -> None:
    """Refuse a grant whose time only somebody else than its issuer has set back.

    Args:
        seen: What was seen until now.
        of_issuer: Tells whether a key belongs to the issuer's line of rotated keys.
        now: This machine's time.

    Raises:
        ClockSetBackError: if a later time was seen before such a correction.
    """
    own = [floor for key, floor in seen.floors.items() if key and of_issuer(key)]
    floor = min(own, key=clock.from_text, default=seen.floors.get("", ""))
    if floor and clock.from_text(floor) - now > timedelta(seconds=TOLERANCE_S):
        msg = (
            f"The clock shows {clock.to_text(now)}, but {floor} was seen here before, and "
            "the correction since then was not signed by the issuer of the grant."
        )
        raise ClockSetBackError(msg)


def after_beginning(seen: Seen, grant: str, now: datetime) -> tuple[Seen, datetime]:
    """Return what is seen after a spare's grant is opened, and when it first was."""
    if grant in seen.began:
        return seen, clock.from_text(seen.began[grant])
    began = {**seen.began, grant: clock.to_text(now)}
    return seen.model_copy(update={"began": began}), now


def after_package(seen: Seen, product: str, version: int, package: Digest) -> Seen:
    """Return what is seen after a verified package.

    Raises:
        PackageOlderError: if a newer version was seen.
        PackageForkedError: if another package of this version was seen.
    """
    newest = seen.packages.get(product)
    if newest is not None and version < newest.version:
        msg = (
            f"The package {product} has version {version}; version {newest.version} was "
            "seen here before."
        )
        raise PackageOlderError(msg)
    if newest is not None and version == newest.version and package != newest.package:
        msg = (
            f"The package {short(package)} is version {version} of {product}, and so is "
            f"{short(newest.package)}, which was seen here before."
        )
        raise PackageForkedError(msg)
    entry = SeenPackage(version=version, package=package)
    return seen.model_copy(update={"packages": {**seen.packages, product: entry}})


def after_grant(
    seen: Seen, grant: str, *, series: str, version: int, uses: int | None
) -> tuple[Seen, int | None]:
    """Return what is seen after one use of a grant, and the uses left.

    Raises:
        GrantOlderError: if a newer grant of the series was used.
        GrantUsedUpError: if all uses are spent.
    """
    newest = seen.grants.get(series, version)
    if version < newest:
        msg = (
            f"The grant {grant} has version {version}; version {newest} was used here."
        )
        raise GrantOlderError(msg)
    spent = seen.uses.get(grant, 0)
    if uses is not None and spent >= uses:
        msg = f"The grant {grant} allows {uses} uses, and all of them are spent."
        raise GrantUsedUpError(msg)
    after = seen.model_copy(
        update={
            "grants": {**seen.grants, series: version},
            "uses": {**seen.uses, grant: spent + 1},
        }
    )
    return after, None if uses is None else uses - spent - 1


def after_answers(
    seen: Seen,
    series: str,
    *,
    wanted: int,
    per_day: int,
    now: datetime,
    until: datetime,
) -> tuple[Seen, int]:
    """Return what is seen after answers were asked for, and how many are given.

    The day is that of the latest time seen: a clock set back brings no day again, and
    one set forward stays forward. From ``until`` on, by that time, none is given. So all
    days of a grant together give no more than its days times ``per_day``.
    """
    latest = clock.from_text(seen.time) if seen.time is not None else now
    moment = max(now, latest)
    day = moment.date().isoformat()
    held = seen.answers.get(series)
    taken = held.taken if held is not None and held.day >= day else 0
    given = max(0, min(wanted, per_day - taken)) if moment < until else 0
    entry = AnswersTaken(day=max(day, held.day if held else day), taken=taken + given)
    after = seen.model_copy(
        update={
            "time": clock.to_text(moment),
            "answers": {**seen.answers, series: entry},
        }
    )
    return after, given


class MemoryFreshness:
    """Remembers within this process only: for inspection and tests.

    With a new one, an old package and a clock set back pass; never use it to open a
    package on a line.
    """

    def __init__(self) -> None:
        self._seen = Seen()

    def see_time(self, now: datetime) -> None:
        """Remember the time; see ``after_time``."""
        self._seen = after_time(self._seen, now)

    def see_witness(self, moment: datetime) -> None:
        """Remember a signed time; see ``after_witness``."""
        self._seen = after_witness(self._seen, moment)

    def begin_grant(self, grant: str, now: datetime) -> datetime:
        """Remember a beginning; see ``after_beginning``."""
        self._seen, began = after_beginning(self._seen, grant, now)
        return began

    def take_answers(
        self, series: str, *, wanted: int, per_day: int, now: datetime, until: datetime
    ) -> int:
        """Count answers; see ``after_answers``."""
        self._seen, given = after_answers(
            self._seen,
            series,
            wanted=wanted,
            per_day=per_day,
            now=now,
            until=until,
        )
        return given

    def see_package(self, product: str, version: int, package: Digest) -> None:
        """Remember a package; see ``after_package``."""
        self._seen = after_package(self._seen, product, version, package)

    def use_grant(
        self, grant: str, *, series: str, version: int, uses: int | None
    ) -> int | None:
        """Count a use; see ``after_grant``."""
        self._seen, left = after_grant(
            self._seen, grant, series=series, version=version, uses=uses
        )
        return left


class LettingOlder:
    """Lets named packages through although a newer version was seen; all else holds.

    The newest version seen stays what it was: nothing is set back by this.

    Args:
        inner: What remembers.
        named: Digests of packages; nothing else that is older passes.
    """

    def __init__(self, inner: Freshness, named: Collection[Digest]) -> None:
        self._inner = inner
        self._named = frozenset(named)

    def see_time(self, now: datetime) -> None:
        """Remember the time; see ``Freshness``."""
        self._inner.see_time(now)

    def see_witness(self, moment: datetime) -> None:
        """Remember a signed time; see ``Freshness``."""
        self._inner.see_witness(moment)

    def begin_grant(self, grant: str, now: datetime) -> datetime:
        """Remember a beginning; see ``Freshness``."""
        return self._inner.begin_grant(grant, now)

    def take_answers(
        self, series: str, *, wanted: int, per_day: int, now: datetime, until: datetime
    ) -> int:
        """Count answers; see ``Freshness``."""
        return self._inner.take_answers(
            series, wanted=wanted, per_day=per_day, now=now, until=until
        )

    def see_package(self, product: str, version: int, package: Digest) -> None:
        """Remember a package, or let it pass if it is older and named."""
        try:
            self._inner.see_package(product, version, package)
        except PackageOlderError:
            if package not in self._named:
                raise

    def use_grant(
        self, grant: str, *, series: str, version: int, uses: int | None
    ) -> int | None:
        """Count a use; see ``Freshness``."""
        return self._inner.use_grant(grant, series=series, version=version, uses=uses)


class FileFreshness:
    """Remembers in a JSON file that is written whole before anything is opened.

    Several processes may share it (a lock file stands beside it). A missing file
    means that nothing was seen yet; an unreadable one refuses everything.

    Args:
        path: The file; its folder is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def see_time(self, now: datetime) -> None:
        """Remember the time; see ``after_time``."""
        with self._locked():
            self._write(after_time(self._read(), now))

    def seen(self) -> Seen:
        """Return all that was seen."""
        with self._locked():
            return self._read()

    def see_witness(self, moment: datetime) -> None:
        """Remember a signed time; see ``after_witness``."""
        with self._locked():
            self._write(after_witness(self._read(), moment))

    def correct(self, name: str, moment: datetime, by: str) -> None:
        """Take a signed correction; see ``after_correction``."""
        with self._locked():
            self._write(after_correction(self._read(), name, moment, by))

    def begin_grant(self, grant: str, now: datetime) -> datetime:
        """Remember a beginning; see ``after_beginning``."""
        with self._locked():
            after, began = after_beginning(self._read(), grant, now)
            self._write(after)
            return began

    def take_answers(
        self, series: str, *, wanted: int, per_day: int, now: datetime, until: datetime
    ) -> int:
        """Count answers; see ``after_answers``."""
        with self._locked():
            after, given = after_answers(
                self._read(),
                series,
                wanted=wanted,
                per_day=per_day,
                now=now,
                until=until,
            )
            self._write(after)
            return given

    def see_package(self, product: str, version: int, package: Digest) -> None:
        """Remember a package; see ``after_package``."""
        with self._locked():
            self._write(after_package(self._read(), product, version, package))

    def use_grant(
        self, grant: str, *, series: str, version: int, uses: int | None
    ) -> int | None:
        """Count a use; see ``after_grant``."""
        with self._locked():
            after, left = after_grant(
                self._read(), grant, series=series, version=version, uses=uses
            )
            self._write(after)
            return left

    def _read(self) -> Seen:
        if not self._path.exists():
            return Seen()
        try:
            data = self._path.read_bytes()
            canonical.loads_canonical(data)
            return Seen.model_validate_json(data)
        except (
            OSError,
            DocumentMalformedError,
            NotCanonicalError,
            ValidationError,
        ) as error:
            msg = f"The record of versions and times seen at {self._path} is damaged."
            raise FreshnessUnreadableError(msg) from error

    def _write(self, seen: Seen) -> None:
        paths.write_whole(self._path, canonical.dumps(seen.to_json()), mode=0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        with paths.lock_stream(lock) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield
