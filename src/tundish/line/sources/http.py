"""HTTP source: one address is asked again and again, and its rows are read.

What a plant's gateways and historians give at an address, JSON or CSV. An answer that
does not move its times gives nothing newer, so its signals turn stale by themselves. HTTP
has no history of its own: what was not in an answer is a gap.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from tundish.kernel.clock import Clock, SystemClock
from tundish.line import tls
from tundish.line.clocks import ClockReading
from tundish.line.contract import Contract
from tundish.line.errors import (
    HistoryUnavailableError,
    LineFileInvalidError,
    LinkRefusedError,
    NodeMissingError,
    SourceUnreachableError,
)
from tundish.line.httpaccount import open_account
from tundish.line.httpget import Answer, AnswerHead, HttpGet
from tundish.line.httppost import HttpLostError
from tundish.line.httprows import RowOptions, RowReader
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.linefile import SourceSpec
from tundish.line.samples import Arrival, LinkChange, Sample, to_us

_NOT_MODIFIED = 304
_AT_ONCE = 1000  # samples in one arrival, so that nothing else waits for long
_SAID = {
    401: "it does not know our token or password",
    403: "it does not let us read",
    404: "nothing is there",
    410: "nothing is there any more",
    429: "it is asked too often",
}
_REFUSALS = {401, 403, 407}


class HttpSourceOptions(RowOptions):
    """Options of an HTTP source: those of rows, and how it is asked.

    Attributes:
        period_s: From one question to the next.
        timeout_s: Limit for connecting, and for each answer.
        retry_first_s, retry_max_s: Pause after a question in vain, doubling.
        most_kb: Largest answer that is read.
    """

    period_s: Annotated[float, Field(ge=0.05, le=86_400)] = 1.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    retry_first_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    retry_max_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    most_kb: Annotated[int, Field(ge=1, le=65_536)] = 1024


class _VainError(Exception):
    """A question got no rows; the text says why, for people.

    Args:
        status: Of the answer; 0 if there was none.
        wait_s: How long the server asked to be left alone.
    """

    def __init__(self, why: str, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.status, self.wait_s = status, wait_s


class HttpSource:
    """One address as a source; see the module.

    Args:
        spec: The line file's part; a node is the place of its value in a row.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``HttpSourceOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: HttpSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = options or HttpSourceOptions()
        owner = f"The source {spec.endpoint}"
        self._spec = spec
        self._clock = clock or SystemClock()
        self._account = open_account(
            spec.endpoint, spec.security, owner, ("user", "password")
        )
        stale_after_s = scenario.stale_after_s
        if stale_after_s is not None and self._options.period_s > stale_after_s:
            msg = f"{owner} is asked every {self._options.period_s:g} s, and its values are stale after {stale_after_s:g} s; say a shorter options.period_s."
            raise LineFileInvalidError(msg)
        self._rows = RowReader(spec, scenario, self._options, owner)
        self._http = self._link()
        self._first: tuple[Answer, ClockReading | None] | None = None
        self._etag = ""
        self._body = b""
        self._closed = False

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError, CertificateUnusableError, SecretMissingError: as the
            class.
        """
        return cls(spec, scenario, spec.read_options(HttpSourceOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._spec.endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._rows.signals

    async def connect(self) -> None:
        """Ask for the first time; every signal must have its place in the answer.

        Raises:
            SourceUnreachableError: if there is no answer with rows.
            LinkRefusedError: if the server refuses us, or is not whom it should be.
            NodeMissingError: if a signal has no place in any row.
        """
        self._closed = False
        try:
            answer, clock = await self._reached(self._http)
            self._refuse_missing(answer)
        except BaseException:
            self._http.drop()
            raise
        self._first = answer, clock

    def _refuse_missing(self, answer: Answer) -> None:
        try:
            missing = self._rows.missing(answer.body)
        except ValueError as error:
            msg = f"The answer of {self.name} cannot be read: {error}."
            raise SourceUnreachableError(msg) from error
        if missing:
            node = self._spec.node(missing[0]).node
            msg = f"The answer of {self.name} has nothing at {node!r} for the signal {missing[0]}."
            raise NodeMissingError(msg)

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what each answer brings, for ever; see ``Source.samples``."""
        yield Arrival(link=LinkChange(up=True))
        up, pause_s, asked_s = True, self._options.retry_first_s, 0.0
        while not self._closed:
            try:
                first, self._first = self._first, None
                asked_s = self._clock.monotonic_s()
                answer, clock = first or await self._question(self._http)
            except _VainError as vain:
                self._etag, self._body = "", b""  # the next answer is read in any case
                if up:
                    up = False
                    yield Arrival(link=LinkChange(up=False, reason=str(vain)))
                if vain.status:  # it is there, and says that it has no values
                    yield Arrival(samples=self._rows.unreadable(str(vain)))
                rest_s = max(pause_s, min(vain.wait_s, self._options.retry_max_s))
                pause_s = min(2 * pause_s, self._options.retry_max_s)
            else:
                pause_s = self._options.retry_first_s
                if not up:
                    up = True
                    yield Arrival(link=LinkChange(up=True))
                for arrival in self._arrivals(answer, clock):
                    yield arrival
                    await asyncio.sleep(0)
                due_s = asked_s + self._options.period_s
                rest_s = max(0.0, due_s - self._clock.monotonic_s())
            await asyncio.sleep(rest_s)

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Refuse: an address has no history; see ``Source.read_history``."""
        del after_us, until_us
        if signal in self.signals:
            msg = f"HTTP has no history; what {self.name} did not answer is not there."
            raise HistoryUnavailableError(msg)
        yield ()

    async def inspect(self) -> Inspection:
        """Ask once; see ``Inspects``."""
        link = self._link()
        try:
            answer, clock = await self._reached(link)
        finally:
            link.drop()
        secure = "TLS" if self._account.place.tls else ""
        now_us = to_us(self._clock.now())
        try:
            missing = self._rows.missing(answer.body)
            samples = self._rows.read(answer.body, now_us)
        except ValueError as error:
            missing, samples = [], self._rows.unreadable(f"it cannot be read: {error}")
        newest = {sample.signal: sample for sample in samples}
        tags = tuple(
            self._tag_seen(name, newest.get(name), now_us, gone=name in missing)
            for name in self.signals
        )
        return Inspection(tags=tags, clock=clock, security=secure)

    async def close(self) -> None:
        """Let the server go; safe to call twice."""
        self._closed = True
        self._http.drop()

    def _link(self) -> HttpGet:
        account = self._account
        return HttpGet(account.place, account.context, self._options.timeout_s)

    async def _reached(self, link: HttpGet) -> tuple[Answer, ClockReading | None]:
        """Ask for the first time.

        Raises:
            SourceUnreachableError, LinkRefusedError.
        """
        try:
            return await self._question(link)
        except _VainError as vain:
            inner = vain.__cause__.__cause__ if vain.__cause__ else None
            if isinstance(inner, ssl.SSLError):
                raise tls.refused(self.name, inner) from vain
            if vain.status in _REFUSALS or 300 <= vain.status < 400:
                msg = f"No link to {self.name}: {vain}."
                raise LinkRefusedError(msg) from vain
            msg = f"The source cannot be reached: {vain}."
            raise SourceUnreachableError(msg) from vain

    async def _question(self, link: HttpGet) -> tuple[Answer, ClockReading | None]:
        """Ask once; give the answer and what it says of the server's clock.

        Raises:
            _VainError: if there is none with rows.
        """
        headers = dict(self._account.headers)
        headers["Accept"] = (
            "text/csv" if self._options.form == "csv" else "application/json"
        )
        if self._etag:
            headers["If-None-Match"] = self._etag
        before_us, before_s = to_us(self._clock.now()), self._clock.monotonic_s()
        try:
            answer = await link.get(headers, self._options.most_kb * 1024)
        except HttpLostError as error:
            raise _VainError(str(error)) from error
        self._refuse_vain(link.place.host, answer.head)
        return answer, self._reading(answer.head, before_us, before_s)

    def _refuse_vain(self, host: str, head: AnswerHead) -> None:
        if head.status == 200 or (head.status == _NOT_MODIFIED and self._etag):
            return
        said = _SAID.get(head.status, "")
        if 300 <= head.status < 400:
            said = "it leads elsewhere, and no redirect is followed"
        why = f"{host} answered {head.status}" + (f": {said}" if said else "")
        raise _VainError(why, head.status, head.wait_s or 0.0)

    def _reading(
        self, head: AnswerHead, before_us: int, before_s: float
    ) -> ClockReading | None:
        """Compare the server's clock with ours, if it tells the time."""
        took_s = self._clock.monotonic_s() - before_s
        if head.date_us is None:
            return None
        ours_us = before_us + took_s * 1e6 / 2
        return ClockReading(
            offset_s=(head.date_us - ours_us) / 1e6,
            bound_s=took_s / 2 + 1.0,  # it says whole seconds
            ours_s=before_us / 1e6 - before_s,
            server_us=head.date_us,
        )

    def _arrivals(self, answer: Answer, clock: ClockReading | None) -> list[Arrival]:
        received_s = self._clock.monotonic_s()
        found = [Arrival(clock=clock)] if clock is not None else []
        unmoved = answer.head.status == _NOT_MODIFIED or (
            self._rows.timed and answer.body == self._body
        )
        if unmoved:
            return found
        try:
            samples = self._rows.read(answer.body, to_us(self._clock.now()))
        except ValueError as error:
            self._etag, self._body = "", b""
            why = f"the answer cannot be read: {error}"
            return [*found, Arrival(samples=self._rows.unreadable(why))]
        self._etag, self._body = answer.head.etag, answer.body
        found += [
            Arrival(samples=samples[first : first + _AT_ONCE], received_s=received_s)
            for first in range(0, len(samples), _AT_ONCE)
        ]
        return found

    def _tag_seen(
        self, name: str, sample: Sample | None, now_us: int, *, gone: bool
    ) -> TagSeen:
        node = self._spec.node(name).node
        if gone:
            return TagSeen(name=name, node=node, problem="nothing is at this place")
        if sample is None:
            return TagSeen(
                name=name, node=node, quality="bad", reason="the answer has no row"
            )
        values = (
            () if sample.values is None else tuple(np.ravel(sample.values).tolist())
        )
        age_s = None if sample.at_us is None else (now_us - sample.at_us) / 1e6
        return TagSeen(
            name=name,
            node=node,
            kind=self._options.form.upper(),
            values=values,
            quality=sample.quality,
            reason=sample.reason,
            history=False,
            age_s=age_s,
        )
