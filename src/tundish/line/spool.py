"""The spool: samples that are on disk and not yet in the archive.

It lies in the buffer's own file, so that a sample is buffered and spooled in one commit:
neither can be there without the other. Samples are numbered as they come; a part of the
archive is a range of numbers, and the range is on disk before the part is begun. After a
kill the same range gives the same part again, under the same name.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tundish.kernel.sqlitefile import transaction
from tundish.line.bufferfile import said_clearly
from tundish.line.kept import HEAD, Batch, to_batch
from tundish.line.samples import Gap, Sample

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS spool (first INTEGER PRIMARY KEY, "
    "rows INTEGER NOT NULL, received_us INTEGER NOT NULL, head BLOB NOT NULL, "
    "notes BLOB, wide BLOB) STRICT",
    "CREATE TABLE IF NOT EXISTS spooled (only_row INTEGER PRIMARY KEY "
    "CHECK (only_row = 1), next INTEGER NOT NULL, part_first INTEGER, part_end INTEGER, "
    "unsure INTEGER NOT NULL) STRICT",
    "INSERT OR IGNORE INTO spooled VALUES (1, 0, NULL, NULL, 0)",
    "CREATE TABLE IF NOT EXISTS forgotten (signal INTEGER PRIMARY KEY, "
    "at_us INTEGER NOT NULL) STRICT",
)
_SIZE = "length(head) + coalesce(length(notes), 0) + coalesce(length(wide), 0)"
_BATCH_BYTES = 40  # what SQLite needs for a row, about
_KEPT_SHARE = 0.9
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class PartRules:
    """When a part is full: whichever comes first.

    Attributes:
        rows: Samples.
        most_bytes: Of its samples in the spool.
        age_s: Seconds since the oldest of its samples was put on disk.
    """

    rows: int = 200_000
    most_bytes: int = 32_000_000
    age_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class PartRange:
    """Samples of one part: those numbered from ``first`` up to and without ``end``."""

    first: int
    end: int


class Spool:
    """Tables of their own in the buffer's file; see the module.

    Args:
        db: The buffer's connection; the buffer begins and ends the commits of ``add``.
        path: The buffer's file, for complaints.
        numbers: Place of each signal.
        name: Of the archive; names it in gaps.
        now_us: Returns the present moment.
        most_bytes: Bound on what waits. When it is passed, the oldest samples that are
            in no part yet are given up, and each stretch is a gap of ``sink:NAME``.

    Attributes:
        given_up: What was given up and nobody was told of yet.
        unsure: Samples left out since they may be in the archive already.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        numbers: dict[str, int],
        *,
        name: str,
        now_us: Callable[[], int],
        most_bytes: int,
    ) -> None:
        self._db = db
        self._path = path
        self._numbers = numbers
        self._name = name
        self._now_us = now_us
        self._most_bytes = most_bytes
        for table in _TABLES:
            db.execute(table)
        kept, first, end, self.unsure = db.execute(
            "SELECT next, part_first, part_end, unsure FROM spooled"
        ).fetchone()
        last = db.execute("SELECT max(first + rows) FROM spool").fetchone()[0]
        self._next = max(kept, last or 0)
        self.given_up: list[Gap] = []
        self._open = None if first is None else PartRange(first=first, end=end)
        self._forgotten: dict[int, int] = dict(
            db.execute("SELECT signal, at_us FROM forgotten").fetchall()
        )
        batches, size = db.execute(
            f"SELECT count(*), coalesce(sum({_SIZE}), 0) FROM spool"  # noqa: S608  (constant text)
        ).fetchone()
        self._bytes = size + batches * _BATCH_BYTES
        self._oldest_us = self._find_oldest()

    @property
    def taken(self) -> int:
        """How many samples were ever spooled."""
        return int(self._next)

    @property
    def waiting(self) -> int:
        """How many samples are in no finished part, about."""
        first = self._db.execute("SELECT min(first) FROM spool").fetchone()[0]
        return 0 if first is None else self.taken - int(first)

    def add(self, samples: Sequence[Sample]) -> list[Gap]:
        """Put samples that are new to the buffer in; part of the buffer's commit.

        A sample of a time that the buffer has forgotten may be in the archive already,
        so it is left out and counted: the archive never holds one twice.

        Returns:
            What was given up because too much waits.
        """
        known = [sample for sample in samples if not self._may_be_there(sample)]
        if len(known) < len(samples):
            self.unsure += len(samples) - len(known)
            self._db.execute("UPDATE spooled SET unsure = ?", (self.unsure,))
        if not known:
            return []
        batch = to_batch(known, self._numbers, self._next, self._now_us())
        self._db.execute("INSERT INTO spool VALUES (?,?,?,?,?,?)", batch)
        self._next += batch.rows
        self._bytes += _size(batch)
        if self._oldest_us is None:
            self._oldest_us = batch.received_us
        return self._make_room() if self._bytes > self._most_bytes else []

    def forget(self, newest: Sequence[tuple[int, int]]) -> None:
        """Note that the buffer no longer has samples up to a time; in its commit.

        Args:
            newest: Place of a signal, and source time of its newest deleted sample.
        """
        for number, at_us in newest:
            self._forgotten[number] = max(at_us, self._forgotten.get(number, at_us))
        self._db.executemany(
            "INSERT OR REPLACE INTO forgotten VALUES (?, ?)",
            list(self._forgotten.items()),
        )

    def cut(self, rules: PartRules, *, now: bool = False) -> PartRange | None:
        """Return the part that is to be made next; its range is on disk by then.

        A part that was begun and never finished comes first, with the same range.

        Args:
            rules: When a part is full.
            now: Whatever there is, full or not.
        """
        if self._open is not None or self._oldest_us is None:
            return self._open
        age_us = self._now_us() - self._oldest_us
        old = not 0 <= age_us < rules.age_s * 1e6  # below 0: our clock was set back
        if not (now or old or self._full(rules)):
            return None
        with said_clearly(self._path):
            first, end = self._extent(rules)
            self._db.execute(
                "UPDATE spooled SET part_first = ?, part_end = ?", (first, end)
            )
        self._open = PartRange(first=first, end=end)
        return self._open

    def page(self, part: PartRange, after: int) -> list[Batch]:
        """Return some batches of a part whose numbers are ``after`` or later."""
        with said_clearly(self._path):
            rows = self._db.execute(
                "SELECT * FROM spool WHERE first >= ? AND first < ? "
                "ORDER BY first LIMIT ?",
                (after, part.end, _PAGE),
            ).fetchall()
        return [Batch(*row) for row in rows]

    def done(self, part: PartRange) -> None:
        """Take a part that is in the archive out of the spool."""
        with said_clearly(self._path), transaction(self._db):
            gone = self._delete("first < ?", (part.end,))
            self._db.execute(
                "UPDATE spooled SET part_first = NULL, part_end = NULL, next = ?",
                (self._next,),
            )
        self._bytes -= gone
        self._open = None
        self._oldest_us = self._find_oldest()

    def _may_be_there(self, sample: Sample) -> bool:
        at_us = self._forgotten.get(self._numbers[sample.signal])
        return at_us is not None and sample.at_us is not None and sample.at_us <= at_us

    def _full(self, rules: PartRules) -> bool:
        return self._bytes >= rules.most_bytes or self.waiting >= rules.rows

    def _extent(self, rules: PartRules) -> tuple[int, int]:
        """Return first and end of the oldest batches that fill one part."""
        found = self._db.execute(
            f"SELECT first, rows, {_SIZE} FROM spool ORDER BY first"  # noqa: S608  (constant text)
        )
        first, rows, size = next(found)
        start, end = first, first + rows
        for at, more, its in found:
            if end - start >= rules.rows or size >= rules.most_bytes:
                break
            if at != end:  # samples were given up here: the numbers have a hole
                break
            end, size = at + more, size + its + _BATCH_BYTES
        return start, end

    def _make_room(self) -> list[Gap]:
        """Give the oldest batches up that are in no part yet."""
        least = self._open.end if self._open else 0
        surplus = self._bytes - int(self._most_bytes * _KEPT_SHARE)
        rows, first_us, last_us, end = 0, 2**62, -(2**62), least
        for batch in map(
            Batch._make,
            self._db.execute(
                "SELECT * FROM spool WHERE first >= ? ORDER BY first", (least,)
            ),
        ):
            at_us = np.frombuffer(batch.head, HEAD)["at_us"]
            first_us, last_us = min(first_us, at_us.min()), max(last_us, at_us.max())
            rows, end = rows + batch.rows, batch.first + batch.rows
            surplus -= _size(batch)
            if surplus <= 0:
                break
        if not rows:
            return []
        self._bytes -= self._delete("first >= ? AND first < ?", (least, end))
        self._db.execute("UPDATE spooled SET next = ?", (self._next,))
        self._oldest_us = self._find_oldest()
        gap = Gap(
            signal=f"sink:{self._name}",
            from_us=int(first_us),
            to_us=int(last_us),
            reason=f"{rows} samples dropped unarchived: the spool is full",
        )
        self.given_up.append(gap)
        return [gap]

    def _delete(self, where: str, values: tuple[int, ...]) -> int:
        size, batches = self._db.execute(
            f"SELECT coalesce(sum({_SIZE}), 0), count(*) FROM spool WHERE {where}",  # noqa: S608  (constant text)
            values,
        ).fetchone()
        self._db.execute(f"DELETE FROM spool WHERE {where}", values)  # noqa: S608
        return int(size) + int(batches) * _BATCH_BYTES

    def _find_oldest(self) -> int | None:
        row = self._db.execute(
            "SELECT received_us FROM spool ORDER BY first LIMIT 1"
        ).fetchone()
        return None if row is None else int(row[0])


def _size(batch: Batch) -> int:
    notes, wide = batch.notes or b"", batch.wide or b""
    return len(batch.head) + len(notes) + len(wide) + _BATCH_BYTES
