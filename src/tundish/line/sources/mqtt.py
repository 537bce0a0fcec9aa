"""MQTT source: JSON payloads of one broker, over 3.1.1 or 5.

The session is kept by the broker while the line is away, and a message of QoS 1 is
acknowledged only when it is on disk: what arrives at the broker meanwhile comes later,
in order. That needs a time in the payload; signals without one get a session that
forgets, since a kept value would be given the time of its receipt. MQTT has no
history: what the broker did not keep is a gap.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Self

from pydantic import Field as Limits

from tundish.kernel.clock import Clock, SystemClock
from tundish.line.contract import Contract
from tundish.line.errors import HistoryUnavailableError, LineFileInvalidError
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.jsonpayload import Delivery, Field, JsonTopic
from tundish.line.linefile import SourceSpec
from tundish.line.mqttfeed import Batch, Feed, Plan
from tundish.line.mqttlook import LOOK_S, listen
from tundish.line.mqttoptions import Account, MqttOptions, check_topic
from tundish.line.mqttpackets import Publish
from tundish.line.places import Places, field_at, node_places, owner_of
from tundish.line.samples import Arrival, Quality, Sample, to_us


class MqttSourceOptions(MqttOptions, Places):
    """Options of an MQTT source: those of the link, and places for all its nodes.

    Attributes:
        batch_ms: Shortest time between two batches of a busy stream.
    """

    batch_ms: Annotated[float, Limits(ge=0, le=1000)] = 2.0


class MqttSource:
    """One broker as a source; see the module.

    Args:
        spec: The line file's part; a node is a topic.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``MqttSourceOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: MqttSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options or MqttSourceOptions()
        self._clock = clock or SystemClock()
        self._endpoint = spec.endpoint
        self._signals = tuple(spec.nodes)
        owner = f"The source {spec.endpoint}"
        fields: dict[bytes, list[Field]] = {}
        filters: dict[str, str] = {}
        for signal in spec.nodes:
            node = spec.node(signal)
            topic = check_topic(node.node, f"the signal {signal}")
            form = scenario.signal(signal)
            places = node_places(Places, options, node, owner_of(form))
            field = field_at(places.value, places, form, node)
            fields.setdefault(topic, []).append(field)
            filters.setdefault(node.node, f"the signal {signal}")
        self._topics = {name: JsonTopic(tuple(some)) for name, some in fields.items()}
        timed = {one.time is not None for some in fields.values() for one in some}
        if len(timed) > 1:
            msg = f"{owner} has nodes with options.time and nodes without; give those without a source of their own."
            raise LineFileInvalidError(msg)
        parts = [scenario.key, *sorted(map(str, spec.nodes.items()))]
        self._account = account = Account(
            spec.endpoint, spec.security, options, owner, parts
        )
        self._nodes = {signal: spec.node(signal).node for signal in spec.nodes}
        clean = timed == {False}
        plan = Plan(filters=filters, hello=lambda: account.hello(clean=clean))
        self._feed = Feed(account, plan, self._clock, options.batch_ms / 1000)

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError, CertificateUnusableError, SecretMissingError: as the
            class.
        """
        return cls(spec, scenario, spec.read_options(MqttSourceOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._signals

    async def inspect(self) -> Inspection:
        """Listen for a moment under another id; see ``Inspects``.

        What comes is read as in a run, and nothing of a running line's session is taken.
        """
        seen: dict[str, tuple[Sample, bool]] = {}

        def took(message: Publish) -> bool:
            topic = self._topics.get(message.topic)
            if topic is not None:
                received_us = to_us(self._clock.now())
                delivery = Delivery(received_us=received_us, retained=message.retain)
                for sample in topic.read(message.payload, delivery):
                    seen[sample.signal] = sample, message.retain
            return len(seen) == len(self._signals)

        topics = list(dict.fromkeys(self._nodes.values()))
        refused = await listen(self._account, topics, took)
        tags = tuple(
            self._tag_seen(name, refused.get(node, ""), seen.get(name))
            for name, node in self._nodes.items()
        )
        secure = "TLS" if self._account.broker.secure else ""
        return Inspection(tags=tags, security=secure)

    def _tag_seen(
        self, name: str, problem: str, found: tuple[Sample, bool] | None
    ) -> TagSeen:
        node = self._nodes[name]
        if found is None:
            reason = "" if problem else f"nothing came within {LOOK_S:g} s"
            quality: Quality | None = None if problem else "bad"
            return TagSeen(
                name=name, node=node, problem=problem, quality=quality, reason=reason
            )
        sample, retained = found
        age_s = None
        if sample.at_us is not None:
            age_s = (to_us(self._clock.now()) - sample.at_us) / 1e6
        return TagSeen(
            name=name,
            node=node,
            kind="JSON, retained" if retained else "JSON",
            values=() if sample.values is None else tuple(sample.values.tolist()),
            quality=sample.quality,
            reason=sample.reason,
            history=False,
            age_s=age_s,
        )

    async def connect(self) -> None:
        """Connect and subscribe; see ``Source.connect``."""
        await self._feed.connect()

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        async for batch in self._feed.batches():
            if batch.link is not None:
                yield Arrival(link=batch.link)
            else:
                samples = self._read(batch)
                yield Arrival(samples=samples, received_s=batch.received_s)

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Refuse: a broker has no history; see ``Source.read_history``."""
        del after_us, until_us
        if signal in self._signals:
            msg = f"MQTT has no history; the broker {self._endpoint} did not keep it."
            raise HistoryUnavailableError(msg)
        yield ()

    async def close(self) -> None:
        """Let the broker go; safe to call twice."""
        await self._feed.close()

    def _read(self, batch: Batch) -> tuple[Sample, ...]:
        received_us = to_us(self._clock.now())
        usual = Delivery(received_us=received_us)
        found: list[Sample] = []
        for message in batch.messages:
            topic = self._topics.get(message.topic)
            if topic is None:  # of an older line file, under the same client id
                continue
            delivery = usual
            if message.retain or message.dup:
                delivery = Delivery(
                    received_us=received_us,
                    retained=message.retain,
                    again=message.dup,
                )
            found.extend(topic.read(message.payload, delivery))
        return tuple(found)
