"""Files source: pictures of a camera, or numbers in CSV and JSON lines, out of a folder.

Decoding a picture is foreign native code: it runs in a child process with limits (extra
``grade``, loaded by that child only). Moving and reading files happens in a thread, so
that a slow disk or a hanging network share stops neither the line nor its other sources.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self
from urllib.parse import unquote, urlsplit

import numpy as np
from pydantic import Field

from tundish.catalog.tasks import Picture, Text
from tundish.data.images.looking import Shrinker, Shrunk
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import PathMissingError
from tundish.kernel.records import Record
from tundish.line.contract import Contract
from tundish.line.errors import (
    HistoryUnavailableError,
    LineFileInvalidError,
    SourceUnreachableError,
)
from tundish.line.filerows import FileRefusedError, RowForm, read_rows
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.intake import Claimed, Intake, IntakeRules, Ready
from tundish.line.linefile import SourceSpec, no_node_options
from tundish.line.samples import Arrival, LinkChange, Sample
from tundish.line.security import known_parts

_COLOURS = {1: ("grey",), 3: ("red", "green", "blue")}
_REFERENCE = "reference-"
_ROWS_AT_ONCE = 500
_MB = 2**20


class FilesSourceOptions(Record):
    """Options of a files source.

    Attributes:
        format: Unsaid: pictures for a scenario with pictures, else CSV.
        pattern: Names that are taken.
        ready, settle_s: How a whole file is known; see ``intake``.
        order: In which files of one look are taken.
        time: The source time of a picture: the file's, or when the line saw it.
        time_column: Where a row's source time stands.
        reference: The picture that each should look like.
        poll_s: Seconds between two looks into the folder.
        most_mb: Larger files are not read.
        keep_files: Files kept in each of ``taken`` and ``refused``.
        least_free_mb: With less room on the disk the tags are uncertain.
    """

    format: Literal["pictures", "csv", "jsonl"] | None = None
    pattern: Text = "*"
    ready: Ready = "settled"
    settle_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.5
    order: Literal["time", "name"] = "time"
    time: Literal["file", "seen"] = "file"
    time_column: Text = "time"
    reference: Text | None = None
    poll_s: Annotated[float, Field(ge=0.01, le=3600)] = 0.1
    most_mb: Annotated[float, Field(gt=0, le=4096)] = 64.0
    keep_files: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    least_free_mb: Annotated[float, Field(ge=0, le=1e6)] = 200.0


class _Reader(Protocol):
    """Turns a file into samples, some at a time; raises ``FileRefusedError``."""

    def read(self, claimed: Claimed) -> Iterator[tuple[Sample, ...]]: ...

    def stop(self) -> None: ...


class FilesSource:
    """One folder as a source; see the module.

    Args:
        spec: The line file's part.
        scenario: The contract.
        options: See ``FilesSourceOptions``.
        clock: Gives source times where files give none.

    Raises:
        LineFileInvalidError: if endpoint, nodes and options do not go together.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: FilesSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = options = options or FilesSourceOptions()
        self._clock = clock or SystemClock()
        self._signals = tuple(spec.nodes)
        self._nodes = {name: spec.node(name).node for name in spec.nodes}
        self._endpoint = spec.endpoint
        self._intake = Intake(
            _to_folder(spec.endpoint), _to_rules(options), self._clock
        )
        self._reader = _to_reader(spec, scenario, options, self._intake.folder)
        self._left: list[Claimed] = []
        self._closed = asyncio.Event()

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; touches no file yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError: as for the class.
        """
        known_parts(spec.security, (), f"The source {spec.endpoint}")
        no_node_options(spec)
        return cls(spec, scenario, spec.read_options(FilesSourceOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._signals

    async def inspect(self) -> Inspection:
        """Read the newest file that fits where it lies; see ``Inspects``."""
        try:
            return await asyncio.to_thread(self._look)
        except (PathMissingError, OSError) as error:
            msg = f"The folder of the source {self.name} cannot be used: {_why(error)}."
            raise SourceUnreachableError(msg) from error
        finally:
            await asyncio.to_thread(self._reader.stop)

    def _look(self) -> Inspection:
        claimed, problem = self._intake.peek(), ""
        newest: dict[str, Sample] = {}
        if claimed is None:
            reason = f"no file here fits {self._options.pattern!r}"
            return Inspection(
                tags=tuple(self._seen(n, None, reason) for n in self._signals)
            )
        try:
            problem = claimed.problem
            for samples in () if problem else self._reader.read(claimed):
                newest |= {sample.signal: sample for sample in samples}
        except FileRefusedError as error:
            problem = f"the file {_shown(claimed.name)} cannot be used: {error}"
        tags = [
            self._seen(n, newest.get(n), "it holds no rows", problem)
            for n in self._signals
        ]
        return Inspection(tags=tuple(tags))

    def _seen(
        self, name: str, sample: Sample | None, reason: str, problem: str = ""
    ) -> TagSeen:
        node = self._nodes[name]
        if sample is None or problem:
            return TagSeen(
                name=name, node=node, problem=problem, quality="bad", reason=reason
            )
        return TagSeen(
            name=name,
            node=node,
            values=() if sample.values is None else tuple(sample.values.tolist()),
            quality=sample.quality,
            reason=sample.reason,
            history=False,
        )

    async def connect(self) -> None:
        """Make sure that the folder is there and can be written."""
        try:
            self._left = await asyncio.to_thread(self._intake.begin)
        except (PathMissingError, OSError) as error:
            msg = f"The folder of the source {self.name} cannot be used: {_why(error)}."
            raise SourceUnreachableError(
                msg, advice="Make the folder, and let the line's user write it."
            ) from error

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        yield Arrival(link=LinkChange(up=True))
        up = True
        while not self._closed.is_set():
            try:
                if not up:
                    self._left = await asyncio.to_thread(self._intake.begin)
                    yield Arrival(link=LinkChange(up=True))
                    up = True
                async for arrival in self._taken():
                    yield arrival
            except (PathMissingError, OSError) as error:
                if up:
                    yield Arrival(link=LinkChange(up=False, reason=_why(error)))
                up = False
            await self._pause()

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Raise: what lies in the folder comes by itself; see ``Source.read_history``."""
        del signal, after_us, until_us
        msg = f"The folder {self.name} has no other history than its files."
        if self._signals:  # always; what follows makes this an iterator
            raise HistoryUnavailableError(msg)
        yield ()

    async def close(self) -> None:
        """End the child that decodes; safe to call twice."""
        self._closed.set()
        await asyncio.to_thread(self._reader.stop)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._options.poll_s):
                await self._closed.wait()
        except TimeoutError:
            return

    async def _taken(self) -> AsyncIterator[Arrival]:
        """Give what is whole by now; a file is put away when its samples are stored."""
        left, self._left = self._left, []
        found = left or await asyncio.to_thread(self._intake.claim)
        if found:
            yield Arrival(announced=tuple(claimed.at_us for claimed in found))
        low = await asyncio.to_thread(self._low)
        if low and not found:
            yield Arrival(samples=self._doubted(low))
        for claimed in found:
            received_s = self._clock.monotonic_s()
            problem = claimed.problem
            parts = self._reader.read(claimed)
            while not problem:
                try:
                    samples = await asyncio.to_thread(next, parts, None)
                except FileRefusedError as error:
                    problem = str(error)
                    break
                except PermissionError as error:
                    problem = _why(error)
                    break
                if samples is None:
                    break
                yield Arrival(
                    samples=(*samples, *self._doubted(low)), received_s=received_s
                )
            if problem:
                yield Arrival(
                    samples=self._refused(claimed, problem), received_s=received_s
                )
            await asyncio.to_thread(
                partial(self._intake.finish, claimed, refused=bool(problem))
            )

    def _low(self) -> str:
        free_mb = self._intake.free_bytes() / _MB
        if free_mb >= self._options.least_free_mb:
            return ""
        return (
            f"the disk of {self._intake.folder} has {free_mb:.0f} MB left, expected at "
            f"least {self._options.least_free_mb:g}"
        )

    def _doubted(self, reason: str) -> tuple[Sample, ...]:
        if not reason:
            return ()
        return tuple(
            Sample(
                signal=name, at_us=None, quality="uncertain", values=None, reason=reason
            )
            for name in self._signals
        )

    def _refused(self, claimed: Claimed, problem: str) -> tuple[Sample, ...]:
        """Return a bad sample for each signal; of a picture at its time."""
        reason = f"the file {_shown(claimed.name)} cannot be used: {problem}"
        timed = isinstance(self._reader, _Pictures)
        return tuple(
            Sample(
                signal=name,
                at_us=claimed.at_us if timed else None,
                quality="bad",
                values=None,
                reason=reason,
            )
            for name in self._signals
        )


