"""From samples to answers, step by step, without any network.

store on disk -> align -> cut windows -> check the contract -> score what is ready in
one call -> guard -> write the answers and the settled mark in one commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import Digest
from tundish.line import guard
from tundish.line.budget import DAY_US, Budget
from tundish.line.buffer import LineBuffer, Settled
from tundish.line.estimates import Estimate, Scorer
from tundish.line.gate import Gate
from tundish.line.guard import InputGate
from tundish.line.rows import MAX_PERIODS, Aligner, Row
from tundish.line.samples import Gap, Sample
from tundish.line.versions import Successor, Versions
from tundish.line.windows import Window, WindowCutter

MAX_BATCH = 256
_PAGE = 1000
_MOST_BACK = 10_000
_MOST_A_DAY = 1_000_000
_BEFORE_ALL = -(2**62)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of samples that were handed in.

    Attributes:
        new: Samples that were not on disk yet.
        holes: Stretches of more than 1.5 periods before a new sample.
        dropped: What the full buffer gave up.
        late: Samples older than what was already scored; kept, but never scored.
    """

    new: int = 0
    holes: tuple[Gap, ...] = ()
    dropped: tuple[Gap, ...] = ()
    late: int = 0


@dataclass(kw_only=True)
class Counts:
    """Running totals since the line started."""

    received: int = 0
    backfilled: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    late: int = 0
    untimed: int = 0
    scored: int = 0
    estimates: int = 0
    abstained: Counter[str] = field(default_factory=Counter)
    dropped: int = 0


