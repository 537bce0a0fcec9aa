"""A small model behind the application, and a client that speaks ASGI to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.flows.conftest import scenario

from tundish.catalog.scenario import Scenario
from tundish.kernel.digest import of_bytes
from tundish.line.serving.access import Access, token_digest
from tundish.line.serving.answers import Answerer
from tundish.line.serving.app import ServeApp
from tundish.line.serving.limits import Limits
from tundish.line.serving.response import Named

TOKEN = "a-token-of-this-test-that-nobody-guesses"  # noqa: S105
SHAPES = dict.fromkeys(("estimate", "lower", "upper", "applicability"), (1,))
INFER = "/v2/models/pump/infer"


@dataclass
class FakeMeter:
    """Hands out so many answers, or any number."""

    left: int | None = None

    @property
    def per_day(self) -> int | None:
        return 7 if self.left is not None else None

    def take(self, wanted: int) -> int:
        if self.left is None:
            return wanted
        given = min(wanted, self.left)
        self.left -= given
        return given


@dataclass
class Scorer:
    """The mean of a window; far from training above 100; remembers what it saw."""

    saw: list[NDArray[np.float32]] = field(default_factory=list)
    breaks: Exception | None = None

    def run(self, window: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        if self.breaks is not None:
            raise self.breaks
        self.saw.append(window)
        mean = window.mean(axis=(1, 2)).reshape(-1, 1)
        return {
            "estimate": mean,
            "lower": mean - 1,
            "upper": mean + 1,
            "applicability": np.abs(mean) / 100,
            "contribution": window[:, -1, :],
        }


class Desk:
    """An application over a scorer, asked without a network."""

    def __init__(
        self,
        *,
        contract: Scenario | None = None,
        meter: FakeMeter | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.scorer = Scorer()
        self.now_s = 0.0
        self.refused: list[tuple[str, str]] = []
        self.limits = limits or Limits(rows=8, body=20_000)
        self.access = Access(
            {"scada": token_digest(TOKEN)},
            now_s=lambda: self.now_s,
            rate=self.limits.rate,
            refused_per_minute=self.limits.refused_per_minute,
            heard=lambda peer, code: self.refused.append((peer, code)),
        )
        self.app = ServeApp(
            Named(name="pump", version="3", package=of_bytes(b"package")),
            Answerer(
                contract or scenario(),
                self.scorer,
                {**SHAPES, "contribution": (1,), "map": (9,)},
                meter or FakeMeter(),
            ),
            self.access,
            limits=self.limits,
            gauges=lambda: {"tundish_grant_days_left": ("Days.", 12.5)},
            version="0",
        )

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str = "",
        token: str | None = TOKEN,
        pieces: int = 1,
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers and body of the answer."""
        sent: list[dict[str, Any]] = []
        data = body or b""
        step = max(1, -(-len(data) // pieces))
        parts = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
        waiting = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, start=1)
        ]
        given = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        if token is not None:
            given.append((b"authorization", f"Bearer {token}".encode()))

        async def receive() -> dict[str, Any]:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": path,
            "method": method or ("GET" if body is None else "POST"),
            "headers": given,
            "client": ("10.0.0.7", 4000),
        }
        asyncio.run(self.app(scope, receive, send))
        answered = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        return sent[0]["status"], answered, sent[1]["body"]

    def infer(self, rows: list[list[float | None]], **more: Any) -> dict[str, Any]:
        """Ask about windows in JSON; return the answer, which must be one."""
        status, _, body = self.ask(INFER, request(rows, **more))
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found


def request(rows: list[list[float | None]], **more: Any) -> bytes:
    """Return a request in JSON."""
    one = {"name": "window", "shape": [len(rows), 2, 1], "datatype": "FP32"}
    data = [value for row in rows for value in row]
    return json.dumps({"inputs": [{**one, "data": data}], **more}).encode()


@pytest.fixture
def desk() -> Desk:
    return Desk()
