"""The disk buffer: every sample is here before it is acknowledged or scored.

Idempotent on (signal, source time); estimates are written exactly once, keyed by
source time, in the same commit that moves the settled mark. Whatever is killed at
whatever moment, the next start goes on at that mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tundish.kernel.sqlitefile import transaction
from tundish.line import bufferfile
from tundish.line.bufferfile import Durability, said_clearly
from tundish.line.bufferrows import SampleRow, from_row, sample_row, to_row, to_sample
from tundish.line.estimates import Estimate
from tundish.line.samples import Gap, Sample
from tundish.line.spool import Spool

_REST_ROWS = 100_000  # about four megabytes of log
_COMMIT_ROWS = 300  # what a commit writes besides its rows, counted in rows
_BEFORE_ALL = -(2**62)
_AFTER_ALL = 2**62
_COLUMNS = "SELECT at_us, signal, quality, reason, body FROM samples WHERE "
_BACKWARDS = f"{_COLUMNS} at_us <= ? ORDER BY at_us DESC, signal"
_FORWARDS = f"{_COLUMNS} at_us > ? ORDER BY at_us, signal LIMIT ?"
_INSERT_NEW = "INSERT INTO samples VALUES (?,?,?,?,?)"
_INSERT_OLD = f"{_INSERT_NEW} ON CONFLICT DO NOTHING"
_KEPT_SAMPLES = 0.99  # little at a time: nobody waits for a long clearing
_KEPT_ANSWERS = 0.9  # each clearing may be a gap of a sink: few of them
_MIN_ROWS = 10


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of samples handed to the buffer.

    Attributes:
        new: Those that were not there yet, in the order given.
        duplicates: How many were there already (same signal and source time).
        behind: How many of the new ones are older than one known of their signal.
        dropped: Unsettled stretches given up because the buffer was full; each is
            recorded as a gap.
    """

    new: tuple[Sample, ...] = ()
    duplicates: int = 0
    behind: int = 0
    dropped: tuple[Gap, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How far the line came.

    Attributes:
        at_us: Everything up to this source time was scored or abstained from.
        segment_rows: Rows since the last gap, up to and with that time.
    """

    at_us: int
    segment_rows: int


@dataclass
class _Count:
    rows: int
    estimates: int
    newest: dict[int, int]
    keep_from_us: int | None = None
    delivered: dict[str, int] = field(default_factory=dict)


class LineBuffer:
    """One line's buffer on disk; see the module.

    Args:
        path: The SQLite file; made if it is not there.
        scenario: Key of the scenario, part of the buffer's identity.
        signals: Number of channels of each signal, in contract order.
        max_rows: Bound on stored samples. When it is passed, the oldest scored ones
            go first; unscored ones only if nothing else is left, and then each
            stretch is recorded as a gap.
        max_estimates: Bound on stored answers; the oldest go first, and a stretch
            that a sink had not taken yet is recorded as a gap of ``sink:NAME``.
        durability: See ``bufferfile``.

    Raises:
        BufferLockedError, BufferUnreadableError, BufferOfOtherLineError,
        DiskFullError: also from every other method.
    """

    def __init__(
        self,
        path: Path,
        *,
        scenario: str,
        signals: dict[str, int],
        max_rows: int = 200_000,
        max_estimates: int = 1_000_000,
        durability: Durability = "power",
    ) -> None:
        self._path = path
        self._durability = durability
        self._signals = dict(signals)
        self._numbers = {name: number for number, name in enumerate(signals)}
        self._max_rows = max(max_rows, _MIN_ROWS)
        self._max_estimates = max(max_estimates, _MIN_ROWS)
        self._db = bufferfile.connect(
            path,
            identity={"scenario": scenario, "signals": dict(signals)},
            durability=durability,
        )
        with said_clearly(path):
            rows = self._db.execute("SELECT count(*) FROM samples").fetchone()[0]
            answers = self._db.execute("SELECT count(*) FROM estimates").fetchone()[0]
            newest = self._db.execute(
                "SELECT signal, max(at_us) FROM samples GROUP BY signal"
            ).fetchall()
            sent = self._db.execute("SELECT sink, at_us FROM delivered").fetchall()
        self._count = _Count(
            rows=rows, estimates=answers, newest=dict(newest), delivered=dict(sent)
        )
        self._delivered_moved = False
        self._logged_rows = 0
        self._spool: Spool | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Write what is still to be written and close the file."""
        with said_clearly(self._path):
            if self._delivered_moved:
                with transaction(self._db):
                    self._write_delivered()
            self._db.close()

    def keep_for(
        self, archive: str, now_us: Callable[[], int], most_mb: float
    ) -> Spool:
        """Spool every new sample for an archive from now on, in the same commit.

        Args:
            archive: Its name.
            now_us: Returns the present moment; it becomes the time of receipt.
            most_mb: Bound on what waits.
        """
        with said_clearly(self._path), transaction(self._db):
            self._spool = Spool(
                self._db, self._path, self._numbers, name=archive, now_us=now_us,
                most_bytes=int(most_mb * 1e6),
            )  # fmt: skip
        return self._spool

    def store(self, samples: Sequence[Sample]) -> Stored:
        """Put samples on disk in one commit; only then may they be acknowledged.

        Args:
            samples: With source times; those without one must not come here.
        """
        with said_clearly(self._path), transaction(self._db):
            new, behind = self._insert(samples)
            self._count.rows += len(new)
            if self._spool is not None and new:
                for gap in self._spool.add(new):
                    self._write_gap(gap)
            dropped = self._make_room()
            self._write_delivered()
        self._logged_rows += len(samples) + _COMMIT_ROWS
        return Stored(
            new=tuple(new),
            duplicates=len(samples) - len(new),
            behind=behind,
            dropped=tuple(dropped),
        )

    def settle(self, estimates: Sequence[Estimate], settled: Settled | None) -> int:
        """Write answers and move the settled mark (if given) in one commit.

        This commit waits for no disk: what a power cut takes of it is scored again
        from the samples, which are there, and gives the same answers.

        Returns:
            How many answers are new; one that is there already stands.
        """
        written = 0
        with (
            said_clearly(self._path),
            bufferfile.unsynced(self._db, self._durability),
            transaction(self._db),
        ):
            if estimates:
                written = self._db.executemany(
                    "INSERT OR IGNORE INTO estimates VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                    [to_row(estimate) for estimate in estimates],
                ).rowcount
            if settled is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO settled VALUES (1, ?, ?)",
                    (settled.at_us, settled.segment_rows),
                )
            self._count.estimates += written
            self._drop_estimates()
            self._write_delivered()
        self._logged_rows += len(estimates) + _COMMIT_ROWS
        return written

    def rest(self) -> None:
        """Bring the log into the file, if it is long: a moment when nobody waits.

        The file's own bound (``bufferfile``) does it at any moment, but ten times later.
        """
        if self._logged_rows < _REST_ROWS:
            return
        with said_clearly(self._path):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._logged_rows = 0

    def keep_from(self, at_us: int) -> None:
        """Note that windows still need the settled samples from a time on."""
        self._count.keep_from_us = at_us

    def settled(self) -> Settled | None:
        """Return how far the line came; ``None`` for a new buffer."""
        with said_clearly(self._path):
            row = self._db.execute("SELECT at_us, segment_rows FROM settled").fetchone()
        return Settled(at_us=row[0], segment_rows=row[1]) if row else None

    def samples_after(self, at_us: int, *, limit: int) -> list[Sample]:
        """Return samples of all signals after a source time, in order of time."""
        with said_clearly(self._path):
            rows = self._db.execute(_FORWARDS, (at_us, limit)).fetchall()
        names = list(self._numbers)
        return [to_sample(row, names) for row in rows]

    def last_samples(
        self, limits: Mapping[str, int], *, until_us: int | None = None
    ) -> dict[str, list[Sample]]:
        """Return the last samples of each signal up to a source time, in order.

        One walk back in time serves all of them.

        Args:
            limits: At most how many of each signal; at least one.
            until_us: Up to and with this source time; ``None`` for all.
        """
        left = {self._numbers[signal]: limit for signal, limit in limits.items()}
        found: dict[str, list[Sample]] = {signal: [] for signal in limits}
        names, until = (
            list(self._numbers),
            (_AFTER_ALL if until_us is None else until_us),
        )
        with said_clearly(self._path), closing(self._db.cursor()) as cursor:
            rows = iter(cursor.execute(_BACKWARDS, (until,)))
            while left and (row := next(rows, None)) is not None:
                if (number := row[1]) not in left:
                    continue
                found[names[number]].append(to_sample(row, names))
                left[number] -= 1
                if not left[number]:
                    del left[number]
        return {signal: samples[::-1] for signal, samples in found.items()}

    def newest_us(self, signal: str) -> int | None:
        """Return the newest source time stored of a signal."""
        return self._count.newest.get(self._numbers[signal])

    def record_gap(self, gap: Gap) -> bool:
        """Record a gap; returns whether it is new."""
        with said_clearly(self._path), transaction(self._db):
            return self._write_gap(gap)

    def gaps(self) -> list[Gap]:
        """Return all recorded gaps in order of time."""
        with said_clearly(self._path):
            rows = self._db.execute(
                "SELECT signal, from_us, to_us, reason FROM gaps ORDER BY from_us"
            ).fetchall()
        return [
            Gap(signal=row[0], from_us=row[1], to_us=row[2], reason=row[3])
            for row in rows
        ]

    def estimates_after(self, at_us: int, *, limit: int) -> list[Estimate]:
        """Return answers after a source time, oldest first."""
        with said_clearly(self._path):
            rows = self._db.execute(
                "SELECT * FROM estimates WHERE at_us > ? ORDER BY at_us LIMIT ?",
                (at_us, limit),
            ).fetchall()
        return [from_row(row) for row in rows]

    def last_estimates(self, limit: int) -> list[Estimate]:
        """Return the newest answers, oldest first."""
        with said_clearly(self._path):
            rows = self._db.execute(
                "SELECT * FROM estimates ORDER BY at_us DESC LIMIT ?", (limit,)
            ).fetchall()
        return [from_row(row) for row in reversed(rows)]

    def undelivered(self, sink: str, *, limit: int) -> list[Estimate]:
        """Return the answers a sink has not taken yet, oldest first."""
        return self.estimates_after(
            self._count.delivered.get(sink, _BEFORE_ALL), limit=limit
        )

    def waiting(self, sink: str, *, most: int = 10_000) -> int:
        """Return how many answers a sink has not taken yet; no more are counted."""
        after_us = self._count.delivered.get(sink, _BEFORE_ALL)
        with said_clearly(self._path):
            found = self._db.execute(
                "SELECT count(*) FROM (SELECT 1 FROM estimates WHERE at_us > ? LIMIT ?)",
                (after_us, most),
            ).fetchone()
        return int(found[0])

    def mark_delivered(self, sink: str, at_us: int) -> None:
        """Note that a sink took everything up to a source time.

        It goes to disk with the next commit: after a kill some answers may be sent
        again, under the same id.
        """
        self._count.delivered[sink] = at_us
        self._delivered_moved = True

    def _insert(self, samples: Sequence[Sample]) -> tuple[list[Sample], int]:
        """Insert what is new, and count what of it is older than what was known.

        A time above the newest known of its signal is surely new.
        """
        newest = self._count.newest
        behind = 0
        new: list[Sample] = []
        fresh: list[SampleRow] = []
        for sample in samples:
            number = self._numbers[sample.signal]
            row = sample_row(number, sample)
            if row[0] > newest.get(number, _BEFORE_ALL):
                newest[number] = row[0]
                fresh.append(row)
                new.append(sample)
                continue
            self._db.executemany(_INSERT_NEW, fresh)  # this one may repeat one of them
            fresh.clear()
            if self._db.execute(_INSERT_OLD, row).rowcount == 1:
                new.append(sample)
                behind += 1
        self._db.executemany(_INSERT_NEW, fresh)
        return new, behind

    def _make_room(self) -> list[Gap]:
        if self._count.rows <= self._max_rows:
            return []
        row = self._db.execute("SELECT at_us FROM settled").fetchone()
        settled_us = row[0] if row else _BEFORE_ALL
        keep_us = self._count.keep_from_us
        before = settled_us if keep_us is None else min(settled_us, keep_us)
        surplus = self._count.rows - int(self._max_rows * _KEPT_SAMPLES)
        self._delete("at_us < ?", (before, surplus))
        if self._count.rows <= self._max_rows:
            return []
        return self._drop_unsettled(settled_us, self._count.rows - self._max_rows)

    def _delete(self, which: str, values: tuple[int, int]) -> None:
        """Delete the oldest rows of some; the archive learns what is forgotten."""
        rows = (
            f"(SELECT at_us, signal FROM samples WHERE {which} "  # noqa: S608  (constant text)
            "ORDER BY at_us, signal LIMIT ?)"
        )
        if self._spool is not None:
            newest = self._db.execute(
                f"SELECT signal, max(at_us) FROM {rows} GROUP BY signal",  # noqa: S608
                values,
            ).fetchall()
            self._spool.forget(newest)
        self._count.rows -= self._db.execute(
            f"DELETE FROM samples WHERE (at_us, signal) IN {rows}",  # noqa: S608
            values,
        ).rowcount

    def _drop_unsettled(self, settled_us: int, surplus: int) -> list[Gap]:
        names = list(self._numbers)
        oldest = (settled_us, surplus)
        rows = self._db.execute(
            "SELECT signal, min(at_us), max(at_us) FROM (SELECT signal, at_us FROM "
            "samples WHERE at_us > ? ORDER BY at_us, signal LIMIT ?) GROUP BY signal",
            oldest,
        ).fetchall()
        self._delete("at_us > ?", oldest)
        reason = "dropped unscored: the buffer is full"
        gaps = [
            Gap(signal=names[number], from_us=first, to_us=last, reason=reason)
            for number, first, last in rows
        ]
        for gap in gaps:
            self._write_gap(gap)
        return gaps

    def _drop_estimates(self) -> None:
        if self._count.estimates <= self._max_estimates:
            return
        surplus = self._count.estimates - int(self._max_estimates * _KEPT_ANSWERS)
        first, last = self._db.execute(
            "SELECT min(at_us), max(at_us) FROM "
            "(SELECT at_us FROM estimates ORDER BY at_us LIMIT ?)",
            (surplus,),
        ).fetchone()
        for sink, sent_us in self._count.delivered.items():
            if sent_us < last:
                lost_from = max(first, sent_us)
                reason = "dropped undelivered: the buffer is full"
                self._write_gap(
                    Gap(
                        signal=f"sink:{sink}",
                        from_us=lost_from,
                        to_us=last,
                        reason=reason,
                    )
                )
        self._count.estimates -= self._db.execute(
            "DELETE FROM estimates WHERE at_us <= ?", (last,)
        ).rowcount

    def _write_gap(self, gap: Gap) -> bool:
        row = (gap.signal, gap.from_us, gap.to_us, gap.reason)
        sql = "INSERT OR IGNORE INTO gaps VALUES (?,?,?,?)"
        return self._db.execute(sql, row).rowcount == 1

    def _write_delivered(self) -> None:
        if self._delivered_moved:
            self._db.executemany(
                "INSERT OR REPLACE INTO delivered VALUES (?, ?)",
                list(self._count.delivered.items()),
            )
            self._delivered_moved = False
