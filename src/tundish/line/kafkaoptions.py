"""What sources and sinks over Kafka have in common: options, security, configuration.

The client is librdkafka. What it knows of secrets it gets as values, never as a log
line: it logs nothing, and its errors name brokers and reasons only.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from confluent_kafka import KafkaError
from pydantic import Field, StringConstraints

from tundish.kernel import paths
from tundish.kernel.addresses import is_near
from tundish.kernel.records import Record
from tundish.kernel.texts import visible
from tundish.line import tls
from tundish.line.clientid import stable_id
from tundish.line.errors import LineFileInvalidError
from tundish.line.security import MOST_BYTES, Security, SecuritySpec, known_parts

PARTS: Final = (*tls.PARTS, "user", "password")
PORT: Final = 9092
MOST_BROKERS: Final = 20
MOST_ANSWER: Final = 64 * 1024**2
"""Bytes of the longest answer of a broker; with a longer one the link ends."""
_HELD_KB: Final = 8 * 1024
_FETCH_MS: Final = 100
_SCHEMES: Final = {"kafka": False, "kafkas": True}
_TOPIC: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
)
_SILENT: Final = logging.getLogger("tundish.kafka.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.disabled = True

ClientId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.:-]{1,64}$")]
Seconds = Annotated[float, Field(ge=0.05, le=60)]
Config = dict[str, object]


class KafkaOptions(Record):
    """Options of every source and sink over Kafka.

    Attributes:
        client_id: Names us to the brokers; a source's is also the group under which
            they keep how far it has read, so it stays the same for ever. By default
            made of this box's name and the line file's part.
        sasl: How ``security.user`` shows who it is.
        timeout_s: Limit for each answer; with ``probe_s`` it bounds how long a dead
            link goes unnoticed.
        probe_s: Seconds between two looks at the brokers.
        retry_first_s, retry_max_s: Pause before connecting again, doubling.
        most_kb: Longest message that is read or written.
        plain_password: Whether a password may go out without TLS.
    """

    client_id: ClientId | None = None
    sasl: Literal["plain", "scram-sha-256", "scram-sha-512"] = "scram-sha-512"
    timeout_s: Seconds = 5.0
    probe_s: Seconds = 5.0
    retry_first_s: Seconds = 0.25
    retry_max_s: Annotated[float, Field(ge=0.05, le=600)] = 15.0
    most_kb: Annotated[int, Field(ge=1, le=32_768)] = 1024
    plain_password: bool = False


@dataclass(frozen=True, kw_only=True)
class Brokers:
    """Where the brokers are: ``kafka://host:port,host:port``, ``kafkas`` with TLS."""

    endpoint: str
    servers: tuple[tuple[str, int], ...]
    secure: bool


