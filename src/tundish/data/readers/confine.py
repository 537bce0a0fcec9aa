"""Parse a foreign file in a child process with limits; its tables come back as Arrow.

A parser of a binary format that crashes, hangs or asks for all memory takes the child
with it, and here that is one clear error. The child gets a bound on address space,
processor time, open files and file size, no network where the kernel allows it, and
an empty folder to write to; nothing that it sends is ever unpickled.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from tundish.data.errors import (
    ArchiveUnsafeError,
    TableTooLargeError,
    TableUnreadableError,
)
from tundish.data.readers.reader import Reader
from tundish.data.readers.size import limit_cells, memory_bytes
from tundish.data.table import Assumption, Table
from tundish.kernel.errors import TundishError
from tundish.kernel.records import Record

NOTES = "tables.json"
_MEBIBYTE = 1024**2
_REFUSALS: dict[str, type[TundishError]] = {
    cls.code: cls
    for cls in (ArchiveUnsafeError, TableTooLargeError, TableUnreadableError)
}
_MEMORY_WORDS = ("MemoryError", "memory allocation", "ArrayMemoryError", "bad_alloc")
_SAID_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a parser may go.

    Attributes:
        memory_bytes: Address space of the child.
        cpu_s: Its processor time.
        wall_s: Its time by the clock.
        files: Its open files.
    """

    memory_bytes: int
    cpu_s: int
    wall_s: int
    files: int = 128

    @classmethod
    def for_size(cls, size: int) -> Limits:
        """Return the limits for a file of so many bytes.

        Workbooks are the hungriest honest files: about 50 bytes of memory per packed
        byte and a second per megabyte.
        """
        most = max(2 * 1024**3, memory_bytes() * 6 // 10)
        cpu = min(1800, 20 + 2 * size // _MEBIBYTE)
        return cls(
            memory_bytes=min(most, 3 * 1024**3 + 60 * size),
            cpu_s=cpu,
            wall_s=30 + 4 * cpu,
        )


class TableNote(Record):
    """What goes with a frame on its way from the child; fields as in ``Table``."""

    name: str
    part: str
    unit: str
    units: dict[str, str]
    states: dict[str, dict[str, int]]
    missing_words: dict[str, int]
    dropped: tuple[int, ...]
    first_line: int
    lines: int
    assumptions: tuple[Assumption, ...]


class Answer(Record):
    """What the child says: tables in the order of their files, or a refusal."""

    tables: tuple[TableNote, ...] = ()
    code: str = ""
    message: str = ""
    advice: str = ""


def read_alone(
    reader: Reader, path: Path, name: str, limits: Limits | None = None
) -> list[Table]:
    """Read a file with a reader in a child process.

    Args:
        reader: Made without arguments; the child makes another of its class.
        path: The file. Untrusted.
        name: What people call it.
        limits: From the file's size if absent.

    Raises:
        TableUnreadableError: if the reader refuses, crashes or takes too long.
        TableTooLargeError: if it asks for more memory than the limit.
        ArchiveUnsafeError: if the reader says so.
    """
    bound = limits or Limits.for_size(path.stat().st_size)
    with tempfile.TemporaryDirectory(prefix="tundish-") as folder:
        out = Path(folder)
        _run(reader, path.resolve(), name, bound, out)
        answer = _answer(reader, name, out)
        return [
            _table(note, out / f"{i}", name) for i, note in enumerate(answer.tables)
        ]


def _run(reader: Reader, path: Path, name: str, limits: Limits, out: Path) -> None:
    kind = type(reader)
    command = [
        sys.executable,
        "-P",  # the current folder may be the hostile one: nothing is imported from it
        "-m",
        "tundish.data.readers.child",
        f"{kind.__module__}:{kind.__qualname__}",
        str(path),
        name,
        str(out),
        str(limits.memory_bytes),
        str(limits.cpu_s),
        str(limits.files),
    ]
    said = out / "stderr"
    with said.open("wb") as stderr:
        try:
            code = subprocess.run(  # noqa: S603  (our own interpreter, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                timeout=limits.wall_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise _too_slow(reader.name, name, limits) from error
    if code:
        raise ended(reader.name, name, limits, code, last_words(said.read_bytes()))


def _too_slow(kind: str, name: str, limits: Limits) -> TableUnreadableError:
    msg = (
        f"{name} was not read as {kind} within {limits.cpu_s} s of processor "
        "time; it is damaged, or made to hang its readers."
    )
    return TableUnreadableError(msg)


def ended(kind: str, name: str, limits: Limits, code: int, words: str) -> TundishError:
    """Say why a parser's child ended.

    Args:
        kind: What the file was read as.
        name: What people call the file.
        limits: What the child was bound by.
        code: How it ended; negative is a signal.
        words: The end of what it said, from ``last_words``.
    """
    if -code in {signal.SIGXCPU, signal.SIGALRM}:
        return _too_slow(kind, name, limits)
    if -code == signal.SIGKILL or any(word in words for word in _MEMORY_WORDS):
        msg = (
            f"{name} needs more than {limits.memory_bytes // _MEBIBYTE} MiB of memory "
            f"to be read as {kind}."
        )
        return TableTooLargeError(msg)
    reason = _reason(words) or f"it ended with {code}"
    msg = f"{name} cannot be read as {kind}: its parser stopped ({reason})."
    return TableUnreadableError(msg)


def _reason(words: str) -> str:
    """Return the last line that says something; Rust adds hints to a panic."""
    lines = [line.strip() for line in words.splitlines()]
    said = [line for line in lines if line and not line.startswith("note:")]
    return said[-1][:160] if said else ""


def last_words(said: bytes) -> str:
    """Return the end of what a child wrote to its standard error."""
    return said[-_SAID_BYTES:].decode(errors="replace").strip()


def _answer(reader: Reader, name: str, out: Path) -> Answer:
    try:
        answer = Answer.model_validate_json((out / NOTES).read_bytes())
    except (OSError, ValidationError) as error:
        msg = f"{name} cannot be read as {reader.name}: its parser left no answer."
        raise TableUnreadableError(msg) from error
    if answer.code:
        kind = _REFUSALS.get(answer.code, TableUnreadableError)
        raise kind(answer.message, advice=answer.advice or None)
    return answer


def _table(note: TableNote, stem: Path, name: str) -> Table:
    try:
        frame = _mapped(stem.with_suffix(".arrow"))
        places = _places(pl.read_ipc(stem.with_suffix(".places.arrow")))
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        msg = f"{name} came back damaged from its parser."
        raise TableUnreadableError(msg) from error
    limit_cells(name, frame.height, frame.width)
    return Table(
        name=note.name,
        frame=frame,
        part=note.part,
        unit=note.unit,
        units=note.units,
        states=note.states,
        missing_words=note.missing_words,
        dropped=note.dropped,
        first_line=note.first_line,
        lines=note.lines,
        assumptions=note.assumptions,
        places=places,
    )


def _mapped(path: Path) -> pl.DataFrame:
    """Return a frame whose columns lie in the file; it lives on when its name is gone."""
    with pa.memory_map(str(path)) as mapped:
        frame = pl.from_arrow(pa.ipc.open_file(mapped).read_all())
    if not isinstance(frame, pl.DataFrame):
        msg = "no columns"
        raise OSError(msg)
    return frame


def _places(flat: pl.DataFrame) -> dict[str, dict[str, NDArray[np.int64]]]:
    found: dict[str, dict[str, NDArray[np.int64]]] = {}
    for (column, text), rows in flat.group_by("column", "text", maintain_order=True):
        found.setdefault(str(column), {})[str(text)] = rows["row"].to_numpy()
    return found
