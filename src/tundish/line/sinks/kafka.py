"""Kafka sink: each answer one JSON message, and the line's state as another.

An answer's key is its id, the same when it is sent again; all replicas that are in step
have it before the buffer lets it go. Kafka has no last will: the last state stands there
when a line dies, and its time tells its age.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from tundish.catalog.scenario import Scenario
from tundish.kernel.clock import Clock, SystemClock
from tundish.kernel.errors import TundishError
from tundish.line.errors import NodeMissingError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.kafkaoptions import KafkaAccount, KafkaOptions, check_topic
from tundish.line.kafkasender import KafkaSender
from tundish.line.linefile import SinkSpec
from tundish.line.samples import to_us
from tundish.line.sinks.mqtt import answer_message, state_message
from tundish.line.state import TagState

NODES: Final = ("answer", "state")


class KafkaSink:
    """One cluster as a sink; see the module.

    Args:
        spec: The line file's part; ``nodes`` holds topics for any of ``NODES``.
        options: See ``KafkaOptions``.
        clock: For the moment of the goodbye.

    Raises:
        NodeMissingError: if what is to be written is none of ``NODES``.
        LineFileInvalidError: if what the line file says does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        spec: SinkSpec,
        options: KafkaOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._name = spec.name
        self._clock = clock or SystemClock()
        unknown = sorted(set(spec.nodes) - set(NODES))
        if unknown:
            msg = f"The sink {spec.name} names a topic for {unknown[0]!r}; expected any of {', '.join(NODES)}."
            raise NodeMissingError(msg)
        self._topics = {
            what: check_topic(topic, f"{what} of the sink {spec.name}")
            for what, topic in spec.nodes.items()
        }
        parts = ("sink", spec.name, *sorted(spec.nodes.values()))
        account = KafkaAccount(
            spec.endpoint,
            spec.security,
            options or KafkaOptions(),
            f"The sink {spec.name}",
            parts,
        )
        self._sender = KafkaSender(account, self._topics.values())

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; connects to nothing yet.

        Raises:
            DocumentInvalidError: if an option is unknown or has a wrong value.
            NodeMissingError, LineFileInvalidError, CertificateUnusableError,
            SecretMissingError: as for the class.
        """
        del scenario
        return cls(spec, spec.read_options(KafkaOptions))

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._name

    async def connect(self) -> None:
        """Make sure that the topics are there; see ``Sink.connect``."""
        await self._sender.connect()

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Send answers in order; see ``Sink.write_estimates``."""
        topic = self._topics.get("answer")
        if topic is not None:
            for estimate in estimates:
                key = f"{estimate.model}/{estimate.at_us}"
                await self._sender.publish(topic, key, answer_message(estimate))

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Send the state under the sink's name as key; see ``Sink.write_state``."""
        topic = self._topics.get("state")
        if topic is not None:
            message = state_message(state, mode, at_us)
            await self._sender.publish(topic, self._name, message)

    async def close(self) -> None:
        """Say that the line has stopped, and let go; safe to call twice."""
        gone = TagState(signal="*", state="stale", reason="the line has stopped")
        topic = self._topics.get("state")
        try:
            if topic is not None:
                message = state_message(gone, "", to_us(self._clock.now()))
                await self._sender.publish(topic, self._name, message)
        except (ConnectionError, TundishError):
            pass  # nobody is there to be told
        await self._sender.close()
