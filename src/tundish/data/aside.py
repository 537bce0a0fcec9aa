"""A Parquet file that is read piece by piece, by a child process with limits.

The parser of a foreign file is native code: it may crash, hang or ask for all memory.
Here that ends the child and is one clear error. What comes back is an Arrow stream of
plain columns; nothing that the child sends is unpickled.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO

import pyarrow as pa

from tundish.data.aside_child import DAMAGED, WHOLE, Wanted
from tundish.data.errors import TableUnreadableError
from tundish.data.readers.confine import Limits, ended, last_words
from tundish.kernel import canonical
from tundish.kernel.errors import TundishError

_KIND = "Parquet"
_LOST = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the footer of a Parquet file says.

    Attributes:
        schema: Its plain columns: no lists, structures or extensions.
        groups: Rows of each row group.
        columns: Number of stored columns, parts of structures counted one by one.
    """

    schema: pa.Schema
    groups: tuple[int, ...]
    columns: int

    @property
    def cells(self) -> int:
        """Rows times columns."""
        return sum(self.groups) * self.columns


class Aside:
    """A file held open by a child of its own, which ends with this object.

    Args:
        path: The file. Untrusted: any bytes.
        limits: Of the child; from the file's size if absent.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.name = path.name
        self._limits = limits or Limits.for_size(path.stat().st_size)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the child)
        bounds = (self._limits.memory_bytes, self._limits.cpu_s, self._limits.files)
        self._child = subprocess.Popen(  # noqa: S603  (our own interpreter, no shell)
            [
                sys.executable,
                "-P",  # nothing is imported from the current folder
                "-m",
                "tundish.data.aside_child",
                str(path.resolve()),
                *map(str, bounds),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        weakref.finalize(self, _end, self._child, self._said)

    def facts(self) -> Facts:
        """Return what the footer says.

        Raises:
            TableUnreadableError, TableTooLargeError: if it cannot be read.
        """
        found: Facts | None = None
        for answer in self._answers(Wanted()):
            if isinstance(answer, pa.Schema):
                found = _facts(answer)
        if found is None:
            raise self._lost()
        return found

    def batches(
        self,
        columns: Sequence[str],
        groups: Sequence[int],
        rows: int,
        most: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read row groups in batches; take one answer to its end before the next.

        Args:
            columns: Names of plain columns.
            groups: Numbers of row groups.
            rows: Of a batch, at most.
            most: Rows in all, at most.

        Raises:
            TableUnreadableError, TableTooLargeError: if they cannot be read.
        """
        wanted = Wanted(
            columns=tuple(columns), groups=tuple(groups), rows=rows, most=most
        )
        for answer in self._answers(wanted):
            if isinstance(answer, pa.RecordBatch):
                yield answer

    def _answers(self, wanted: Wanted) -> Iterator[pa.Schema | pa.RecordBatch]:
        """Ask, and yield the schema and then each batch of the answer."""
        asked, told = self._child.stdin, self._child.stdout
        if asked is None or told is None:
            raise self._lost()
        try:
            asked.write(canonical.dumps(wanted.to_json()) + b"\n")
            asked.flush()
            with self._in_time():
                stream = pa.ipc.open_stream(told)
            yield stream.schema
            while True:
                with self._in_time():
                    batch = next(stream, None)
                if batch is None:
                    break
                yield batch
            whole = told.read(len(WHOLE)) == WHOLE
        except _LOST as error:
            raise self._lost() from error
        if not whole:
            raise self._lost()

    def _in_time(self) -> _Watch:
        return _Watch(self._limits.wall_s, self._child.kill)

    def _lost(self) -> TundishError:
        """Say why the child does not answer."""
        with suppress(OSError):
            if self._child.stdin is not None:
                self._child.stdin.close()
        try:
            code = self._child.wait(timeout=self._limits.wall_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        if code == DAMAGED:
            return TableUnreadableError(f"{self.name} is no whole Parquet file.")
        self._said.seek(0)
        words = last_words(self._said.read())
        return ended(_KIND, self.name, self._limits, code, words)


def _facts(schema: pa.Schema) -> Facts:
    said = schema.metadata or {}
    groups = canonical.loads(said[b"groups"])
    return Facts(
        schema=schema.remove_metadata(),
        groups=tuple(int(str(n)) for n in groups) if isinstance(groups, list) else (),
        columns=int(said[b"columns"]),
    )


class _Watch:
    """Ends the child if one step takes too long by the clock."""

    def __init__(self, most_s: float, end: Callable[[], None]) -> None:
        self._timer = Timer(most_s, end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _end(child: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout, said):
        if stream is not None:
            with suppress(OSError):
                stream.close()
