"""The ledger's SQLite file: opened, locked and read with clear words.

WAL with ``synchronous=FULL``: an append that has returned survives a power cut.
A new file is made beside its place and linked into it, so that a kill in the
middle never leaves an empty ledger.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from tundish.kernel import sqlitefile
from tundish.kernel.errors import PathMissingError
from tundish.ledger.errors import LedgerLockedError, LedgerUnreadableError

APPLICATION_ID = 0x544E444C
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 2.0

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE entries (position INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE checkpoints (number INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE origin (name TEXT NOT NULL) STRICT;
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a ledger's file, making it first if asked to.

    Raises:
        PathMissingError: if there is no file and none is to be made.
        LedgerUnreadableError: if the file is empty or no ledger.
        LedgerLockedError: if another process holds it.
        PlaceRefusedError: if its folder may not be written, which reading needs too.
    """
    with said_clearly(path):
        if not path.exists():
            if not create:
                msg = f"A ledger was expected at {path}, and nothing is there."
                raise PathMissingError(msg)
            _make(path)
        if not path.is_file() or path.stat().st_size == 0:
            found = "an empty file" if path.is_file() else "no file"
            msg = f"A ledger was expected at {path}, and {found} is there."
            raise LedgerUnreadableError(msg)
        connection = _open(path)
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if kind != APPLICATION_ID:
        msg = f"The SQLite file at {path} was not made by Tundish as a ledger."
        raise LedgerUnreadableError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"The ledger at {path} has form {version}; this Tundish reads form "
            f"{SCHEMA_VERSION}."
        )
        raise LedgerUnreadableError(msg, advice="Use the Tundish that wrote it.")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{secrets.token_hex(6)}"
    try:
        connection = _open(fresh)
        try:
            connection.executescript(_SCHEMA)
            name = f"tundish/ledger-{secrets.token_hex(8)}"
            connection.execute("INSERT INTO origin VALUES (?)", (name,))
        finally:
            connection.close()
        fresh.chmod(0o640)
        _link(fresh, path)
    finally:
        for leftover in (fresh, Path(f"{fresh}-wal"), Path(f"{fresh}-shm")):
            leftover.unlink(missing_ok=True)


def _link(fresh: Path, path: Path) -> None:
    try:
        os.link(fresh, path)
    except FileExistsError:
        return  # another process was first: its ledger is the one
    except OSError:  # a file system without hard links, such as FAT
        if not path.exists():
            fresh.rename(path)


def said_clearly(path: Path) -> AbstractContextManager[None]:
    """Turn SQLite's and the system's complaints into Tundish's sentences."""
    return sqlitefile.said_clearly(
        path, what="ledger", locked=LedgerLockedError, unreadable=LedgerUnreadableError
    )
