"""The engine of a line: sources -> buffer -> windows -> scorer -> guard -> sinks.

One event loop, no threads: what the loop receives it stores and scores itself, since
a hop to another thread costs more than a small model. The engine prints nothing; it
tells a listener what happens.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, replace

from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.kernel.errors import TundishError
from tundish.line import report as reports
from tundish.line.alarms import Alarm, AlarmLog
from tundish.line.archiver import Archiver
from tundish.line.clocks import Clocks
from tundish.line.delivery import Delivery
from tundish.line.errors import SourceUnreachableError
from tundish.line.estimates import Estimate
from tundish.line.events import Event, Kind, Listener, unheard
from tundish.line.filler import Filler
from tundish.line.frozen import FrozenWatch
from tundish.line.gate import Gate
from tundish.line.guard import check_mode
from tundish.line.pace import Paced, slow_signals, summary
from tundish.line.parts import EngineOptions, LineParts
from tundish.line.pipeline import Pipeline, Taken
from tundish.line.report import Ended, LineReport, StateChange
from tundish.line.requester import Requester
from tundish.line.samples import Arrival, Gap, LinkChange, Sample, from_us, to_us
from tundish.line.sinks.protocol import SampleSink
from tundish.line.sources.protocol import Source
from tundish.line.state import Moment, TagState, line_state
from tundish.line.status import (
    EVERY_S,
    LineStatus,
    SinkNow,
    TagNow,
    boot_id,
    write_status,
)
from tundish.line.tags import Tags
from tundish.line.term import Permit, Term
from tundish.line.versions import Successor

_LATENCIES = 65_536
_STATES = 10_000
_STEPS = 8
_NOTES = 100


def _time_text(at_us: int | None) -> str:
    return "" if at_us is None else to_text(from_us(at_us))


def _kind(state: TagState | None) -> tuple[str, str] | None:
    """Return what of a state is a change when it changes; its reason counts seconds."""
    return None if state is None else (state.state, state.signal)


def run_to_end(engine: LineEngine) -> LineReport:
    """Run an engine in a loop of its own until it ends or Ctrl-C comes.

    Returns:
        The report; ``ended`` is ``interrupted`` after Ctrl-C.

    Raises:
        TundishError: as ``LineEngine.run``.
    """
    try:
        return asyncio.run(engine.run())
    except KeyboardInterrupt:
        return engine.report()


class LineEngine:
    """Runs one line; see the module. Made for one run.

    Args:
        parts: What it is put together from.
        options: How it runs.
        clock: The line's clock: the machine's, or one that runs along a replay.
        on_event: Told of everything that happens; an exception from it ends the
            line.

    Raises:
        ModeRefusedError: if the scenario does not allow the mode.
    """

    def __init__(
        self,
        parts: LineParts,
        *,
        options: EngineOptions | None = None,
        clock: Clock | None = None,
        on_event: Listener = unheard,
    ) -> None:
        self._parts = parts
        self._options = options or EngineOptions()
        self._mode = self._options.mode
        check_mode(parts.scenario, self._mode)
        self._clock = clock or SystemClock()
        self._wall = SystemClock()
        self._on_event = on_event
        self._gate = self._to_gate()
        self._pipeline = Pipeline(
            scenario=parts.scenario,
            scorer=parts.scorer,
            model=parts.model,
            buffer=parts.buffer,
            budget=parts.budget,
            gate=self._gate,
            versions=parts.versions,
        )
        signals = [signal.name for signal in parts.scenario.signals]
        stale_after_s = parts.scenario.stale_after_s + self._options.stale_grace_s
        self._tags = Tags(signals, stale_after_s)
        self._frozen = FrozenWatch(parts.scenario)
        self._clocks = Clocks(self._tell)
        self._filler = Filler(self._pipeline, self, self._oldest_us)
        self._deliveries: list[Delivery] = []
        self._archiver = self._to_archiver(parts.archive)
        self._requester = self._to_requester()
        self._state: TagState | None = None
        self._states: deque[StateChange] = deque(maxlen=_STATES)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._blocked: tuple[float, int] | None = None
        self._waited_us: int | None = None
        self._done = asyncio.Event()
        self._error: BaseException | None = None
        self._ended: Ended = "failed"
        self._started = self._clock.now()
        self._finished = self._started
        self._progress_s = 0.0
        self._permit: Permit | None = parts.permit
        self._term: Term | None = None
        self._term_s = float("-inf")
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._over = False
        self._alarms = AlarmLog(parts.scenario)
        self._said: TagState | None = None
        self._said_s = float("-inf")
        self._periods = {one.name: one.period_s for one in parts.scenario.signals}
        self._slow: tuple[str, ...] = ()
        self._lost: set[Source] = set()

    async def run(self, stop: asyncio.Event | None = None) -> LineReport:
        """Run until ``stop`` is set or ``until`` is reached.

        Cancelling it is a clean stop too: everything acknowledged is on disk, and
        ``report()`` says how far it came.

        Raises:
            SourceUnreachableError, NodeMissingError: at the start.
            BufferLockedError, BufferUnreadableError, DiskFullError: at any time.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            known = self._pipeline.restore()
            for samples in self._pipeline.last_samples(
                self._frozen.watched_us
            ).values():
                self._frozen.restore(samples)
            await self._connect()
            self._started = self._clock.now()
            for source in self._parts.sources:
                for signal in source.signals:
                    if signal in known:
                        self._filler.want(source, signal, known[signal])
            self._tell("started", f"line started in mode {self._mode}")
            self._check_term()
            tasks = self._start()
            gc.collect()
            gc.freeze()  # what stands by now is not looked through again and again
            self._ended = await self._until_done(stop, tasks)
            await self._drain()
        except asyncio.CancelledError:
            self._ended = "interrupted"
            raise
        finally:
            gc.unfreeze()
            await self._close(tasks)
        return self.report()

    def report(self) -> LineReport:
        """Return what the line did so far."""
        buffer, counts = self._parts.buffer, self._pipeline.counts
        rows = buffer.last_estimates(self._options.report_rows + 1)
        settled_us = self._pipeline.settled_us
        return LineReport(
            mode=self._mode,
            model=self._pipeline.model,
            started=self._started,
            finished=self._finished,
            ended=self._ended,
            **reports.totals(counts),
            abstained=dict(counts.abstained),
            delivered={d.sink.name: d.delivered for d in self._takers()},
            refused={d.sink.name: d.refused for d in self._takers()},
            settled_until=None if settled_us is None else from_us(settled_us),
            gaps=tuple(buffer.gaps()),
            states=tuple(self._states),
            table=reports.table(rows[-self._options.report_rows :]),
            truncated=len(rows) > self._options.report_rows,
            latency_ms=reports.latency(self._latencies),
            grant_until=self._term.stops_at if self._term else None,
            grant_notes=tuple(self._notes),
            budget=self._parts.budget.report() if self._parts.budget else None,
            governed=replace(self._requester.counts) if self._requester else None,
            clocks=self._clocks.newest(),
        )

    def status(self) -> LineStatus:
        """Return what the line does right now."""
        now = self._clock.now()
        moment = Moment(at_us=to_us(now), monotonic_s=self._clock.monotonic_s())
        state = self._state or TagState(signal="*", state="stale", reason="starting")
        settled_us = self._pipeline.settled_us
        return LineStatus(
            line=self._options.name,
            mode=self._mode,
            model=self._pipeline.model,
            pid=os.getpid(),
            boot=boot_id(),
            started=to_text(self._started),
            at=to_text(self._wall.now()),
            every_s=EVERY_S,
            state=state.state,
            signal=state.signal,
            reason=state.reason,
            settled_until=_time_text(settled_us),
            tags=tuple(
                TagNow(
                    signal=tag.signal,
                    state=tag.state,
                    reason=tag.reason,
                    at=_time_text(self._tags.newest_us(tag.signal)),
                )
                for tag in self._tags.states(moment)
            ),
            sinks=tuple(
                SinkNow(
                    name=one.sink.name,
                    delivered=one.delivered,
                    refused=one.refused,
                    waiting=one.waiting(),
                    lost=one.lost,
                )
                for one in self._takers()
            ),
            totals=reports.totals(self._pipeline.counts),
            governed=asdict(self._requester.counts) if self._requester else {},
            latency_ms=reports.latency(self._latencies),
            grant_until=to_text(self._term.stops_at) if self._term else "",
            clocks=self._clocks.as_json(),
            paces=self._paces(),
            slow=self._slow,
            versions=self._parts.versions.now() if self._parts.versions else None,
        )

    def filled(self, signal: str, taken: Taken) -> None:
        """Score what a page of history completed (called by the filler)."""
        del signal
        self._told_taken(taken)
        self._advance()

    def gap(self, gap: Gap) -> None:
        """Tell of a gap (called by the filler)."""
        first, last = to_text(from_us(gap.from_us)), to_text(from_us(gap.to_us))
        text = f"gap in {gap.signal} from {first} to {last}: {gap.reason}"
        detail: dict[str, Json] = {"signal": gap.signal, "from": first, "to": last}
        self._tell("gap", text, detail)

    def fill_ended(self, signal: str, samples: int) -> None:
        """Go on after a hole (called by the filler)."""
        if samples:
            text = f"{samples} samples of {signal} were read from history"
            self._tell("backfilled", text, {"signal": signal, "samples": samples})
        self._advance()

    def failed(self, error: BaseException) -> None:
        """End the line with an error (called by the filler)."""
        self._error = error
        self._done.set()

    def _takers(self) -> list[Delivery | Archiver]:
        return [*self._deliveries, *([self._archiver] if self._archiver else [])]

    def _to_requester(self) -> Requester | None:
        control = self._parts.control
        return None if control is None else Requester(control, self._wall, self._tell)

    def _to_gate(self) -> Gate | None:
        spec, model = self._options.gate, self._parts.model
        return None if spec is None else Gate(spec, model, self._wall)

    def _to_archiver(self, archive: SampleSink | None) -> Archiver | None:
        if archive is None:
            return None
        spool = self._parts.buffer.keep_for(
            archive.name, lambda: to_us(self._clock.now()), archive.spool_mb
        )
        pauses_s = self._options.sink_pauses_s
        return Archiver(archive, spool, self._parts.scenario, self._tell, pauses_s)

    async def _connect(self) -> None:
        for service in self._parts.services:
            await service.open()
        for source in self._parts.sources:
            await source.connect()
        for sink in self._parts.sinks:
            try:
                await sink.connect()
            except ConnectionError as error:
                msg = f"The sink {sink.name} cannot be reached: {error}."
                raise SourceUnreachableError(msg) from error
            self._deliveries.append(
                Delivery(sink, self._parts.buffer, self._tell, self._options)
            )
        if self._archiver is not None:
            await self._archiver.connect()
        if self._requester is not None:
            await self._requester.connect()

    def _start(self) -> set[asyncio.Task[None]]:
        work = [self._receive(source) for source in self._parts.sources]
        work += [delivery.run() for delivery in self._deliveries]
        if self._archiver is not None:
            work.append(self._archiver.run())
        if self._requester is not None:
            work.append(self._requester.run())
        return {asyncio.create_task(job) for job in (*work, self._watch())}

    async def _until_done(
        self, stop: asyncio.Event | None, tasks: set[asyncio.Task[None]]
    ) -> Ended:
        done = asyncio.create_task(self._done.wait())
        stopped = asyncio.create_task((stop or asyncio.Event()).wait())
        try:
            await asyncio.wait(
                {*tasks, done, stopped}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            done.cancel()
            stopped.cancel()
        for task in tasks:
            if task.done():
                task.result()
        if self._error:
            raise self._error
        if self._over:
            return "grant"
        return "until" if self._done.is_set() else "stopped"

    async def _drain(self) -> None:
        for delivery in self._deliveries:
            await delivery.drained(self._options.drain_s)

    async def _close(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._filler.close()
        if self._archiver is not None:
            await self._archiver.close()
        if self._requester is not None:
            await self._requester.close()
        for service in self._parts.services:
            await service.close()
        for source in self._parts.sources:
            await source.close()
        for sink in self._parts.sinks:
            await sink.close()
        if self._parts.versions is not None:
            self._parts.versions.close()
        self._told_alarms(self._alarms.end())
        self._finished = self._clock.now()
        self._tell("stopped", f"line {self._ended}", self._progress())

    async def _receive(self, source: Source) -> None:
        async for arrival in source.samples():
            if arrival.link is not None:
                self._link_changed(source, arrival.link)
            if arrival.announced and self._gate is not None:
                self._gate.expect(arrival.announced)
                loop = asyncio.get_running_loop()
                loop.call_later(self._gate.deadline_s, self._close_gate)
            if arrival.clock is not None:
                self._clocks.see(source.name, arrival.clock)
            if arrival.samples:
                self._arrived(source, arrival)

    def _close_gate(self) -> None:
        """Tell the sinks of parts without a result in time."""
        if self._over or self._done.is_set():
            return
        try:
            over = self._pipeline.overdue()
        except TundishError as error:  # such as a full disk: it ends the line
            self.failed(error)
            return
        if over:
            self._tell("no-result", over[-1].reason, {"parts": len(over)})
            for delivery in self._deliveries:
                delivery.wake()
            self._look()

    def _arrived(self, source: Source, arrival: Arrival) -> None:
        samples = self._frozen.marked(self._without_future(arrival.samples))
        self._tags.heard(samples, self._clock.monotonic_s())
        if self._requester is not None:
            self._requester.heard(samples)
        taken = self._pipeline.take(samples, live=True)
        for hole in taken.holes:
            self._filler.want(source, hole.signal, hole.from_us)
        self._told_taken(taken)
        fresh = {sample.at_us for sample in samples}
        answered = self._advance()
        if taken.new and answered:
            took_s = self._wall.monotonic_s() - arrival.received_s
            self._latencies.extend(took_s for e in answered if e.at_us in fresh)
        self._parts.buffer.rest()  # the answers are out: now nobody waits

    def _without_future(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        now_us = to_us(self._clock.now())
        latest_us = now_us + int(self._options.max_ahead_s * 1e6)
        if all(one.at_us is None or one.at_us <= latest_us for one in samples):
            return samples
        kept = []
        for sample in samples:
            if sample.at_us is not None and sample.at_us > latest_us:
                ahead_s = (sample.at_us - now_us) / 1e6
                reason = f"its source time is {ahead_s:.0f} s in the future"
                kept.append(
                    sample._replace(
                        at_us=None, quality="bad", values=None, reason=reason
                    )
                )
            else:
                kept.append(sample)
        return kept

    def _link_changed(self, source: Source, link: LinkChange) -> None:
        why = "" if link.up else link.reason or "link lost"
        self._tags.link(source.signals, why, stale=link.stale)
        if link.up:
            self._tell("link-restored", f"connected to {source.name}")
            for signal in source.signals:
                newest = self._pipeline.newest.get(signal)
                if newest is None and source in self._lost:
                    newest = to_us(self._started) - 1  # a line answers from its start
                if newest is not None:
                    self._filler.want(source, signal, newest)
            self._lost.discard(source)
        else:
            self._lost.add(source)
            self._tell("link-lost", f"link lost: {link.reason}")
        self._look()

    def _advance(self) -> list[Estimate]:
        answered: list[Estimate] = []
        for _ in range(0 if self._over else _STEPS):
            estimates = self._pipeline.step(
                until_us=self._filler.hold_us(), waited_until_us=self._waited_us
            )
            if not estimates:
                break
            answered += estimates
        self._waited_us = None
        if answered:
            self._ask_for(answered[-1])
            self._told_alarms(self._alarms.take(answered))
            for delivery in self._deliveries:
                delivery.wake()
            self._look()
        settled_us, until = self._pipeline.settled_us, self._options.until
        if until is not None and settled_us is not None and settled_us >= to_us(until):
            self._done.set()
        return answered

    def _told_alarms(self, alarms: Sequence[Alarm]) -> None:
        for one in alarms:
            first, last = _time_text(one.from_us), _time_text(one.to_us)
            detail: dict[str, Json] = {"from": first, "because": one.because}
            if not one.over:
                text = f"alarm at {first} {one.because}".strip()
                self._tell("alarm", text, detail)
                continue
            detail |= {"to": last, "answers": one.answers}
            text = f"alarm over: {first} to {last}, {one.answers} answers"
            self._tell("alarm-over", text, detail)

    def _ask_for(self, newest: Estimate) -> None:
        if self._requester is not None:
            age_us = to_us(self._clock.now()) - newest.at_us
            self._requester.answered(newest, age_us / 1e6)

    async def _watch(self) -> None:
        while True:
            self._check_term()
            self._look_at_versions()
            self._be_patient()
            self._advance()
            self._look()
            now_s = self._wall.monotonic_s()
            if now_s - self._progress_s >= self._options.progress_s:
                self._progress_s = now_s
                progress = self._progress()
                self._tell("progress", f"{progress['estimates']} answers", progress)
                self._look_at_paces()
            self._say()
            await asyncio.sleep(self._options.tick_s)

    def _paces(self) -> dict[str, dict[str, float]]:
        found = {
            one.name: summary(one.paces())
            for one in self._parts.sources
            if isinstance(one, Paced)
        }
        return {name: pace for name, pace in found.items() if pace}

    def _look_at_paces(self) -> None:
        """Tell of signals at which a server looks less often than the contract wants."""
        slow: list[str] = []
        for source in self._parts.sources:
            if isinstance(source, Paced):
                slow += slow_signals(source.paces(), self._periods)
        before, self._slow = self._slow, tuple(slow)
        for said in slow:
            if said not in before:
                self._tell("slow-server", said)

    def _say(self) -> None:
        """Write the status where it is due, or where the state has changed."""
        path, now_s = self._options.status, self._wall.monotonic_s()
        changed = _kind(self._state) != _kind(self._said)
        if path is not None and (changed or now_s - self._said_s >= EVERY_S):
            self._said, self._said_s = self._state, now_s
            write_status(path, self.status())

    def _be_patient(self) -> None:
        """Let rows go that have waited long enough for slower signals."""
        aligner, now_s = self._pipeline.aligner, self._clock.monotonic_s()
        newest = aligner.newest_us(aligner.lead)
        wait_s = self._options.wait_share * aligner.period_us / 1e6
        if newest is None:
            self._blocked = None
        elif self._blocked is None:
            self._blocked = (now_s, newest)
        elif now_s - self._blocked[0] > wait_s:
            self._waited_us = self._blocked[1]
            self._blocked = None

    def _check_term(self) -> None:
        """Ask the permit; stop at the moment that it says."""
        now_s = self._wall.monotonic_s()
        due = now_s - self._term_s >= self._options.term_s
        if self._permit is None or self._over or not due:
            return
        self._term_s = now_s
        self._term = term = self._permit.look()
        if term.note:
            self._notes.append(term.note)
            until = to_text(term.stops_at)
            self._tell("grant", term.note, {"stops_at": until})
        if term.over:
            self._end_term(term)

    def _end_term(self, term: Term) -> None:
        """Answer no more; the sinks learn that nobody knows any longer."""
        self._over = True
        now, reason = self._clock.now(), f"{term.reason}; the line has stopped"
        state = TagState(signal="*", state="stale", reason=reason)
        self._state = state
        self._states.append(
            StateChange(at=now, state=state.state, signal=state.signal, reason=reason)
        )
        for delivery in self._deliveries:
            delivery.state(state, to_us(now))
        detail: dict[str, Json] = {"ends_at": to_text(term.ends_at)}
        self._tell("grant-over", reason, detail)
        self._done.set()

    def _look_at_versions(self) -> None:
        """Let another package answer where its act is in the ledger; tell what is new."""
        versions = self._parts.versions
        if versions is None or self._over:
            return
        successor = versions.look()
        for note in versions.notes():
            self._tell("version", note)
        if successor is not None:
            self._follow(successor)

    def _follow(self, successor: Successor) -> None:
        self._pipeline.follow(successor)
        self._permit, self._term_s = successor.permit, float("-inf")
        self._mode = successor.mode
        for delivery in self._deliveries:
            delivery.mode = successor.mode
            if self._state is not None:
                delivery.state(self._state, to_us(self._clock.now()))
        if self._requester is not None:
            self._requester.rest(successor.why_mode)
        self._tell(successor.kind, successor.text, successor.detail)
        if successor.why_mode:
            why = f"the mode is {successor.mode}: {successor.why_mode}"
            self._tell("version", why)

    def _look(self) -> None:
        """Judge the line's state; tell of a change."""
        if self._over:
            return
        now = self._clock.now()
        moment = Moment(at_us=to_us(now), monotonic_s=self._clock.monotonic_s())
        tags = self._tags.worst(moment)
        state = line_state(tags, self._pipeline.newest_estimate)
        before, self._state = self._state, state
        if _kind(before) == _kind(state):
            return
        self._states.append(
            StateChange(
                at=now, state=state.state, signal=state.signal, reason=state.reason
            )
        )
        for delivery in self._deliveries:
            delivery.state(state, moment.at_us)
        text = f"{state.state}: {state.signal} {state.reason}".strip()
        self._tell("state", text, {"state": state.state, "signal": state.signal})

    def _told_taken(self, taken: Taken) -> None:
        for gap in taken.dropped:
            self._tell("dropped", f"{gap.signal}: {gap.reason}", {"signal": gap.signal})
        if taken.late:
            text = f"{taken.late} samples came after their time had been answered"
            self._tell("late", text, {"samples": taken.late})

    def _oldest_us(self) -> int:
        return to_us(self._clock.now()) - int(self._options.backfill_max_s * 1e6)

    def _progress(self) -> dict[str, Json]:
        detail: dict[str, Json] = dict(reports.totals(self._pipeline.counts))
        settled_us = self._pipeline.settled_us
        detail["settled_until"] = to_text(from_us(settled_us)) if settled_us else ""
        detail["state"] = self._state.state if self._state else "stale"
        return detail

    def _tell(
        self, kind: Kind, text: str, detail: dict[str, Json] | None = None
    ) -> None:
        self._on_event(
            Event(at=self._clock.now(), kind=kind, text=text, detail=detail or {})
        )