class KafkaAccount:
    """How one source or sink connects.

    Args:
        endpoint: See ``Brokers``.
        security: As the line file says it; its files are read now.
        options: See ``KafkaOptions``.
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
        options: KafkaOptions,
        owner: str,
        parts: Iterable[str],
    ) -> None:
        self.options = options
        self.brokers = brokers_of(endpoint)
        self._spec = spec = known_parts(security, PARTS, owner)
        self._check(spec, owner)
        self._tls: Config = {}
        if self.brokers.secure:
            tls.client_context(spec, owner)  # says clearly what is wrong with a file
            self._tls = _tls_files(spec)
        self._key_password = spec.key_password.read() if spec.key_password else None
        self._password = spec.password.read() if spec.password else None
        self.client_id = options.client_id or stable_id(endpoint, parts)

    def config(self, errors: Callable[[KafkaError], None]) -> Config:
        """Return what every client of this account is made with.

        Args:
            errors: Told of what goes wrong, on the thread that polls.
        """
        options, secure = self.options, self.brokers.secure
        timeout_ms = round(options.timeout_s * 1000)
        config: Config = {
            "bootstrap.servers": ",".join(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                for host, port in self.brokers.servers
            ),
            "client.id": self.client_id,
            "security.protocol": "SSL" if secure else "PLAINTEXT",
            "socket.timeout.ms": max(timeout_ms, 1000 + _FETCH_MS),
            "socket.connection.setup.timeout.ms": max(timeout_ms, 1000),
            "socket.keepalive.enable": True,
            "socket.nagle.disable": True,
            "reconnect.backoff.ms": round(options.retry_first_s * 1000),
            "reconnect.backoff.max.ms": round(
                max(options.retry_max_s, options.retry_first_s) * 1000
            ),
            "allow.auto.create.topics": False,
            "enable.metrics.push": False,  # nothing goes out unasked
            "receive.message.max.bytes": MOST_ANSWER,
            "logger": _SILENT,
            "log_level": 0,
            "error_cb": errors,
            **self._tls,
        }
        if self._key_password is not None:
            config["ssl.key.password"] = self._key_password.reveal()
        if self._password is not None:
            config["security.protocol"] = "SASL_SSL" if secure else "SASL_PLAINTEXT"
            config["sasl.mechanisms"] = options.sasl.upper()
            config["sasl.username"] = self._spec.user
            config["sasl.password"] = self._password.reveal()
        return config

    def reading(self, errors: Callable[[KafkaError], None]) -> Config:
        """Return what a consumer is made with; how far it is, is our business."""
        most = self.options.most_kb * 1024
        return self.config(errors) | {
            "group.id": self.client_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # what was deleted before we read it
            "check.crcs": True,
            "fetch.wait.max.ms": _FETCH_MS,
            "fetch.message.max.bytes": most,
            "fetch.max.bytes": max(4 * 1024**2, most),
            "message.max.bytes": max(4 * 1024**2, most),
            "queued.max.messages.kbytes": _HELD_KB,
            "topic.metadata.refresh.interval.ms": 30_000,
        }

    def _check(self, spec: SecuritySpec, owner: str) -> None:
        said = sorted(spec.said & set(tls.PARTS))
        where = self.brokers.endpoint
        if said and not self.brokers.secure:
            msg = f"{owner} says security.{said[0]}, and {where} is without TLS; say kafkas://."
            raise LineFileInvalidError(msg)
        plain = spec.password is not None and not self.brokers.secure
        here = all(is_near(host) for host, _ in self.brokers.servers)
        if plain and not self.options.plain_password and not here:
            msg = f"{owner} would send its password to {where} without TLS; say kafkas://, or options.plain_password: true."
            raise LineFileInvalidError(msg)


def brokers_of(endpoint: str) -> Brokers:
    """Read an endpoint.

    Raises:
        LineFileInvalidError: if it names no brokers, or holds a user or a path.
    """
    scheme, _, rest = endpoint.partition("://")
    servers = [_server(one) for one in rest.rstrip("/").split(",")]
    found = tuple(one for one in servers if one is not None)
    complete = len(found) == len(servers) <= MOST_BROKERS
    if scheme not in _SCHEMES or not complete:
        msg = f"The endpoint {endpoint} names no brokers such as 'kafkas://broker1.plant:9093,broker2.plant:9093', at most {MOST_BROKERS} (user and password stand in security)."
        raise LineFileInvalidError(msg)
    return Brokers(endpoint=endpoint, servers=found, secure=_SCHEMES[scheme])


def check_topic(topic: str, owner: str) -> str:
    """Return a topic.

    Raises:
        LineFileInvalidError: if it is no name that Kafka takes.
    """
    if not 0 < len(topic) <= 249 or not set(topic) <= _TOPIC or topic in {".", ".."}:
        msg = f"The topic {topic!r} of {owner} is no name of Kafka's: letters, digits, '.', '_' and '-', at most 249."
        raise LineFileInvalidError(msg)
    return topic


def said(error: KafkaError) -> str:
    """Return what went wrong, in the client's words, made harmless and short."""
    text = str(error.str()).split(" (after ")[0].strip().rstrip(".")
    return visible(text.removeprefix("Broker: ")[:200])


def _server(text: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(f"//{text}")
        port = PORT if parts.port is None else parts.port
    except ValueError:
        return None
    more = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    return None if more or not parts.hostname or not port else (parts.hostname, port)


def _tls_files(spec: SecuritySpec) -> Config:
    """Return certificates and key as the client takes them: text."""
    config: Config = {"ssl.endpoint.identification.algorithm": "https"}
    config |= {"ssl.ca.pem": _pem(spec.trust)} if spec.trust else {}
    if spec.certificate and spec.key:
        config["ssl.certificate.pem"] = _pem(spec.certificate)
        config["ssl.key.pem"] = paths.read_file(Path(spec.key), most=MOST_BYTES).decode(
            "ascii"
        )
    return config


def _pem(name: str) -> str:
    data = paths.read_file(Path(name), most=tls.MOST_BYTES)
    return (
        data.decode("ascii")
        if b"-----BEGIN" in data
        else ssl.DER_cert_to_PEM_cert(data)
    )
