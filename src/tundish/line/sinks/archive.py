"""Sink ``archive``: every sample of the line, in order and once, as Parquet parts.

A part is written beside its place, synced, and only then gets its name, which holds the
numbers of its samples. So no half part stands under a final name, and a part that is
given again after a kill takes its own place. What is deleted to keep the bound is in
``dropped.jsonl``, which is on disk before the part is gone.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field

from tundish.kernel import canonical
from tundish.kernel.clock import SystemClock, to_text
from tundish.kernel.records import Record
from tundish.line import parquet
from tundish.line.contract import Contract
from tundish.line.errors import LineFileInvalidError
from tundish.line.kept import Columns
from tundish.line.linefile import SinkSpec
from tundish.line.security import known_parts
from tundish.line.spool import PartRules

DROPPED = "dropped.jsonl"
_PART = re.compile(r"(.+)-(\d{15})-(\d{15})\.parquet")
_UNFINISHED = ".part.tmp"
_MB = 1e6


class ArchiveOptions(Record):
    """Options of an archive.

    Attributes:
        part_rows: A part of so many samples is full.
        part_mb: So is one whose samples take so much room before compression.
        part_minutes: So is one whose oldest sample has waited so long.
        keep_mb: Bound on all parts; the oldest go first, each with a record. Unsaid:
            nothing is ever deleted.
        spool_mb: Samples that may wait while parts cannot be written; then the oldest
            go first, and each stretch is a recorded gap.
    """

    part_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 200_000
    part_mb: Annotated[float, Field(gt=0, le=1000)] = 32.0
    part_minutes: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    keep_mb: Annotated[float, Field(gt=0)] | None = None
    spool_mb: Annotated[float, Field(ge=0.01)] = 256.0


class ArchiveSink:
    """A folder of Parquet parts; see the module.

    Args:
        spec: The line file's part; it has no nodes, since it takes every signal.
        contract: Whose signals they are.
        options: See ``ArchiveOptions``.
        about: What every part says of itself.

    Raises:
        LineFileInvalidError: if endpoint or nodes are wrong.
    """

    def __init__(
        self,
        spec: SinkSpec,
        contract: Contract,
        options: ArchiveOptions | None = None,
        about: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if spec.nodes:
            msg = f"The archive {spec.name} names nodes; it takes every signal and has none."
            raise LineFileInvalidError(msg)
        self._name = spec.name
        self._options = options or ArchiveOptions()
        self._folder = spec.folder()
        self._about: dict[str, Any] = {
            **about,
            "contract": str(contract.key),
            "units": {one.name: one.unit for one in contract.signals},
        }

    @classmethod
    def from_spec(
        cls, spec: SinkSpec, contract: Contract, about: Mapping[str, str]
    ) -> Self:
        """Make it from a line file's part; touches no file yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: as for the class.
        """
        known_parts(spec.security, (), f"The sink {spec.name}")
        return cls(spec, contract, spec.read_options(ArchiveOptions), about)

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._name

    @property
    def rules(self) -> PartRules:
        """When a part is full."""
        return PartRules(
            rows=self._options.part_rows,
            most_bytes=int(self._options.part_mb * _MB),
            age_s=self._options.part_minutes * 60,
        )

    @property
    def spool_mb(self) -> float:
        """Megabytes of samples that may wait."""
        return self._options.spool_mb

    async def connect(self) -> None:
        """Make the folder and clear half parts away; see ``SampleSink.connect``."""
        await self._in_thread(self._clear)

    async def write_part(self, columns: Columns) -> Sequence[str]:
        """Write a part under its name; see ``SampleSink.write_part``."""
        return await self._in_thread(lambda: self._write(columns))

    async def close(self) -> None:
        """Nothing is open between two parts."""

    def _clear(self) -> Sequence[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if _of(self._name, path.name.removesuffix(_UNFINISHED)) and (
                path.name.endswith(_UNFINISHED)
            ):
                path.unlink()
        return ()

    def _write(self, columns: Columns) -> Sequence[str]:
        first, end = int(columns.number[0]), int(columns.number[-1]) + 1
        path = self._folder / f"{self._name}-{first:015d}-{end:015d}.parquet"
        beside = path.with_name(path.name + _UNFINISHED)
        try:
            parquet.write(beside, columns, self._about)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return self._keep_bound()

    def _keep_bound(self) -> Sequence[str]:
        """Delete the oldest parts beyond the bound, the newest never."""
        if self._options.keep_mb is None:
            return ()
        parts = [
            (path, path.stat().st_size) for path in parts_of(self._folder, self._name)
        ]
        surplus = sum(size for _, size in parts) - self._options.keep_mb * _MB
        said = []
        for path, size in parts[:-1]:
            if surplus <= 0:
                break
            reason = f"the bound of {self._options.keep_mb:g} MB"
            self._record({"part": path.name, "bytes": size, "reason": reason})
            path.unlink()
            said.append(f"the part {path.name} was deleted: {reason}")
            surplus -= size
        return said

    def _record(self, what: dict[str, canonical.Json]) -> None:
        what |= {"at": to_text(SystemClock().now())}
        line = canonical.dumps(what) + b"\n"
        with (self._folder / DROPPED).open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    async def _in_thread(self, job: Callable[[], Sequence[str]]) -> Sequence[str]:
        try:
            return await asyncio.to_thread(job)
        except OSError as error:
            said = error.strerror or str(error)
            msg = f"{self._folder} cannot be written: {said}"
            raise ConnectionError(msg) from error


def parts_of(folder: Path, name: str) -> list[Path]:
    """Return the parts of an archive, oldest first."""
    return sorted(path for path in folder.iterdir() if _of(name, path.name))


def _of(name: str, file: str) -> bool:
    found = _PART.fullmatch(file)
    return found is not None and found[1] == name


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