class _Pictures:
    """Reads pictures: each file is one sample of every signal.

    Args:
        places: Of each signal the place of its colour, and whether it is of the
            reference.
        form: Of the scenario's pictures.
        reference: Finds the reference of a file of that name.
    """

    def __init__(
        self,
        places: dict[str, tuple[int, bool]],
        form: Picture,
        reference: Callable[[str], Path],
    ) -> None:
        self._places = places
        self._reference = reference
        self._shrinker = Shrinker((form.height, form.width, form.colours))

    def read(self, claimed: Claimed) -> Iterator[tuple[Sample, ...]]:
        claimed.path.stat()  # a folder that is gone is a lost link, no broken picture
        shown = [self._shrunk(claimed.path, "")]
        if any(of_reference for _, of_reference in self._places.values()):
            path = self._reference(claimed.name)
            shown.append(self._shrunk(path, "its reference "))
        yield tuple(
            Sample(
                signal=name,
                at_us=claimed.at_us,
                quality="good",
                values=shown[of_reference]
                .pixels[..., colour]
                .astype(np.float64)
                .ravel(),
            )
            for name, (colour, of_reference) in self._places.items()
        )

    def stop(self) -> None:
        self._shrinker.stop()

    def _shrunk(self, path: Path, which: str) -> Shrunk:
        if which and not path.is_file():
            msg = f"{which}{_shown(path.name)} is not there"
            raise FileRefusedError(msg)
        found = self._shrinker.shrink(path)
        if found.error:
            raise FileRefusedError(which + found.error)
        return found


