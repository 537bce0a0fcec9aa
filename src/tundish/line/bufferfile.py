"""The buffer's SQLite file: opened for one line alone, with clear words.

WAL mode, and ``synchronous`` by choice. ``power`` (FULL) syncs the log at each
commit, so a sample that was acknowledged survives a power cut; it is the default,
since the samples of one network message share a commit. ``process`` (NORMAL) leaves
the sync to the checkpoint: a killed process loses nothing, a power cut may take the
last commits, and those samples come back only if the plant's historian has them.
The lock is exclusive, so that two processes never run one line.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from tundish.kernel import canonical, sqlitefile
from tundish.kernel.sqlitefile import transaction
from tundish.line.errors import (
    BufferLockedError,
    BufferOfOtherLineError,
    BufferUnreadableError,
)

APPLICATION_ID = 0x544E4C42
SCHEMA_VERSION = 3
BUSY_TIMEOUT_S = 2.0
_LOG_PAGES = 10_000  # 40 MB: the buffer rests long before
Durability = Literal["power", "process"]

# one tree in the order of arrival: with an index beside it each row costs thrice
_SAMPLES = (
    "CREATE TABLE samples (at_us INTEGER NOT NULL, signal INTEGER NOT NULL, "
    "quality INTEGER NOT NULL, reason TEXT NOT NULL, body ANY, "
    "PRIMARY KEY (at_us, signal)) STRICT, WITHOUT ROWID"
)
_FROM_FORM_2 = (
    "ALTER TABLE samples RENAME TO samples_of_form_2",
    _SAMPLES,
    "INSERT INTO samples SELECT at_us, signal, quality, reason, body "
    "FROM samples_of_form_2",
    "DROP TABLE samples_of_form_2",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_TABLES = (
    "CREATE TABLE line (identity TEXT NOT NULL) STRICT",
    _SAMPLES,
    "CREATE TABLE estimates (at_us INTEGER PRIMARY KEY, quality INTEGER NOT NULL, "
    "value REAL, lower REAL, upper REAL, applicability REAL, alarm INTEGER, "
    "why TEXT NOT NULL, reason TEXT NOT NULL, model TEXT NOT NULL, "
    "input TEXT NOT NULL, because TEXT NOT NULL) STRICT",
    "CREATE TABLE gaps (signal TEXT NOT NULL, from_us INTEGER NOT NULL, "
    "to_us INTEGER NOT NULL, reason TEXT NOT NULL, UNIQUE (signal, from_us)) STRICT",
    "CREATE TABLE settled (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), "
    "at_us INTEGER NOT NULL, segment_rows INTEGER NOT NULL) STRICT",
    "CREATE TABLE delivered (sink TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT",
)


def connect(
    path: Path, *, identity: canonical.Json, durability: Durability
) -> sqlite3.Connection:
    """Open a buffer's file for one line, making it first if nothing is there.

    Args:
        path: Where it lies; folders are made.
        identity: What the line is; another identity in the file is refused.
        durability: See the module.

    Raises:
        BufferLockedError, BufferUnreadableError, BufferOfOtherLineError,
        DiskFullError.
    """
    text = canonical.dumps(identity).decode()
    with said_clearly(path):
        if path.is_dir():
            msg = f"A line's buffer was expected at {path}, and a folder is there."
            raise BufferUnreadableError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path, text, durability)
        except BaseException:
            connection.close()
            raise
        return connection


def said_clearly(path: Path) -> AbstractContextManager[None]:
    """Turn SQLite's and the system's complaints into Tundish's sentences."""
    return sqlitefile.said_clearly(
        path,
        what="line's buffer",
        locked=BufferLockedError,
        unreadable=BufferUnreadableError,
    )


@contextmanager
def unsynced(connection: sqlite3.Connection, durability: Durability) -> Iterator[None]:
    """Run commits that a power cut may take; the next synced one makes them last."""
    if durability == "process":
        yield
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


def _prepare(
    connection: sqlite3.Connection, path: Path, identity: str, durability: Durability
) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if kind != APPLICATION_ID and tables:
        msg = f"The SQLite file at {path} was not made by Tundish as a line's buffer."
        raise BufferUnreadableError(msg)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    sync = "FULL" if durability == "power" else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {sync}")
    if not tables:
        _make(connection, identity)
    _renew(connection)
    _check(connection, path, identity)


def _make(connection: sqlite3.Connection, identity: str) -> None:
    with transaction(connection):
        for table in _TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO line VALUES (?)", (identity,))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _renew(connection: sqlite3.Connection) -> None:
    """Bring a file of form 2, which kept two trees beside its rows, to this form."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == 2:
        with transaction(connection):
            for step in _FROM_FORM_2:
                connection.execute(step)


def _check(connection: sqlite3.Connection, path: Path, identity: str) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        msg = f"The line's buffer at {path} has form {version}, expected {SCHEMA_VERSION}."
        raise BufferUnreadableError(msg, advice="Use the Tundish that wrote it.")
    row = connection.execute("SELECT identity FROM line").fetchone()
    found = "without a name" if row is None else row[0]
    if found != identity:
        msg = f"The buffer at {path} belongs to the line {found}, expected {identity}."
        raise BufferOfOtherLineError(msg)
