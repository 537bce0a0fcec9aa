"""MQTT sink: each answer one JSON message, and the line's state as a retained one.

An answer has an id that stays the same when it is sent again. The broker has
acknowledged it (QoS 1) before the buffer lets it go. The state's topic has a last
will: if the line dies without a word, the broker says ``stale`` for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from tundish.catalog.scenario import Scenario
from tundish.kernel import canonical
from tundish.kernel.canonical import Json
from tundish.kernel.clock import Clock, SystemClock, to_text
from tundish.line.errors import NodeMissingError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.linefile import SinkSpec
from tundish.line.mqttlink import BrokerLostError
from tundish.line.mqttoptions import Account, MqttOptions, check_topic
from tundish.line.mqttpackets import Publish, Will
from tundish.line.mqttsender import Sender
from tundish.line.samples import from_us, to_us
from tundish.line.state import TagState

NODES: Final = ("answer", "state")


class MqttSink:
    """One broker as a sink; see the module.

    Args:
        spec: The line file's part; ``nodes`` holds topics for any of ``NODES``.
        options: See ``MqttOptions``.
        clock: For the will's moment.

    Raises:
        NodeMissingError: if what is to be written is none of ``NODES``.
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SinkSpec,
        options: MqttOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._name = spec.name
        self._clock = clock or SystemClock()
        unknown = sorted(set(spec.nodes) - set(NODES))
        if unknown:
            msg = (
                f"The sink {spec.name} names a topic for {unknown[0]!r}; expected any "
                f"of {', '.join(NODES)}."
            )
            raise NodeMissingError(msg)
        for what, topic in spec.nodes.items():
            check_topic(topic, f"{what} of the sink {spec.name}")
        self._topics = spec.nodes
        owner = f"The sink {spec.name}"
        parts = ("sink", spec.name, *sorted(spec.nodes.values()))
        self._account = Account(
            spec.endpoint, spec.security, options or MqttOptions(), owner, parts
        )
        self._sender = Sender(self._account, _unheard)

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            NodeMissingError, LineFileInvalidError, CertificateUnusableError,
            SecretMissingError: as for the class.
        """
        del scenario
        return cls(spec, spec.read_options(MqttOptions))

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._name

    async def connect(self) -> None:
        """Connect, with the will in place; see ``Sink.connect``."""
        will = None
        if "state" in self._topics:
            gone = TagState(signal="*", state="stale", reason="the line is gone")
            payload = state_message(gone, "", to_us(self._clock.now()))
            will = Will(topic=self._topics["state"], payload=payload, retain=True)
        link = await self._sender.open(self._account.hello(clean=True, will=will))
        connack = link.connack
        if connack is not None and "state" in self._topics and not connack.retains:
            msg = f"The broker {self._account.broker.endpoint} keeps no retained messages, which the topic of the state needs."
            raise NodeMissingError(msg)

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Publish answers in order; see ``Sink.write_estimates``."""
        topic = self._topics.get("answer")
        if topic is not None:
            for estimate in estimates:
                await self._sender.publish(topic, answer_message(estimate))

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Publish the state, retained; see ``Sink.write_state``."""
        topic = self._topics.get("state")
        if topic is not None:
            message = state_message(state, mode, at_us)
            await self._sender.publish(topic, message, retain=True)

    async def close(self) -> None:
        """Say that the line has stopped, and goodbye; safe to call twice."""
        gone = TagState(signal="*", state="stale", reason="the line has stopped")
        try:
            topic = self._topics.get("state")
            if topic is not None:
                message = state_message(gone, "", to_us(self._clock.now()))
                await self._sender.publish(topic, message, retain=True)
        except (BrokerLostError, NodeMissingError, OSError):
            pass  # then the will says it
        await self._sender.close()


def answer_message(estimate: Estimate) -> bytes:
    """Return an answer as canonical JSON; ``id`` is model digest and source time."""
    document: dict[str, Json] = {
        "format": "tundish.answer",
        "version": 1,
        "id": f"{estimate.model}/{estimate.at_us}",
        "time": to_text(from_us(estimate.at_us)),
        "quality": estimate.quality,
        "value": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "alarm": estimate.alarm,
        "applicability": estimate.applicability,
        "why": estimate.why,
        "reason": estimate.reason,
        "because": estimate.because,
        "model": estimate.model,
        "input": estimate.input,
    }
    return canonical.dumps(document)


def state_message(state: TagState, mode: str, at_us: int) -> bytes:
    """Return a state as canonical JSON; a will has no mode."""
    document: dict[str, Json] = {
        "format": "tundish.state",
        "version": 1,
        "state": state.state,
        "signal": state.signal,
        "reason": state.reason,
        "mode": mode,
        "time": to_text(from_us(at_us)),
    }
    return canonical.dumps(document)


def _unheard(messages: list[Publish]) -> None:
    del messages
