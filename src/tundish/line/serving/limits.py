"""What a server takes of one client: bytes, rows, headers, connections, time."""

from __future__ import annotations

from dataclasses import dataclass

JSON_BYTES_PER_VALUE = 32
MOST_BODY = 256 * 1024**2
_LEAST_BODY = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server.

    Attributes:
        rows: Windows in one request.
        body: Bytes of a body; see ``body_for``.
        head: Bytes of request line and headers together.
        headers: Number of headers.
        connections: Open at once, from all clients together.
        head_s: From the first byte of a request, or from the connection, to the end of
            its headers.
        body_s: From there to the end of the body.
        answer_s: Until the client has taken the answer.
        idle_s: A connection without a request.
        rate: Requests a second of one client; 0: not limited.
        refused_per_minute: Wrong tokens from one address before it is told to wait.
        drain_s: For requests in hand when the server stops.
    """

    rows: int = 4096
    body: int = 16 * 1024**2
    head: int = 16 * 1024
    headers: int = 64
    connections: int = 256
    head_s: float = 10.0
    body_s: float = 30.0
    answer_s: float = 30.0
    idle_s: float = 75.0
    rate: float = 0.0
    refused_per_minute: int = 30
    drain_s: float = 10.0


def body_for(rows: int, values: int) -> int:
    """Return the largest body of a request with so many windows of so many values.

    A number in JSON takes up to 32 bytes with its comma, in four bytes of a tensor.
    """
    return min(MOST_BODY, _LEAST_BODY + rows * values * JSON_BYTES_PER_VALUE)
