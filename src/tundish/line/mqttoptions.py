"""What sources and sinks over MQTT have in common: options, security, hello."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from tundish.kernel.addresses import is_near
from tundish.kernel.records import Record
from tundish.line import tls
from tundish.line.clientid import stable_id
from tundish.line.errors import LineFileInvalidError
from tundish.line.mqttlink import Broker, broker_of
from tundish.line.mqttpackets import Hello, Will
from tundish.line.security import Security, SecuritySpec, known_parts

PARTS: Final = (*tls.PARTS, "user", "password")
MOST_TOPIC = 500

ClientId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]
Seconds = Annotated[float, Field(gt=0, le=60)]


class MqttOptions(Record):
    """Options of every source and sink over MQTT.

    Attributes:
        version: Of the protocol.
        client_id: Stays the same for ever: the broker keeps the session under it. By
            default made of this box's name and the line file's part.
        timeout_s: Limit for each answer; with ``probe_s`` it bounds how long a dead
            link goes unnoticed.
        probe_s: Seconds between two pings.
        retry_first_s, retry_max_s: Pause before connecting again, doubling.
        session_h: Hours for which the broker keeps what is missed (MQTT 5; under
            3.1.1 the broker decides).
        most_kb: Longest packet that is read.
        plain_password: Whether a password may go out without TLS.
    """

    version: Literal["3.1.1", "5"] = "5"
    client_id: ClientId | None = None
    timeout_s: Seconds = 5.0
    probe_s: Seconds = 5.0
    retry_first_s: Seconds = 0.25
    retry_max_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    session_h: Annotated[float, Field(gt=0, le=24 * 365)] = 72.0
    most_kb: Annotated[int, Field(ge=1, le=65_536)] = 1024
    plain_password: bool = False


class Account:
    """How one source or sink connects.

    Args:
        endpoint: ``mqtt://host:port`` or ``mqtts://host:port``.
        security: As the line file says it; its files are read now.
        options: See ``MqttOptions``.
        owner: Names the source or sink in messages.
        parts: What makes this client another one than the next on this box.

    Raises:
        LineFileInvalidError: if what is said does not fit together.
        CertificateUnusableError, SecretMissingError: of the files named.
    """

    def __init__(
        self,
        endpoint: str,
        security: Security,
        options: MqttOptions,
        owner: str,
        parts: Iterable[str],
    ) -> None:
        self.options = options
        self.broker: Broker = broker_of(endpoint)
        spec = known_parts(security, PARTS, owner)
        self._check(spec, owner)
        self.context: ssl.SSLContext | None = None
        if self.broker.secure:
            self.context = tls.client_context(spec, owner)
        self._user = spec.user
        self._password = spec.password.read() if spec.password else None
        self.client_id = options.client_id or stable_id(endpoint, parts)

    def hello(self, *, clean: bool, will: Will | None = None) -> Hello:
        """Return what CONNECT says."""
        options = self.options
        return Hello(
            version=5 if options.version == "5" else 4,
            client_id=self.client_id,
            clean=clean,
            keep_alive_s=max(
                10, min(600, round(3 * (options.probe_s + options.timeout_s)))
            ),
            expiry_s=round(options.session_h * 3600),
            most_bytes=options.most_kb * 1024,
            user=self._user,
            password=self._password.reveal().encode() if self._password else None,
            will=will,
        )

    def _check(self, spec: SecuritySpec, owner: str) -> None:
        said = sorted(spec.said & set(tls.PARTS))
        if said and not self.broker.secure:
            msg = f"{owner} says security.{said[0]}, and {self.broker.endpoint} is without TLS; say mqtts://."
            raise LineFileInvalidError(msg)
        plain = spec.password is not None and not self.broker.secure
        if plain and not self.options.plain_password and not is_near(self.broker.host):
            msg = f"{owner} would send its password to {self.broker.endpoint} in the clear; say mqtts://, or options.plain_password: true."
            raise LineFileInvalidError(msg)


def check_topic(topic: str, owner: str) -> bytes:
    """Return a topic's bytes.

    Raises:
        LineFileInvalidError: if it is none, or a filter with ``+`` or ``#``.
    """
    data = topic.encode()
    if any(letter in topic for letter in "+#\0") or not 0 < len(data) <= MOST_TOPIC:
        msg = f"The topic {topic!r} of {owner} is no plain topic of at most {MOST_TOPIC} bytes; '+' and '#' are not allowed."
        raise LineFileInvalidError(msg)
    return data
