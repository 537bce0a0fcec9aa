"""HTTP source that is posted to: it listens where the line file says so.

A post is answered with 200 only when its rows are in the line's buffer on disk. What got
no such answer may be posted again, as often as need be: a row is known by its signal and
its time, so it stands there once, also after a power cut between the writing and the
answer. That is why every row must say its time.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final, Self

from pydantic import Field

from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock, SystemClock
from tundish.line.contract import Contract
from tundish.line.errors import HistoryUnavailableError, LineFileInvalidError
from tundish.line.httpdoor import open_door, own_token
from tundish.line.httplisten import Asked, HttpListener, Reply, refusal
from tundish.line.httprows import RowOptions, RowReader
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.linefile import SourceSpec
from tundish.line.samples import Arrival, LinkChange, Sample, to_us
from tundish.line.serving.limits import Limits
from tundish.line.serving.listening import bind

MOST_AHEAD_S: Final = 23 * 3600.0
"""The engine keeps nothing that is a day ahead; what is answered 200 must be kept."""
MOST_WAITING: Final = 64
MOST_SAMPLES: Final = 100_000
_AT_ONCE = 5000
_IDS = 10_000
_COMMIT_S = 10.0
_ID = re.compile(rb"[!-~]{1,200}", re.ASCII)
_ID_HEADERS = (b"idempotency-key", b"webhook-id")


class HttpReceiveOptions(RowOptions):
    """Options of a source that is posted to: those of rows, and what it takes.

    Attributes:
        most_kb: Largest body.
        rate: Posts a second.
    """

    most_kb: Annotated[int, Field(ge=1, le=16_384)] = 1024
    rate: Annotated[float, Field(gt=0, le=10_000)] = 100.0


@dataclass(slots=True)
class _Post:
    """Samples of a post, and who waits for them to be on disk."""

    samples: tuple[Sample, ...]
    received_s: float
    kept: asyncio.Future[bool] | None = None

    def tell(self, *, kept: bool) -> None:
        if self.kept is not None and not self.kept.done():
            self.kept.set_result(kept)


class HttpReceive:
    """A door as a source; see the module.

    Args:
        spec: The line file's part; a node is the place of its value in a row.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``HttpReceiveOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        LineFileInvalidError: if what the line file says does not fit together.
        TlsUnusableError, TokenWeakError, SecretMissingError: of the files named.
        PlaintextRefusedError: if other machines would reach it in the clear.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: HttpReceiveOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options or HttpReceiveOptions()
        owner = f"The source {spec.endpoint}"
        self._spec, self._form = spec, options.form
        self._clock = clock or SystemClock()
        self._rows = RowReader(spec, scenario, options, owner)
        if not self._rows.timed:
            msg = f"{owner} is posted to and needs options.time for every node: by its time a row that is posted twice is known."
            raise LineFileInvalidError(msg)
        self._door = open_door(
            spec.endpoint,
            owner,
            security=spec.security,
            tokens={"sender": own_token(spec.security, owner)},
            methods={"": ("POST",)},
            limits=Limits(
                body=options.most_kb * 1024, connections=64, head_s=5.0, body_s=10.0,
                answer_s=5.0, rate=options.rate,
            ),
            clock=self._clock,
            heard=lambda _peer, _code: None,
        )  # fmt: skip
        self._listener = HttpListener(self._door, self._posted)
        self._inbox: deque[_Post] = deque()
        self._given: list[_Post] = []
        self._waiting = 0
        self._some = asyncio.Event()
        self._ids: OrderedDict[bytes, tuple[bytes, dict[str, Json]]] = OrderedDict()
        self._ready = False

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; listens to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError and others: as the class.
        """
        return cls(spec, scenario, spec.read_options(HttpReceiveOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._spec.endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._rows.signals

    async def connect(self) -> None:
        """Listen; see ``Source.connect``.

        Raises:
            AddressTakenError: if the system does not give the address.
        """
        await self._listener.open()

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what is posted; asking for the next answers the posts before."""
        self._ready = True
        yield Arrival(link=LinkChange(up=True))
        while True:
            await self._some.wait()
            samples: list[Sample] = []
            self._given = given = []
            while self._inbox and len(samples) < _AT_ONCE:
                post = self._inbox.popleft()
                given.append(post)
                samples += post.samples
            if not self._inbox:
                self._some.clear()
            yield Arrival(samples=tuple(samples), received_s=given[0].received_s)
            for post in given:  # not reached if the engine failed
                self._waiting -= len(post.samples)
                post.tell(kept=True)

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Refuse: who posts is not asked; see ``Source.read_history``."""
        del after_us, until_us
        if signal in self.signals:
            msg = f"What was not posted to {self.name} is not there."
            raise HistoryUnavailableError(msg)
        yield ()

    async def inspect(self) -> Inspection:
        """See whether the address can be had; nobody is asked. See ``Inspects``.

        Raises:
            AddressTakenError: if it cannot, such as while the line runs.
        """
        bind(self._door.address, self._door.port).close()
        tags = tuple(
            TagSeen(
                name=name,
                node=self._spec.node(name).node,
                kind=f"{self._form.upper()}, posted",
                history=False,
            )
            for name in self.signals
        )
        return Inspection(tags=tags, security="TLS" if self._door.tls else "")

    async def close(self) -> None:
        """Listen no more; what is not on disk is answered 503. Safe to call twice."""
        self._ready = False
        for post in (*self._given, *self._inbox):
            post.tell(kept=False)
        self._inbox.clear()
        await self._listener.close()

    async def _posted(self, asked: Asked) -> Reply:
        """Answer one post."""
        if not self._ready:
            return refusal(503, "The line is not ready.", 1)
        mark = hashlib.sha256(asked.body).digest()
        number = _number(asked)
        if number and (known := self._ids.get(number)):
            if known[0] != mark:
                said = "This id came before with another body; it stands as it was."
                return refusal(422, said)
            return Reply(status=200, body={**known[1], "again": True})
        try:
            samples = self._read(asked.body)
        except ValueError as error:
            said = f"The body cannot be used: {error}."
            self._take(_Post(self._rows.unreadable(said), self._clock.monotonic_s()))
            return refusal(422, said)
        if not samples:
            return Reply(status=200, body={"samples": 0, "bad": 0})
        return await self._kept(samples, number, mark)

    def _read(self, body: bytes) -> tuple[Sample, ...]:
        samples = self._rows.read_timed(body)
        latest_us = to_us(self._clock.now()) + int(MOST_AHEAD_S * 1e6)
        for sample in samples:
            if (sample.at_us or 0) > latest_us:
                msg = f"a time of {sample.signal} is more than {MOST_AHEAD_S / 3600:g} h in the future"
                raise ValueError(msg)
        return samples

    async def _kept(
        self, samples: tuple[Sample, ...], number: bytes, mark: bytes
    ) -> Reply:
        """Wait until the samples are on disk."""
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._take(_Post(samples, self._clock.monotonic_s(), kept)):
            return refusal(503, "More is waiting than can be written; try again.", 1)
        done, _ = await asyncio.wait({kept}, timeout=_COMMIT_S)
        if not done or not kept.result():
            return refusal(503, "It is not on disk; post it again.", 1)
        bad = sum(one.quality == "bad" for one in samples)
        said: dict[str, Json] = {"samples": len(samples), "bad": bad}
        if number:
            self._ids[number] = mark, said
            if len(self._ids) > _IDS:
                self._ids.popitem(last=False)
        return Reply(status=200, body=said)

    def _take(self, post: _Post) -> bool:
        """Put a post where the engine takes it; false if too much is waiting."""
        full = len(self._inbox) >= MOST_WAITING or self._waiting > MOST_SAMPLES
        if not full:
            self._inbox.append(post)
            self._waiting += len(post.samples)
            self._some.set()
        return not full


def _number(asked: Asked) -> bytes:
    """Return the id that a client gave its post; empty if it gave none."""
    for name in _ID_HEADERS:
        found = asked.head.headers.get(name, b"")
        if _ID.fullmatch(found):
            return found
    return b""
