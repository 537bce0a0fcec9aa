"""Sparkplug B sink: the line as an edge node whose metrics are answers and state.

Its birth names the metrics, its will is its death: when the line dies, hosts show its
estimate as stale. Data go out with QoS 0, as the standard wants; that the broker has
them is known by a ping behind them, since a broker works in order. Answers that are
old when they go out are marked ``is_historical``. With the option ``host`` nothing
goes out while that primary host is away: the answers stay in the line's buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints

from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import DocumentMalformedError
from tundish.line import sparkplug
from tundish.line.answers import parts_of
from tundish.line.errors import NodeMissingError, SinkRefusedError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.linefile import SinkSpec
from tundish.line.mqttlink import BrokerLostError
from tundish.line.mqttoptions import Account, MqttOptions
from tundish.line.mqttpackets import FAILURE, Publish, Will
from tundish.line.mqttsender import Sender
from tundish.line.samples import Quality, to_us
from tundish.line.sparkplug import Metric, Payload, Value
from tundish.line.state import TagState

SPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
NUMBERS: Final = ("estimate", "lower", "upper")
TEXTS: Final = (
    "reason",
    "because",
    "model",
    "quality",
    "state",
    "state_reason",
    "mode",
)
NODES: Final = (*NUMBERS, "alarm", *TEXTS)
_QUALITY: Final[dict[Quality, int]] = {
    "good": sparkplug.GOOD,
    "uncertain": sparkplug.BAD,  # the standard has no word for it; the metric has
    "bad": sparkplug.BAD,
}


class SparkplugSinkOptions(MqttOptions):
    """Options of a Sparkplug sink: those of the link, and its own.

    Attributes:
        edge: This edge node, ``GROUP/EDGE``.
        host: Primary host without which nothing is sent.
        historical_s: Answers older than this are no news when they go out.
    """

    edge: Annotated[str, StringConstraints(pattern=r"^[^/+#]{1,64}/[^/+#]{1,64}$")]
    host: str | None = None
    historical_s: Annotated[float, Field(gt=0)] = 60.0


class SparkplugSink:
    """The line as an edge node; see the module.

    Args:
        spec: The line file's part. ``nodes`` holds metric names for any of ``NODES``.
        options: See ``SparkplugSinkOptions``.
        clock: For the moments of births.

    Raises:
        NodeMissingError: if what is to be written is none of ``NODES``.
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SinkSpec,
        options: SparkplugSinkOptions,
        clock: Clock | None = None,
    ) -> None:
        self._options = options
        self._name = spec.name
        self._clock = clock or SystemClock()
        unknown = sorted(set(spec.nodes) - set(NODES))
        if unknown:
            msg = f"The sink {spec.name} names a metric for {unknown[0]!r}; expected any of {', '.join(NODES)}."
            raise NodeMissingError(msg)
        group, edge = options.edge.split("/")
        self._topics = {
            kind: f"{SPACE}/{group}/{kind}/{edge}"
            for kind in ("NBIRTH", "NDATA", "NDEATH", "NCMD")
        }
        self._host_topic = f"{SPACE}/STATE/{options.host}" if options.host else ""
        self._metrics = {
            what: sparkplug.metric(None, _kind(what), name=name, alias=alias)
            for alias, (what, name) in enumerate(sorted(spec.nodes.items()), start=1)
        }
        owner = f"The sink {spec.name}"
        parts = ("sink", spec.name, group, edge)
        self._account = Account(spec.endpoint, spec.security, options, owner, parts)
        self._sender = Sender(self._account, self._heard)
        self._seq = 0
        self._bd_seq = -1
        self._turn = asyncio.Lock()
        self._host = asyncio.Event()
        self._births: set[asyncio.Task[None]] = set()

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            NodeMissingError, LineFileInvalidError, CertificateUnusableError,
            SecretMissingError: as for the class.
        """
        del scenario
        return cls(spec, spec.read_options(SparkplugSinkOptions))

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._name

    async def connect(self) -> None:
        """Connect with the death in place, and be born; see ``Sink.connect``."""
        self._host.clear()
        self._bd_seq = (self._bd_seq + 1) % 256
        death = sparkplug.encode(Payload(time_ms=self._now_ms(), metrics=(self._bd(),)))
        will = Will(topic=self._topics["NDEATH"], payload=death)
        link = await self._sender.open(self._account.hello(clean=True, will=will))
        filters = [self._topics["NCMD"], *filter(None, [self._host_topic])]
        for name, code in zip(filters, await link.subscribe(filters), strict=True):
            if code >= FAILURE:
                msg = f"The topic {name} may not be read at {self._account.broker.endpoint}: not authorised."
                raise NodeMissingError(msg)
        await self._wait_for_host()
        await self._be_born()

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Publish answers in order; see ``Sink.write_estimates``."""
        for estimate in estimates:
            values = {**parts_of(estimate), "quality": estimate.quality}
            quality = _QUALITY[estimate.quality]
            age_s = (to_us(self._clock.now()) - estimate.at_us) / 1e6
            old = age_s > self._options.historical_s
            await self._say(values, quality, estimate.at_us // 1000, historical=old)

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Publish the state; when stale, take the numbers away as well."""
        values: dict[str, Value] = {
            "state": state.state,
            "state_reason": f"{state.signal} {state.reason}".strip(),
            "mode": mode,
        }
        await self._say(values, sparkplug.GOOD, at_us // 1000)
        if state.state == "stale":
            gone: dict[str, Value] = dict.fromkeys((*NUMBERS, "alarm"))
            await self._say(gone, sparkplug.STALE, at_us // 1000)

    async def close(self) -> None:
        """Die with a word for it; safe to call twice."""
        for task in self._births:
            task.cancel()
        await asyncio.gather(*self._births, return_exceptions=True)
        with contextlib.suppress(BrokerLostError, SinkRefusedError):
            death = Payload(time_ms=self._now_ms(), metrics=(self._bd(),))
            await self._sender.publish(
                self._topics["NDEATH"], sparkplug.encode(death), qos=0
            )
        await self._sender.close()

    async def _wait_for_host(self) -> None:
        if not self._host_topic:
            return
        try:
            async with asyncio.timeout(self._options.timeout_s):
                await self._host.wait()
        except TimeoutError as error:
            await self._sender.drop()
            msg = f"the primary host {self._options.host} is not online"
            raise BrokerLostError(msg) from error

    async def _be_born(self) -> None:
        async with self._turn:
            self._seq = 0
            time_ms = self._now_ms()
            rebirth = sparkplug.metric(
                value=False, kind=sparkplug.BOOLEAN, name=REBIRTH, time_ms=time_ms
            )
            known = [
                replace(one, time_ms=one.time_ms or time_ms)
                for one in self._metrics.values()
            ]
            metrics = (self._bd(), rebirth, *known)
            await self._publish("NBIRTH", time_ms, metrics)

    async def _say(
        self,
        values: Mapping[str, Value],
        quality: int,
        time_ms: int,
        *,
        historical: bool = False,
    ) -> None:
        async with self._turn:
            said: list[Metric] = []
            for what, value in values.items():
                known = self._metrics.get(what)
                if known is None:
                    continue
                new = replace(
                    sparkplug.metric(value, _kind(what), time_ms=time_ms),
                    alias=known.alias,
                    historical=historical,
                    quality=sparkplug.GOOD if what in TEXTS else quality,
                )
                said.append(replace(new, kind=0))
                self._metrics[what] = replace(new, name=known.name, historical=False)
            if said:
                await self._publish("NDATA", self._now_ms(), said)

    async def _publish(
        self, kind: str, time_ms: int, metrics: Sequence[Metric]
    ) -> None:
        payload = Payload(time_ms=time_ms, seq=self._seq, metrics=tuple(metrics))
        self._seq = (self._seq + 1) % 256
        await self._sender.publish(self._topics[kind], sparkplug.encode(payload), qos=0)

    def _heard(self, messages: list[Publish]) -> None:
        for message in messages:
            if message.topic == self._host_topic.encode():
                self._host_said(message.payload)
            elif _asks_for_birth(message.payload) and len(self._births) < 2:
                task = asyncio.create_task(self._again())
                self._births.add(task)
                task.add_done_callback(self._births.discard)

    async def _again(self) -> None:
        with contextlib.suppress(BrokerLostError, SinkRefusedError):
            await self._be_born()

    def _host_said(self, payload: bytes) -> None:
        try:
            found = canonical.loads(payload, max_bytes=10_000)
        except DocumentMalformedError:
            return
        online = found.get("online") if isinstance(found, dict) else None
        if online is True:
            self._host.set()
        elif online is False and self._host.is_set():
            self._host.clear()
            why = f"the primary host {self._options.host} is not online"
            self._sender.end(why)

    def _bd(self) -> Metric:
        return sparkplug.metric(self._bd_seq, sparkplug.INT64, name="bdSeq")

    def _now_ms(self) -> int:
        return to_us(self._clock.now()) // 1000


def _kind(what: str) -> int:
    if what in NUMBERS:
        return sparkplug.DOUBLE
    return sparkplug.BOOLEAN if what == "alarm" else sparkplug.STRING


def _asks_for_birth(data: bytes) -> bool:
    try:
        payload = sparkplug.decode(data)
    except sparkplug.PayloadError:
        return False
    return any(
        one.name == REBIRTH and sparkplug.boolean(one) for one in payload.metrics
    )
