"""Sparkplug B source: metrics of edge nodes and their devices.

A node of the line file is ``GROUP/EDGE:METRIC`` or ``GROUP/EDGE/DEVICE:METRIC``. All
messages of an edge node are followed, so that a missed one is noticed; then, and after
each connection, a rebirth is asked for. With the option ``host`` the line says that it
is there as a primary host (``STATE``), and its will says when it is not. Edge nodes
publish with QoS 0 and the standard wants a clean session: what is missed while the
link is away is a gap.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints

from tundish.kernel import canonical
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import DocumentMalformedError
from tundish.line import sparkplug
from tundish.line.contract import Contract
from tundish.line.errors import HistoryUnavailableError, LineFileInvalidError
from tundish.line.inspection import Inspection, TagSeen
from tundish.line.linefile import SourceSpec, no_node_options
from tundish.line.mqttfeed import Batch, Feed, Plan
from tundish.line.mqttlink import BrokerLostError, MqttLink, PublishRefusedError
from tundish.line.mqttlook import LOOK_S, listen
from tundish.line.mqttoptions import Account, MqttOptions, check_topic
from tundish.line.mqttpackets import Hello, Publish, Will
from tundish.line.samples import Arrival, Sample, to_us
from tundish.line.sparkplugedge import KINDS, EdgeNode, Outcome, Place, Wanted

SPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
HostId = Annotated[str, StringConstraints(pattern=r"^[^/+#]{1,64}$")]


class SparkplugSourceOptions(MqttOptions):
    """Options of a Sparkplug source: those of the link, and its own.

    Attributes:
        host: The line's id as a primary host; without it edge nodes do not know us.
        rebirth_s: Shortest time between two requests to one edge node.
        batch_ms: Shortest time between two batches of a busy stream.
    """

    host: HostId | None = None
    rebirth_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    batch_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0


class SparkplugSource:
    """Edge nodes behind one broker as a source; see the module.

    Args:
        spec: The line file's part.
        scenario: The contract; only its signals that ``spec`` names are used.
        options: See ``SparkplugSourceOptions``.
        clock: Wall clock, for the moment of receipt.

    Raises:
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SourceSpec,
        scenario: Contract,
        options: SparkplugSourceOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._options = options = options or SparkplugSourceOptions()
        self._clock = clock or SystemClock()
        self._endpoint = spec.endpoint
        self._signals = tuple(spec.nodes)
        self._edges = _edges(spec, scenario)
        self._asked_s: dict[str, float] = {}
        self._state_ms = 0
        owner = f"The source {spec.endpoint}"
        parts = [scenario.key, *sorted(map(str, spec.nodes.items()))]
        self._account = Account(spec.endpoint, spec.security, options, owner, parts)
        self._nodes = {name: spec.node(name).node for name in spec.nodes}
        self._filters = filters = {
            _topic(name, kind)
            + ("/+" if kind.startswith("D") else ""): f"the edge node {name}"
            for name in self._edges
            for kind in KINDS
        }
        if options.host:
            filters[self._state_topic] = "the host's own state"
        plan = Plan(filters=filters, hello=self._hello, greet=self._greet)
        self._feed = Feed(self._account, plan, self._clock, options.batch_ms / 1000)

    @classmethod
    def from_spec(cls, spec: SourceSpec, scenario: Contract) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            LineFileInvalidError, CertificateUnusableError, SecretMissingError: as the
            class.
        """
        no_node_options(spec)
        return cls(spec, scenario, spec.read_options(SparkplugSourceOptions))

    @property
    def name(self) -> str:
        """The endpoint."""
        return self._endpoint

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals it gives."""
        return self._signals

    async def inspect(self) -> Inspection:
        """Listen for a moment under another id, and ask for no birth; see ``Inspects``.

        An asked-for rebirth would be a command to the plant. A metric that stands under
        an alias is known only if its edge node happens to be born meanwhile.
        """
        seen: dict[str, Sample] = {}

        def took(message: Publish) -> bool:
            seen.update((one.signal, one) for one in self._understood(message).samples)
            return all(s in seen and seen[s].values is not None for s in self._signals)

        topics = [name for name in self._filters if "/STATE/" not in name]
        refused = await listen(self._account, topics, took)
        why = next(iter(refused.values()), "")
        tags = tuple(self._tag_seen(name, seen.get(name), why) for name in self._nodes)
        secure = "TLS" if self._account.broker.secure else ""
        return Inspection(tags=tags, security=secure)

    def _tag_seen(self, name: str, sample: Sample | None, problem: str) -> TagSeen:
        node = self._nodes[name]
        if sample is None:
            reason = f"nothing came within {LOOK_S:g} s"
            return TagSeen(
                name=name, node=node, problem=problem, quality="bad", reason=reason
            )
        kinds = (edge.kind_of(name) for edge in self._edges.values())
        return TagSeen(
            name=name,
            node=node,
            kind=next(filter(None, kinds), ""),
            values=() if sample.values is None else tuple(sample.values.tolist()),
            quality=sample.quality,
            reason=sample.reason,
            history=False,
        )

    def _understood(self, message: Publish) -> Outcome:
        parts = message.topic.decode(errors="replace").split("/")
        edge = self._edges.get(f"{parts[1]}/{parts[3]}") if len(parts) > 3 else None
        if edge is None or parts[2] not in KINDS or message.retain:
            return Outcome()
        try:
            payload = sparkplug.decode(message.payload)
        except sparkplug.PayloadError as error:
            return Outcome(samples=edge.unreadable(str(error)))
        device = parts[4] if len(parts) > 4 else ""
        return edge.take(parts[2], device, payload, to_us(self._clock.now()))

    async def connect(self) -> None:
        """Connect, subscribe, ask for births; see ``Source.connect``."""
        await self._feed.connect()

    async def samples(self) -> AsyncIterator[Arrival]:
        """Give what comes in, for ever; see ``Source.samples``."""
        async for batch in self._feed.batches():
            if batch.link is not None:
                for edge in self._edges.values():
                    edge.forget()
                yield Arrival(link=batch.link)
                continue
            samples = await self._read(batch)
            yield Arrival(samples=samples, received_s=batch.received_s)

    async def read_history(
        self, signal: str, after_us: int, until_us: int | None
    ) -> AsyncIterator[tuple[Sample, ...]]:
        """Refuse: Sparkplug has no history; see ``Source.read_history``."""
        del after_us, until_us
        if signal in self._signals:
            msg = "Sparkplug has no history; what was missed is not sent again."
            raise HistoryUnavailableError(msg)
        yield ()

    async def close(self) -> None:
        """Let the broker go, a host with its word for it; safe to call twice."""
        link = self._feed.link
        if link is not None and self._options.host:
            with contextlib.suppress(BrokerLostError, PublishRefusedError):
                await link.publish(
                    self._state_topic, self._state(online=False), retain=True
                )
        await self._feed.close()

    @property
    def _state_topic(self) -> str:
        return f"{SPACE}/STATE/{self._options.host}"

    def _hello(self) -> Hello:
        will = None
        self._state_ms = _now_ms(self._clock)
        if self._options.host:
            state = self._state(online=False)
            will = Will(topic=self._state_topic, payload=state, retain=True)
        return self._account.hello(clean=True, will=will)

    def _state(self, *, online: bool) -> bytes:
        return canonical.dumps({"online": online, "timestamp": self._state_ms})

    async def _greet(self, link: MqttLink) -> None:
        if self._options.host:
            await self._say_online(link)
        self._asked_s.clear()
        for name in self._edges:
            await self._ask(link, name)

    async def _say_online(self, link: MqttLink) -> None:
        with contextlib.suppress(PublishRefusedError):
            await link.publish(self._state_topic, self._state(online=True), retain=True)

    async def _ask(self, link: MqttLink, name: str) -> None:
        """Ask an edge node for a rebirth, not too often."""
        now_s = self._clock.monotonic_s()
        if now_s - self._asked_s.get(name, float("-inf")) < self._options.rebirth_s:
            return
        self._asked_s[name] = now_s
        time_ms = _now_ms(self._clock)
        wish = sparkplug.metric(
            value=True, kind=sparkplug.BOOLEAN, name=REBIRTH, time_ms=time_ms
        )
        payload = sparkplug.Payload(time_ms=time_ms, metrics=(wish,))
        with contextlib.suppress(PublishRefusedError):
            await link.publish(_topic(name, "NCMD"), sparkplug.encode(payload), qos=0)

    async def _read(self, batch: Batch) -> tuple[Sample, ...]:
        received_us = to_us(self._clock.now())
        found: list[Sample] = []
        wishes: set[str] = set()
        for message in batch.messages:
            parts = message.topic.decode(errors="replace").split("/")
            if parts[1:2] == ["STATE"]:
                await self._state_said(message)
                continue
            edge = self._edges.get(f"{parts[1]}/{parts[3]}") if len(parts) > 3 else None
            if edge is None or parts[2] not in KINDS or message.retain:
                continue
            device = parts[4] if len(parts) > 4 else ""
            try:
                payload = sparkplug.decode(message.payload)
            except sparkplug.PayloadError as error:
                found.extend(edge.unreadable(str(error)))
                wishes.add(edge.name)
                continue
            kind = parts[2]
            outcome = edge.take(kind, device, payload, received_us)
            found.extend(outcome.samples)
            if outcome.rebirth:
                wishes.add(edge.name)
        link = self._feed.link
        if link is not None:
            with contextlib.suppress(BrokerLostError):
                for name in sorted(wishes):
                    await self._ask(link, name)
        return tuple(found)

    async def _state_said(self, message: Publish) -> None:
        """Say that we are there, if somebody (an old will) says that we are not."""
        link = self._feed.link
        if link is not None and _says_offline(message.payload):
            with contextlib.suppress(BrokerLostError):
                await self._say_online(link)


