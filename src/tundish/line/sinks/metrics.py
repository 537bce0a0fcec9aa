"""Metrics sink: what a line says right now, as Prometheus text on a port of this machine.

A port that the line opens only if its file says so, only on loopback, and only with
a token. Whoever connects is foreign: heads, times and numbers of connections are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, Self

from tundish.catalog.scenario import Scenario
from tundish.kernel.records import Record
from tundish.line.errors import LineFileInvalidError
from tundish.line.estimates import Estimate
from tundish.line.guard import Mode
from tundish.line.httppost import read_address
from tundish.line.linefile import SinkSpec
from tundish.line.security import known_parts
from tundish.line.state import SEVERITY, TagState

NODES: Final = ("estimate", "lower", "upper", "alarm")
MOST_HEAD_BYTES: Final = 8192
_MOST_CONNECTIONS = 16
_PATIENCE_S = 5.0
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", re.ASCII)
_REQUEST = re.compile(rb"([A-Z]{1,10}) (/[!-~]{0,200}) HTTP/1\.[01]")
_BEARER = re.compile(
    rb"authorization[ \t]*:[ \t]*bearer[ \t]+([!-~]+)[ \t]*", re.IGNORECASE
)
_SAID = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
}


class MetricsOptions(Record):
    """Options of a metrics sink: none."""


class MetricsSink:
    """A port from which Prometheus reads; see the module.

    Args:
        spec: The line file's part.

    Raises:
        LineFileInvalidError: if the endpoint is not of this machine, there is no token,
            or a name is none of a metric.
        SecretMissingError: if the token is not there.
    """

    def __init__(self, spec: SinkSpec) -> None:
        owner = f"The sink {spec.name}"
        security = known_parts(spec.security, ("token",), owner)
        self._place = read_address(spec.endpoint, owner)
        if self._place.tls or not self._place.near:
            msg = f"{owner} has the endpoint {spec.endpoint}; expected http://127.0.0.1:PORT/PATH: it listens on this machine only."
            raise LineFileInvalidError(msg)
        if security.token is None:
            msg = f"{owner} needs security.token: whoever reads must show it."
            raise LineFileInvalidError(msg)
        for what, name in spec.nodes.items():
            if (
                what not in NODES
                or not _NAME.fullmatch(name)
                or name.startswith("tundish_")
            ):
                msg = f"{owner} names {what!r} {name[:100]!r}; expected any of {', '.join(NODES)}, and names of letters, digits and _ that do not begin with tundish_."
                raise LineFileInvalidError(msg)
        self._token = security.token.read()
        self._spec = spec
        self._server: asyncio.Server | None = None
        self._open = 0
        self._state: TagState | None = None
        self._newest: Estimate | None = None
        self._answers = self._without = 0

    @classmethod
    def from_spec(cls, spec: SinkSpec, scenario: Scenario) -> Self:
        """Make it from a line file's part; opens no port yet.

        Raises:
            DocumentInvalidError: if an option is said: it knows none.
            LineFileInvalidError, SecretMissingError: as for the class.
        """
        del scenario
        spec.read_options(MetricsOptions)
        return cls(spec)

    @property
    def name(self) -> str:
        """The name in the line file."""
        return self._spec.name

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it does not."""
        if self._server is None:
            return 0
        return int(self._server.sockets[0].getsockname()[1])

    async def connect(self) -> None:
        """Open the port; see ``Sink.connect``."""
        await self.close()
        place = self._place
        host = "127.0.0.1" if place.host == "localhost" else place.host
        try:
            self._server = await asyncio.start_server(
                self._serve, host, place.port, limit=MOST_HEAD_BYTES
            )
        except OSError as error:
            msg = f"the port {place.port} of {place.host} cannot be opened: {error.strerror}"
            raise ConnectionError(msg) from error

    async def write_estimates(self, estimates: Sequence[Estimate]) -> None:
        """Show the newest answer; see ``Sink.write_estimates``."""
        for estimate in estimates:
            self._answers += 1
            self._without += estimate.abstained
            self._newest = estimate

    async def write_state(self, state: TagState, mode: Mode, at_us: int) -> None:
        """Show the state; a stale line shows no numbers."""
        del mode, at_us
        self._state = state

    async def close(self) -> None:
        """Close the port; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def text(self) -> str:
        """Return everything in the text format of Prometheus (version 0.0.4)."""
        now = self._state.state if self._state else "stale"
        lines = ["# TYPE tundish_state gauge"]
        lines += [
            f'tundish_state{{state="{one}"}} {int(one == now)}' for one in SEVERITY
        ]
        for name, count in (
            ("tundish_answers_total", self._answers),
            ("tundish_answers_without_number_total", self._without),
        ):
            lines += [f"# TYPE {name} counter", f"{name} {count}"]
        newest = self._newest
        if newest is not None:
            name = "tundish_last_answer_timestamp_seconds"
            lines += [f"# TYPE {name} gauge", f"{name} {newest.at_us / 1e6!r}"]
        shown = None if now == "stale" else newest
        for what, name in self._spec.nodes.items():
            value = None if shown is None else _number(shown, what)
            if value is not None:
                lines += [f"# TYPE {name} gauge", f"{name} {value!r}"]
        return "\n".join(lines) + "\n"

    def answer(self, head: bytes) -> tuple[int, str]:
        """Return status and text for the head of a request.

        Args:
            head: Up to and with the empty line. Untrusted.
        """
        first, *lines = head.split(b"\r\n")
        request = _REQUEST.fullmatch(first)
        if request is None:
            return 400, ""
        shown = [m[1] for line in lines if (m := _BEARER.fullmatch(line))]
        token = self._token.reveal().encode()
        if len(shown) != 1 or not hmac.compare_digest(shown[0], token):
            return 401, ""
        if request[2].decode() != self._place.target:
            return 404, ""
        return (200, self.text()) if request[1] == b"GET" else (405, "")

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open += 1
        try:
            if self._open <= _MOST_CONNECTIONS:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._talk(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # a peer that is gone, slow or endless gets no answer
        finally:
            self._open -= 1
            with contextlib.suppress(Exception):
                writer.close()

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        status, text = self.answer(await reader.readuntil(b"\r\n\r\n"))
        body = text.encode()
        asked = "WWW-Authenticate: Bearer\r\n" if status == 401 else ""
        writer.write(
            f"HTTP/1.1 {status} {_SAID[status]}\r\n"
            "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n{asked}Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()


def _number(estimate: Estimate, what: str) -> float | None:
    if what == "alarm":
        return None if estimate.alarm is None else float(estimate.alarm)
    parts = {
        "estimate": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
    }
    return parts[what]