class Pipeline:
    """Decides what is scored when; owns the buffer while the line runs.

    Args:
        scenario: The contract.
        scorer: The model.
        model: Its digest, written into every answer.
        buffer: The line's buffer.
        budget: Counts and limits what is asked of the model.
        gate: Waits for the answers.
        versions: Is shown what was answered.
    """

    def __init__(  # noqa: PLR0913 -- keyword-only, one per part
        self,
        *,
        scenario: Scenario,
        scorer: Scorer,
        model: Digest,
        buffer: LineBuffer,
        budget: Budget | None = None,
        gate: Gate | None = None,
        versions: Versions | None = None,
    ) -> None:
        self.scenario = scenario
        self.buffer = buffer
        self.counts = Counts()
        self.newest: dict[str, int] = {}
        self.newest_estimate: Estimate | None = None
        self.settled_us: int | None = None
        self.aligner = Aligner(scenario)
        self._cutter = WindowCutter(scenario, self.aligner.period_us)
        self._gate = InputGate(scenario)
        self._scorer = scorer
        self._model = model
        self._budget = budget
        self._gate_behind = gate
        self._versions = versions
        self._reach_us = {
            signal.name: int(signal.period_s * MAX_PERIODS * 1e6)
            for signal in scenario.signals
        }

    @property
    def model(self) -> Digest:
        """The digest of the package that answers."""
        return self._model

    def follow(self, successor: Successor) -> None:
        """Answer with another package from the next window on.

        What is lined up stays: its contract has the same form (see ``misfit``).
        """
        self.scenario, self._model = successor.scenario, successor.model
        self._scorer, self._gate = successor.scorer, InputGate(successor.scenario)
        if self._budget is not None:
            self._budget.follow(successor.ranges, successor.meter)
        if self._gate_behind is not None:
            self._gate_behind.follow(successor.model)

    def restore(self) -> dict[str, int]:
        """Go on where the buffer stands; scores nothing yet.

        Returns:
            For each signal with stored samples, the source time from which on
            history is to be asked for what was missed.
        """
        settled = self.buffer.settled()
        after_us = _BEFORE_ALL
        known: dict[str, int] = {}
        if settled:
            after_us = self.settled_us = settled.at_us
            self._restore_budget(settled)
            known = self._restore_window(settled)
        for signal in self._reach_us:
            if (newest := self.buffer.newest_us(signal)) is not None:
                self.newest[signal] = newest
                known.setdefault(signal, newest)
        limit = max(_PAGE, 2 * len(self._reach_us))
        more = True
        while more:
            page = self.buffer.samples_after(after_us, limit=limit)
            self.aligner.add(page)
            for sample in page:
                known[sample.signal] = min(known[sample.signal], _time(sample))
            more = len(page) == limit
            if more:  # the last time may go on in the next page
                after_us = _time(page[-1]) - 1
        return known

    def take(self, samples: Sequence[Sample], *, live: bool) -> Taken:
        """Put samples on disk and line them up; nothing is scored yet.

        Args:
            samples: As the source gave them. Untrusted.
            live: False for samples read from history.
        """
        timed = [sample for sample in samples if sample.at_us is not None]
        self.counts.untimed += len(samples) - len(timed)
        if not timed:
            return Taken()
        stored = self.buffer.store(timed)
        self.counts.duplicates += stored.duplicates
        if live:
            self.counts.received += len(stored.new)
        else:
            self.counts.backfilled += len(stored.new)
        self.counts.dropped += len(stored.dropped)
        if live:
            self.counts.out_of_order += stored.behind
        kept, holes = self._place(sorted(stored.new, key=_time))
        self.aligner.add(kept)
        for gap in stored.dropped:
            self.aligner.forget(gap.signal, gap.to_us)
        late = len(stored.new) - len(kept)
        self.counts.late += late
        return Taken(
            new=len(stored.new),
            holes=tuple(holes) if live else (),
            dropped=stored.dropped,
            late=late,
        )

    def step(
        self, *, until_us: int | None = None, waited_until_us: int | None = None
    ) -> list[Estimate]:
        """Score at most one batch of what is ready, in one call, in source-time order.

        Args:
            until_us: Nothing after this source time may be scored yet.
            waited_until_us: Rows up to this no longer wait for other signals.

        Returns:
            The answers, already on disk; empty if nothing was ready. Rows that are
            not due for an answer are settled as well.
        """
        estimates: list[Estimate] = []
        while not estimates:
            rows = self.aligner.take(
                until_us=until_us, waited_until_us=waited_until_us, limit=MAX_BATCH
            )
            if not rows:
                break
            estimates = self._settle(rows)
        return estimates

    def overdue(self) -> list[Estimate]:
        """Write "no result" for parts that the gate cannot wait for any longer."""
        over = self._gate_behind.overdue() if self._gate_behind else []
        if over:
            self.counts.estimates += self.buffer.settle(over, None)
            self.counts.abstained.update(e.why for e in over)
            self.newest_estimate = over[-1]
        return over

    def reach_us(self, signal: str) -> int:
        """Return the longest step, in microseconds, that is no gap of a signal."""
        return self._reach_us[signal]

    def last_samples(self, spans_us: Mapping[str, int]) -> dict[str, list[Sample]]:
        """Return the newest stored samples of signals that reach back over a span."""
        periods_us = {one.name: one.period_s * 1e6 for one in self.scenario.signals}
        limits = {
            signal: min(int(span_us / periods_us[signal]) + 2, _MOST_BACK)
            for signal, span_us in spans_us.items()
        }
        return self.buffer.last_samples(limits)

    def _restore_window(self, settled: Settled) -> dict[str, int]:
        """Line up what the window needs; returns each signal's last settled time."""
        rows = self.scenario.window_samples
        limits = dict.fromkeys(self._reach_us, 64 + rows)
        limits[self.aligner.lead] = max(rows, 2)
        found = self.buffer.last_samples(limits, until_us=settled.at_us)
        for samples in found.values():
            self.aligner.add(samples)
        before = self.aligner.take(
            until_us=settled.at_us, waited_until_us=settled.at_us, limit=MAX_BATCH**2
        )
        self._cutter.restore(before[-rows:], settled.segment_rows)
        self._keep_needed()
        return {name: _time(samples[-1]) for name, samples in found.items() if samples}

    def _place(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Gap]]:
        """Return what can still be scored, and the holes before new samples.

        Args:
            samples: New on disk, in order of time.
        """
        kept: list[Sample] = []
        holes: list[Gap] = []
        settled_us = _BEFORE_ALL if self.settled_us is None else self.settled_us
        newest_of, lead = self.newest, self.aligner.lead
        for sample in samples:
            at_us, signal = _time(sample), sample.signal
            newest = newest_of.get(signal, at_us)
            if at_us - newest > self._reach_us[signal]:
                holes.append(
                    Gap(
                        signal=signal,
                        from_us=newest,
                        to_us=at_us,
                        reason="the source sent nothing",
                    )
                )
            newest_of[signal] = max(at_us, newest)
            if at_us > settled_us or signal != lead:
                kept.append(sample)
        return kept, holes

    def _settle(self, rows: list[Row]) -> list[Estimate]:
        due = self._cutter.push(rows)
        estimates = self._answers(due) if due else []
        self.settled_us = rows[-1].at_us
        self._keep_needed()
        written = self.buffer.settle(
            estimates,
            Settled(at_us=self.settled_us, segment_rows=self._cutter.segment_rows),
        )
        self.counts.estimates += written
        if estimates:
            self.newest_estimate = estimates[-1]
        return estimates

    def _answers(self, due: list[Window]) -> list[Estimate]:
        digests = [window.digest() for window in due]
        answers = self._gate.refused(due, self._model, digests)
        fit = [n for n in range(len(due)) if n not in answers]
        if self._budget is not None:
            fit = self._within(self._budget, due, fit, digests, answers)
        if fit:
            windows = [due[n] for n in fit]
            began_s = perf_counter()
            outputs = self._scorer.run(np.array([one.values for one in windows]))
            took_s = perf_counter() - began_s
            self.counts.scored += len(fit)
            given = guard.answers(
                self.scenario, windows, outputs, self._model, [digests[n] for n in fit]
            )
            if self._budget is not None:
                given = [self._budget.given(one) for one in given]
            answers.update(zip(fit, given, strict=True))
            if self._versions is not None:
                self._versions.offer(windows, given, took_s)
        found = [answers[n] for n in range(len(due))]
        if (gate := self._gate_behind) is not None:
            twice = sum(gate.told(answer.at_us) for answer in found)
            self.counts.abstained["no-result"] -= twice  # counted when it was told
            found = [gate.judged(answer) for answer in found]
        self.counts.abstained.update(e.why for e in found if e.abstained)
        return found

    def _within(
        self,
        budget: Budget,
        due: Sequence[Window],
        fit: Sequence[int],
        digests: Sequence[Digest],
        answers: dict[int, Estimate],
    ) -> list[int]:
        """Return what the budget allows; the rest gets its answer here."""
        rows = np.array([due[n].values[-1] for n in fit])
        reasons = budget.take([due[n].at_us for n in fit], rows) if fit else []
        kept: list[int] = []
        for n, reason in zip(fit, reasons, strict=True):
            if not reason:
                kept.append(n)
                continue
            answers[n] = Estimate(
                at_us=due[n].at_us,
                quality="bad",
                why="budget",
                reason=reason,
                model=self._model,
                input=digests[n],
            )
        return kept

    def _restore_budget(self, settled: Settled) -> None:
        if self._budget is not None:
            midnight_us = settled.at_us // DAY_US * DAY_US
            answers = self.buffer.estimates_after(midnight_us - 1, limit=_MOST_A_DAY)
            self._budget.restore(answers)

    def _keep_needed(self) -> None:
        first = self._cutter.first_us
        if first is not None:
            slowest = max(self._reach_us.values())
            self.buffer.keep_from(first - slowest)


def _time(sample: Sample) -> int:
    if sample.at_us is None:
        msg = f"a sample of {sample.signal} without source time is never stored"
        raise ValueError(msg)
    return sample.at_us