class _Rows:
    """Reads rows of numbers."""

    def __init__(self, form: RowForm) -> None:
        self._form = form

    def read(self, claimed: Claimed) -> Iterator[tuple[Sample, ...]]:
        held: list[Sample] = []
        for samples in read_rows(claimed.path.read_bytes(), self._form):
            held += samples
            if len(held) >= _ROWS_AT_ONCE:
                yield tuple(held)
                held = []
        if held:
            yield tuple(held)

    def stop(self) -> None:
        return


def _to_rules(options: FilesSourceOptions) -> IntakeRules:
    return IntakeRules(
        pattern=options.pattern,
        ready=options.ready,
        settle_s=options.settle_s,
        by_name=options.order == "name",
        seen_time=options.time == "seen",
        most_bytes=int(options.most_mb * _MB),
        keep_files=options.keep_files,
    )


def _to_folder(endpoint: str) -> Path:
    found = urlsplit(endpoint)
    path = unquote(found.path)
    if found.scheme != "file" or found.netloc or not path.startswith("/"):
        msg = (
            f"The endpoint {endpoint!r} names no folder of this machine; expected "
            "file:NAME beside the line file, or file:///PATH."
        )
        raise LineFileInvalidError(msg)
    return Path(path)


def _to_reader(
    spec: SourceSpec, scenario: Contract, options: FilesSourceOptions, folder: Path
) -> _Reader:
    kind = options.format or ("pictures" if scenario.picture else "csv")
    if (kind == "pictures") != (scenario.picture is not None):
        wanted = "pictures" if scenario.picture else "csv or jsonl"
        msg = f"The source {spec.endpoint} gives {kind}, and {scenario.key} needs {wanted}."
        raise LineFileInvalidError(msg)
    if scenario.picture is not None:
        return _to_pictures(spec, scenario.picture, options, folder)
    for name in spec.nodes:
        if scenario.signal(name).channels > 1:
            msg = f"The signal {name} has many channels; a column holds one number."
            raise LineFileInvalidError(msg)
    columns = {name: spec.node(name) for name in spec.nodes}
    return _Rows(
        RowForm(json=kind == "jsonl", time_column=options.time_column, columns=columns)
    )


def _to_pictures(
    spec: SourceSpec, form: Picture, options: FilesSourceOptions, folder: Path
) -> _Pictures:
    known = {name: (at, False) for at, name in enumerate(_COLOURS[form.colours])}
    if form.reference:
        known |= {_REFERENCE + name: (at, True) for name, (at, _) in known.items()}
    for name in spec.nodes:
        node = spec.node(name)
        if node.node not in known or (node.scale, node.offset) != (1.0, 0.0):
            msg = (
                f"The node {node.node[:40]!r} of {name} is none of a picture; expected "
                f"one of {', '.join(known)}, without scale and offset."
            )
            raise LineFileInvalidError(msg)
    if form.reference and options.reference is None:
        msg = f"The source {spec.endpoint} names no reference, and each picture needs one."
        raise LineFileInvalidError(msg)
    pattern = options.reference or ""

    def reference(name: str) -> Path:
        return folder.parent / pattern.replace("*", Path(name).stem)

    places = {name: known[spec.node(name).node] for name in spec.nodes}
    return _Pictures(places, form, reference)


def _shown(name: str) -> str:
    return repr(os.fsencode(name).decode("utf-8", "replace")[:80])


def _why(error: Exception) -> str:
    if isinstance(error, PathMissingError):
        return error.message.rstrip(".")
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