def _says_offline(payload: bytes) -> bool:
    try:
        found = canonical.loads(payload, max_bytes=10_000)
    except DocumentMalformedError:
        return False
    return isinstance(found, dict) and found.get("online") is False


def split_node(text: str, owner: str) -> tuple[str, Place]:
    """Read ``GROUP/EDGE:METRIC`` or ``GROUP/EDGE/DEVICE:METRIC``.

    Raises:
        LineFileInvalidError: if it is neither.
    """
    where, colon, name = text.partition(":")
    parts = where.split("/")
    if not colon or not name or len(parts) not in {2, 3} or not all(parts):
        msg = f"The node {text!r} of {owner} is no metric such as 'Plant7/Press3:Inputs/Level' or 'Plant7/Press3/PLC1:Level'."
        raise LineFileInvalidError(msg)
    check_topic(where, owner)
    return "/".join(parts[:2]), Place(parts[2] if len(parts) > 2 else "", name)


def _edges(spec: SourceSpec, scenario: Contract) -> dict[str, EdgeNode]:
    wanted: dict[str, dict[Place, Wanted]] = {}
    for signal in spec.nodes:
        node = spec.node(signal)
        edge, place = split_node(node.node, f"the signal {signal}")
        of_edge = wanted.setdefault(edge, {})
        if place in of_edge:
            msg = f"The node {node.node} stands for two signals, {of_edge[place].signal} and {signal}."
            raise LineFileInvalidError(msg)
        of_edge[place] = Wanted(
            signal=signal,
            channels=scenario.signal(signal).channels,
            numeric=scenario.signal(signal).numeric,
            scale=node.scale,
            offset=node.offset,
        )
    return {name: EdgeNode(name, places) for name, places in wanted.items()}


def _topic(edge: str, kind: str) -> str:
    group, node = edge.split("/")
    return f"{SPACE}/{group}/{kind}/{node}"


def _now_ms(clock: Clock) -> int:
    return to_us(clock.now()) // 1000
