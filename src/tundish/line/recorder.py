"""Record a plant's signals: sources -> buffer -> archive, without any model.

What comes in is on disk before it is acknowledged, as on every line. A stretch in which
a link was lost is read from the plant's history; what nobody has is a gap.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.line.archiver import Archiver
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.contract import SignalList
from tundish.line.errors import HistoryUnavailableError
from tundish.line.events import Event, Kind, Listener, unheard
from tundish.line.samples import Gap, LinkChange, Sample, from_us, to_us
from tundish.line.sinks.protocol import SampleSink
from tundish.line.sources.protocol import Source

_PAUSES_S = (0.25, 5.0)
_LOOK_S = 0.1
_SETTLE_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class RecorderParts:
    """What a recording is put together from.

    Attributes:
        contract: The signals.
        sources: Together they give every signal once.
        buffer: Open; the recorder uses it alone and does not close it.
        archive: Where samples go.
    """

    contract: SignalList
    sources: tuple[Source, ...]
    buffer: LineBuffer
    archive: SampleSink


@dataclass(kw_only=True)
class Counts:
    """Running totals."""

    samples: int = 0
    repeated: int = 0
    untimed: int = 0
    from_history: int = 0


@dataclass(kw_only=True)
class _Outage:
    """A link that is down, or whose stretch is still to be read."""

    reason: str
    since: dict[str, int] = field(default_factory=dict)


class Recorder:
    """Records until it is told to stop; see the module. Made for one run.

    Args:
        parts: What it is put together from.
        rows: Ends by itself after so many samples.
        seconds: Ends by itself after so long.
        backfill_max_s: History older than this is not asked for.
        on_event: Told of everything that happens.
        clock: For times of receipt.
    """

    def __init__(
        self,
        parts: RecorderParts,
        *,
        rows: int | None = None,
        seconds: float | None = None,
        backfill_max_s: float = 7 * 86_400.0,
        on_event: Listener = unheard,
        clock: Clock | None = None,
    ) -> None:
        self.counts = Counts()
        self._parts = parts
        self._rows = rows
        self._seconds = seconds
        self._backfill_us = int(backfill_max_s * 1e6)
        self._on_event = on_event
        self._clock = clock or SystemClock()
        self._newest: dict[str, int] = {}
        self._outages: dict[str, _Outage] = {}
        self._holes: dict[str, tuple[int, str]] = {}
        self._fills: set[asyncio.Task[None]] = set()
        self._unsettled = 0
        spool = parts.buffer.keep_for(
            parts.archive.name, self._now_us, parts.archive.spool_mb
        )
        self._archiver = Archiver(
            parts.archive, spool, parts.contract, self._tell, _PAUSES_S
        )

    @property
    def taken(self) -> int:
        """Samples since the recording was first begun, whatever was killed since."""
        return self._archiver.spool.taken

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Record until ``stop`` is set, or rows or seconds are reached.

        Cancelling it is a clean stop too: everything taken is in the archive.

        Raises:
            SourceUnreachableError, NodeMissingError: at the start.
            BufferUnreadableError, DiskFullError: at any time.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._archiver.connect()
            self._restore()
            for source in self._parts.sources:
                await source.connect()
            self._tell("started", "recording", {})
            jobs = [self._receive(source) for source in self._parts.sources]
            tasks = {asyncio.create_task(job) for job in (*jobs, self._archiver.run())}
            await self._until_done(stop or asyncio.Event(), tasks)
        finally:
            await self._close(tasks)

    def _restore(self) -> None:
        """Go on after a kill: what came meanwhile is asked of history."""
        for source in self._parts.sources:
            outage = _Outage(reason="the recording did not run")
            for signal in source.signals:
                if (newest := self._parts.buffer.newest_us(signal)) is not None:
                    self._newest[signal] = outage.since[signal] = newest
            if outage.since:
                self._outages[source.name] = outage

    async def _until_done(
        self, stop: asyncio.Event, tasks: set[asyncio.Task[None]]
    ) -> None:
        begun_s = self._clock.monotonic_s()
        while not stop.is_set():
            for task in (*tasks, *self._fills):
                if task.done():
                    task.result()
            self._fills = {task for task in self._fills if not task.done()}
            if self._rows is not None and self.taken >= self._rows:
                return
            lived_s = self._clock.monotonic_s() - begun_s
            if self._seconds is not None and lived_s >= self._seconds:
                return
            self._parts.buffer.rest()
            detail: dict[str, Json] = {"samples": self.taken, "seconds": lived_s}
            self._tell("progress", f"{self.taken} samples", detail)
            await asyncio.wait(tasks, timeout=_LOOK_S)

    async def _close(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in (*tasks, *self._fills):
            task.cancel()
        await asyncio.gather(*tasks, *self._fills, return_exceptions=True)
        for source in self._parts.sources:
            await source.close()
        for outage in self._outages.values():
            self._tell("gap", f"at the end: {outage.reason}", {})
        await self._archiver.close()
        self._tell("stopped", f"{self.taken} samples", {"samples": self.taken})

    def gaps(self) -> list[Gap]:
        """Return the stretches that nobody has, or that were given up."""
        return self._parts.buffer.gaps()

    async def _receive(self, source: Source) -> None:
        async for arrival in source.samples():
            if arrival.link is not None:
                self._link_changed(source, arrival.link)
            if arrival.samples:
                self._take(arrival.samples)
                self._read_outage(source)

    def _take(self, samples: tuple[Sample, ...]) -> int:
        timed = [sample for sample in samples if sample.at_us is not None]
        self.counts.untimed += len(samples) - len(timed)
        if not timed:
            return 0
        stored = self._parts.buffer.store(timed)
        self.counts.samples += len(stored.new)
        self.counts.repeated += stored.duplicates
        for sample in stored.new:
            at_us = sample.at_us or 0
            if sample.signal in self._holes:
                since_us, reason = self._holes.pop(sample.signal)
                self._gap(sample.signal, since_us, at_us, reason)
            self._newest[sample.signal] = max(
                at_us, self._newest.get(sample.signal, at_us)
            )
        self._settle(len(stored.new))
        return len(stored.new)

    def _settle(self, rows: int) -> None:
        """Let the buffer go of what is spooled; it keeps some, to know what repeats."""
        self._unsettled += rows
        if self._unsettled >= _SETTLE_ROWS:
            self._unsettled = 0
            at_us = min(self._newest.values())
            self._parts.buffer.settle([], Settled(at_us=at_us, segment_rows=0))

    def _link_changed(self, source: Source, link: LinkChange) -> None:
        if link.up:
            self._tell("link-restored", f"connected to {source.name}", {})
            return
        self._tell("link-lost", f"link lost: {link.reason}", {})
        since = {
            name: self._newest[name] for name in source.signals if name in self._newest
        }
        self._outages.setdefault(
            source.name, _Outage(reason=link.reason or "link lost", since=since)
        )

    def _read_outage(self, source: Source) -> None:
        """The source gives again: read from history what was missed."""
        outage = self._outages.pop(source.name, None)
        if outage is not None:
            fill = asyncio.create_task(self._fill(source, outage))
            self._fills.add(fill)

    async def _fill(self, source: Source, outage: _Outage) -> None:
        for signal, since_us in outage.since.items():
            found, reason = 0, outage.reason
            after_us = max(since_us, self._now_us() - self._backfill_us)
            try:
                async for page in source.read_history(signal, after_us, None):
                    found += self._take(page)
            except HistoryUnavailableError:
                self._hole(signal, since_us, reason)
            except ConnectionError:
                self._outages.setdefault(source.name, outage)  # it is read once more
                return
            self.counts.from_history += found

    def _hole(self, signal: str, since_us: int, reason: str) -> None:
        """Nobody has what lies after a time; the next sample says where the gap ends."""
        later = [
            one.at_us
            for one in self._parts.buffer.samples_after(since_us, limit=_SETTLE_ROWS)
            if one.signal == signal and one.at_us is not None
        ]
        if later:
            self._gap(signal, since_us, min(later), reason)
        else:
            self._holes.setdefault(signal, (since_us, reason))

    def _gap(self, signal: str, since_us: int, until_us: int, reason: str) -> None:
        gap = Gap(signal=signal, from_us=since_us, to_us=until_us, reason=reason)
        if self._parts.buffer.record_gap(gap):
            first, last = to_text(from_us(since_us)), to_text(from_us(until_us))
            text = f"gap in {signal} from {first} to {last}: {reason}"
            self._tell("gap", text, {"signal": signal, "from": first, "to": last})

    def _now_us(self) -> int:
        return to_us(self._clock.now())

    def _tell(self, kind: Kind, text: str, detail: dict[str, Json]) -> None:
        self._on_event(Event(at=self._clock.now(), kind=kind, text=text, detail=detail))


def run_to_end(recorder: Recorder) -> bool:
    """Run a recorder in a loop of its own; return whether Ctrl-C ended it."""
    try:
        asyncio.run(recorder.run())
    except KeyboardInterrupt:
        return True
    return False
