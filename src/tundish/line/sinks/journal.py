"""Sinks ``csv`` and ``jsonl``: answers and states as lines of a file that is rotated.

A line is on disk before the next one is written. Half a line that a kill left at the end
is cut off, and an answer whose id stands there already is not written again: so the file
holds each answer once, though answers are brought at least once.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.records import Record
from tundish.line.answers import (
    OF_STATE,
    OWN,
    answer_values,
    check_names,
    state_values,
)
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.linefile import SinkSpec
from tundish.line.samples import from_us
from tundish.line.security import known_parts
from tundish.line.state import TagState

_MB = 2**20
_TAIL_BYTES = 256 * 1024
_DAY_US = 86_400_000_000
_FORMULA = re.compile(r"\s*[=+\-@]|[\t\r\n]")
_BREAKS = re.compile(r"[\r\n\x00]+")


class JournalOptions(Record):
    """Options of a csv or jsonl sink.

    Attributes:
        rotate_mb: A file of this size is full.
        rotate: Whether each day (UTC, source time) has a file of its own.
        keep_files: How many full files stay.
    """

    rotate_mb: Annotated[float, Field(ge=0.001, le=1e5)] = 100.0
    rotate: Literal["daily", "size"] = "size"
    keep_files: Annotated[int, Field(ge=0, le=100_000)] = 100


class JournalSink:
    """A file as a sink; see the module.

    Args:
        spec: The line file's part.
        options: See ``JournalOptions``.

    Raises:
        LineFileInvalidError: if endpoint or nodes are wrong.
    """

    def __init__(self, spec: SinkSpec, options: JournalOptions | None = None) -> None:
        check_names(spec)
        self._spec = spec
        self._options = options or JournalOptions()
        self._ending = "csv" if spec.kind == "csv" else "jsonl"
        self._columns = (*OWN, *spec.nodes.values())
        self._folder = spec.folder()
        self._path = self._folder / f"{spec.name}.{self._ending}"
        self._id = re.compile(re.escape(f"{spec.name}:").encode() + rb"(-?\d+)[,\"]")
        self._file: io.FileIO | None = None
        self._size = 0
        self._first_us: int | None = None
        self._last_us: int | None = None

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; touches no file yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: as for the class.
        """
        del scenario
        known_parts(spec.security, (), f"The sink {spec.name}")
        return cls(spec, spec.read_options(JournalOptions))

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._spec.name

    async def connect(self) -> None:
        """Open the file and find its end; see ``Sink.connect``."""
        await self._in_thread(self._open)

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Append answers that are not there yet; see ``Sink.write_estimates``."""
        for estimate in estimates:
            if self._last_us is None or estimate.at_us > self._last_us:
                await self._in_thread(self._answer, estimate)

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Append the state, if any part of it is asked for."""
        if set(self._spec.nodes) & set(OF_STATE):
            values = state_values(self._spec, state, mode, at_us)
            await self._in_thread(self._append, values)

    async def close(self) -> None:
        """Close the file; safe to call twice."""
        self._drop()

    async def _in_thread(self, job: Callable[..., None], *given: object) -> None:
        try:
            await asyncio.to_thread(job, *given)
        except OSError as error:
            self._drop()
            said = error.strerror or str(error)
            msg = f"{self._path} cannot be written: {said}"
            raise ConnectionError(msg) from error

    def _open(self) -> None:
        self._drop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = io.FileIO(self._path, "a+")
        size = os.fstat(self._file.fileno()).st_size
        tail = _tail(self._file, size)
        whole = size - (len(tail) - (tail.rfind(b"\n") + 1))
        if whole != size:
            self._file.truncate(whole)
        self._size = whole
        lines = tail[: tail.rfind(b"\n") + 1].splitlines()
        head = _tail(self._file, min(size, _TAIL_BYTES)).splitlines()[:50]
        self._first_us = next(iter(self._answers(head)), None)
        self._last_us = max(self._answers(lines), default=None)
        if self._last_us is None:
            self._last_us = self._newest_full()

    def _newest_full(self) -> int | None:
        """Return the last answer of the newest full file, of one without any yet."""
        full = self._full()
        if not full:
            return None
        with io.FileIO(full[-1]) as file:
            tail = _tail(file, os.fstat(file.fileno()).st_size)
        return max(self._answers(tail.splitlines()), default=None)

    def _answers(self, lines: Iterable[bytes]) -> Iterator[int]:
        """Yield the source times of the answers among some lines."""
        for line in lines:
            if found := self._id.search(line):
                yield int(found[1])

    def _answer(self, estimate: Estimate) -> None:
        first_us, at_us = self._first_us, estimate.at_us
        new_day = first_us is not None and first_us // _DAY_US != at_us // _DAY_US
        if self._size > self._options.rotate_mb * _MB or (
            new_day and self._options.rotate == "daily"
        ):
            self._turn(at_us if first_us is None else first_us)
        self._append(answer_values(self._spec, estimate))
        self._last_us = at_us
        if self._first_us is None:
            self._first_us = at_us

    def _append(self, values: dict[str, Json]) -> None:
        if self._file is None:
            self._open()
        file = self._file
        if file is None:
            raise AssertionError
        data = self._line(values)
        if not self._size and self._ending == "csv":
            data = _csv(list(self._columns)) + data
        rest = memoryview(data)
        while rest:  # what a full disk leaves of a line is cut off when it opens again
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        self._size += len(data)

    def _line(self, values: dict[str, Json]) -> bytes:
        if self._ending == "jsonl":
            return canonical.dumps(values) + b"\n"
        return _csv([_cell(values.get(name)) for name in self._columns])

    def _turn(self, first_us: int) -> None:
        """Put the full file away, named after its first answer, and begin another."""
        self._drop()
        first = from_us(first_us).strftime("%Y%m%dT%H%M%S%fZ")
        self._path.rename(self._folder / f"{self.name}.{first}.{self._ending}")
        full = self._full()
        for path in full[: max(0, len(full) - self._options.keep_files)]:
            path.unlink(missing_ok=True)
        last_us = self._last_us
        self._open()
        self._last_us = last_us

    def _full(self) -> list[Path]:
        pattern = f"{self.name}.*T*Z.{self._ending}"
        return sorted(self._folder.glob(pattern))

    def _drop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


def _tail(file: io.FileIO, size: int) -> bytes:
    """Return the last bytes before a place in a file."""
    file.seek(max(0, size - _TAIL_BYTES))
    return file.read(min(size, _TAIL_BYTES)) or b""


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = _BREAKS.sub(" ", str(value))
    return f"'{text}" if _FORMULA.match(text) else text


def _csv(cells: list[str]) -> bytes:
    held = io.StringIO()
    csv.writer(held, lineterminator="\n").writerow(cells)
    return held.getvalue().encode()
