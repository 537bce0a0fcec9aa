"""The ledger: append acts, sign checkpoints, prove and verify.

Durability: an ``append`` that has returned is on the disk. Time and key come in
as arguments; nothing here knows a key.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from tundish.kernel import clock as clocks
from tundish.kernel import sqlitefile
from tundish.kernel.clock import Clock
from tundish.kernel.digest import Digest
from tundish.kernel.records import Record
from tundish.ledger import merkle, note, record, store
from tundish.ledger.errors import (
    EntryMissingError,
    LedgerTamperedError,
    NoteMalformedError,
)
from tundish.ledger.note import NoteSigner, NoteVerifier
from tundish.ledger.record import Entry, Outcome

_PAGE = 1000
# CAST(coalesce(...)): the schema promises a kind of value, a damaged file keeps no promise


@dataclass(frozen=True, kw_only=True)
class NewAct:
    """An act to be written; the ledger adds the time."""

    act: str
    actor: str
    inputs: Sequence[Digest] = ()
    outputs: Sequence[Digest] = ()
    names: Mapping[str, str] | None = None
    outcome: Outcome = "done"
    code: str = ""
    detail: Mapping[str, JsonValue] | None = None


class LedgerReport(Record):
    """What verification found: everything held.

    Attributes:
        origin: The log's name.
        size: Entries in the log.
        root: Hex of the Merkle root over all of them.
        checkpoints: Signed checkpoints that were checked.
        covered: Entries under the largest signed checkpoint.
        unwitnessed: Entries after it: whoever can write the file could still
            drop or change these without being noticed.
    """

    origin: str
    size: int
    root: str
    checkpoints: int
    covered: int
    unwitnessed: int


class Ledger:
    """An append-only log in one SQLite file; use as a context manager.

    Safe for several processes and threads. ``create=False`` refuses to make a
    new file, for commands that only read.

    Args:
        path: The SQLite file.
        clock: Tells the time of each entry.
        create: Make the file if it is not there.

    Raises:
        LedgerLockedError: ``ledger-locked``, if another process holds the file.
        LedgerUnreadableError: if the file is empty or no ledger.
    """

    def __init__(self, path: Path, clock: Clock, *, create: bool = True) -> None:
        self._path = path
        self._clock = clock
        self._guard = threading.RLock()
        self._connection = store.connect(path, create=create)
        self._frontier = merkle.Frontier()
        with self._reading() as connection:
            row = connection.execute(
                "SELECT CAST(coalesce(name, '') AS TEXT) FROM origin"
            ).fetchone()
        if row is None:
            msg = f"The ledger at {path} has lost its name."
            raise LedgerTamperedError(msg)
        self._origin = str(row[0])

    def __enter__(self) -> Self:
        """Return the open ledger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._guard:
            self._connection.close()

    @property
    def origin(self) -> str:
        """The log's name, made at random when it was created."""
        return self._origin

    def append(  # noqa: PLR0913 -- keyword-only, one per field of the record
        self,
        act: str,
        *,
        actor: str,
        inputs: Sequence[Digest] = (),
        outputs: Sequence[Digest] = (),
        names: Mapping[str, str] | None = None,
        outcome: Outcome = "done",
        code: str = "",
        detail: Mapping[str, JsonValue] | None = None,
    ) -> int:
        """Write one act durably and return its number.

        Raises:
            EntryInvalidError: if a field has the wrong form.
            LedgerLockedError: if another process holds the file.
        """
        new = NewAct(
            act=act,
            actor=actor,
            inputs=inputs,
            outputs=outputs,
            names=names,
            outcome=outcome,
            code=code,
            detail=detail,
        )
        return self.append_many([new])

    def append_many(self, acts: Iterable[NewAct]) -> int:
        """Write several acts in one durable step; return the first one's number.

        All of them are written or none.
        """
        at = clocks.to_text(self._clock.now())
        bodies = [record.encode(_entry(new, at)) for new in acts]
        with self._writing() as connection:
            first = _size(connection)
            connection.executemany(
                "INSERT INTO entries VALUES (?, ?)", enumerate(bodies, start=first)
            )
        return first

    def size(self) -> int:
        """Return the number of entries."""
        with self._reading() as connection:
            return _size(connection)

    def entry(self, index: int) -> Entry:
        """Return one entry.

        Raises:
            EntryMissingError: if there is none of that number.
        """
        with self._reading() as connection:
            row = connection.execute(
                "SELECT CAST(coalesce(body, '') AS BLOB) FROM entries WHERE position = ?",
                (index,),
            ).fetchone()
        if row is None:
            msg = f"The ledger at {self._path} has no entry {index}."
            raise EntryMissingError(msg)
        return record.decode(row[0], index)

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yield entries with their numbers, in order; appends may go on meanwhile."""
        for index, body in self._bodies(start):
            yield index, record.decode(body, index)

    def newest(
        self, acts: Sequence[str], detail: Mapping[str, JsonValue]
    ) -> Entry | None:
        """Return the newest entry of some acts whose detail has these items, if any."""
        marks = [f'"act":"{act}"'.encode() for act in acts]
        end = self.size()
        while end > 0:
            start = max(0, end - _PAGE)
            with self._reading() as connection:
                rows = connection.execute(
                    "SELECT position, CAST(coalesce(body, '') AS BLOB) FROM entries WHERE position >= ?"
                    " AND position < ? ORDER BY position DESC",
                    (start, end),
                ).fetchall()
            for index, body in rows:
                if any(mark in body for mark in marks):
                    entry = record.decode(body, index)
                    if entry.act in acts and detail.items() <= entry.detail.items():
                        return entry
            end = start
        return None

    def root(self, size: int | None = None) -> bytes:
        """Return the Merkle root over the first ``size`` entries (all of them)."""
        if size is None:
            with self._guard:
                self._catch_up()
                return self._frontier.root()
        return merkle.root(self._leaves(size))

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that entry ``index`` is in the tree of ``size`` entries."""
        return merkle.inclusion_proof(self._leaves(size), index)

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the tree of ``old`` entries is a prefix of ``new``."""
        return merkle.consistency_proof(self._leaves(new), old)

    def checkpoint(self, signer: NoteSigner) -> str:
        """Sign the log as it stands, store the signed note and return it."""
        with self._guard:
            self._catch_up()
            text = note.checkpoint_text(
                note.Checkpoint(
                    origin=self._origin,
                    size=self._frontier.size,
                    root=self._frontier.root(),
                )
            )
            signed = note.sign_note(text, signer)
            with self._writing() as connection:
                connection.execute(
                    "INSERT INTO checkpoints (note) VALUES (?)", (signed,)
                )
            return signed

    def checkpoints(self) -> tuple[str, ...]:
        """Return the stored signed notes, oldest first; not verified here."""
        with self._reading() as connection:
            return _notes(connection)

    def verify(
        self, trusted: Sequence[NoteVerifier], *, witnessed: Sequence[str] = ()
    ) -> LedgerReport:
        """Recompute the tree from the entries and check every checkpoint against it.

        Args:
            trusted: Keys of this log, also former ones. With none, checkpoints
                cannot be checked, and a log that has any is refused.
            witnessed: Signed checkpoints of this log that were kept elsewhere;
                they also catch a log that was cut back together with its own
                checkpoints.

        Raises:
            LedgerTamperedError: ``ledger-tampered``, naming what does not fit.
        """
        with self._snapshot() as connection:
            notes = [*_notes(connection), *witnessed]
            claims = self._open_checkpoints(notes, tuple(trusted))
            frontier = self._recompute(claims)
        covered = max((claim.size for claim in claims), default=0)
        return LedgerReport(
            origin=self._origin,
            size=frontier.size,
            root=frontier.root().hex(),
            checkpoints=len(claims),
            covered=covered,
            unwitnessed=frontier.size - covered,
        )

    def _open_checkpoints(
        self, notes: Sequence[str], trusted: tuple[NoteVerifier, ...]
    ) -> list[note.Checkpoint]:
        claims: list[note.Checkpoint] = []
        for number, signed in enumerate(notes):
            try:
                text = note.verify_note(signed, trusted).text
                claim = note.read_checkpoint(text)
            except NoteMalformedError as error:
                msg = f"Checkpoint {number} of the ledger is refused: {error.message}"
                raise LedgerTamperedError(msg) from error
            except Exception as error:
                msg = f"The signature of the ledger's checkpoint {number} is wrong."
                raise LedgerTamperedError(msg) from error
            if claim.origin != self._origin:
                msg = f"Checkpoint {number} belongs to the log {claim.origin[:60]!r}."
                raise LedgerTamperedError(msg)
            claims.append(claim)
        return claims

    def _recompute(self, claims: Sequence[note.Checkpoint]) -> merkle.Frontier:
        due = sorted(claims, key=lambda claim: claim.size)
        for one, other in pairwise(due):
            if one.size == other.size and one.root != other.root:
                msg = f"Two signed checkpoints of size {one.size} have two roots."
                raise LedgerTamperedError(msg)
        frontier = merkle.Frontier()
        due = _settle(due, frontier)
        for index, body in self._bodies(0):
            if index != frontier.size:
                msg = f"Entry {frontier.size} of the ledger is missing."
                raise LedgerTamperedError(msg)
            record.decode(body, index)
            frontier.push(merkle.leaf_hash(body))
            due = _settle(due, frontier)
        if due:
            msg = (
                f"A checkpoint speaks of {due[-1].size} entries, and the ledger has "
                f"{frontier.size}: its tail was cut off."
            )
            raise LedgerTamperedError(msg)
        return frontier

    def _bodies(self, start: int) -> Iterator[tuple[int, bytes]]:
        position = start
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    "SELECT position, CAST(coalesce(body, '') AS BLOB) FROM entries WHERE position >= ?"
                    " ORDER BY position LIMIT ?",
                    (position, _PAGE),
                ).fetchall()
            yield from rows
            if len(rows) < _PAGE:
                return
            position = rows[-1][0] + 1

    def _leaves(self, size: int) -> list[bytes]:
        leaves: list[bytes] = []
        for _, body in self._bodies(0):
            if len(leaves) == size:
                break
            leaves.append(merkle.leaf_hash(body))
        if len(leaves) < size or size < 0:
            msg = f"A tree of {size} entries was asked for; the ledger has fewer."
            raise EntryMissingError(msg)
        return leaves

    def _catch_up(self) -> None:
        for index, body in self._bodies(self._frontier.size):
            if index != self._frontier.size:
                msg = f"Entry {self._frontier.size} of the ledger is missing."
                raise LedgerTamperedError(msg)
            self._frontier.push(merkle.leaf_hash(body))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guard, store.said_clearly(self._path):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with (
            self._reading() as connection,
            sqlitefile.transaction(connection, begin),
        ):
            yield connection


def _entry(new: NewAct, at: str) -> Entry:
    return record.make(
        {
            "at": at,
            "act": new.act,
            "actor": new.actor,
            "inputs": tuple(new.inputs),
            "outputs": tuple(new.outputs),
            "names": dict(new.names or {}),
            "outcome": new.outcome,
            "code": new.code,
            "detail": dict(new.detail or {}),
        }
    )


def _size(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT max(position) FROM entries").fetchone()
    return 0 if row[0] is None else int(row[0]) + 1


def _notes(connection: sqlite3.Connection) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT CAST(coalesce(note, '') AS TEXT) FROM checkpoints ORDER BY number"
    )
    return tuple(str(row[0]) for row in rows)


def _settle(
    due: list[note.Checkpoint], frontier: merkle.Frontier
) -> list[note.Checkpoint]:
    """Check the checkpoints of exactly this size; return those still to come."""
    while due and due[0].size == frontier.size:
        if due[0].root != frontier.root():
            msg = (
                f"The first {frontier.size} entries do not give the root that was "
                "signed: one of them was changed, moved or dropped."
            )
            raise LedgerTamperedError(msg)
        due = due[1:]
    return due
